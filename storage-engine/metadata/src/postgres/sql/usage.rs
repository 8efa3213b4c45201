//! What buckets hold.

pub(in crate::postgres) const INSERT_DELTAS: &str = "INSERT INTO bucket_deltas \
     (bucket_id, writer_id, batch, bytes, objects) \
     SELECT u.bucket_id, $1, $2, u.bytes, u.objects \
     FROM UNNEST($3::bytea[], $4::int8[], $5::int8[]) AS u (bucket_id, bytes, objects)";

/// The row and the deltas that are not folded yet, read in one statement.
pub(in crate::postgres) const READ: &str = "SELECT \
     CAST(COALESCE((SELECT u.bytes FROM bucket_usage u WHERE u.bucket_id = $1), 0) \
     + COALESCE((SELECT sum(d.bytes) FROM bucket_deltas d WHERE d.bucket_id = $1), 0) AS BIGINT), \
     CAST(COALESCE((SELECT u.objects FROM bucket_usage u WHERE u.bucket_id = $1), 0) \
     + COALESCE((SELECT sum(d.objects) FROM bucket_deltas d WHERE d.bucket_id = $1), 0) AS BIGINT)";

/// The sums of all buckets, for the recount.
pub(in crate::postgres) const READ_ALL: &str = "SELECT t.bucket_id, CAST(sum(t.bytes) AS BIGINT), \
     CAST(sum(t.objects) AS BIGINT) FROM ( \
     SELECT bucket_id, bytes, objects FROM bucket_usage \
     UNION ALL SELECT bucket_id, bytes, objects FROM bucket_deltas) AS t GROUP BY t.bucket_id";

/// Buckets with more deltas than are worth keeping.
pub(in crate::postgres) const TO_FOLD: &str = "SELECT bucket_id FROM bucket_deltas GROUP BY bucket_id \
     HAVING count(*) > $1 ORDER BY bucket_id LIMIT 64";

/// Takes a bucket's deltas out. Whoever else folds them waits for the rows' locks and finds them gone.
pub(in crate::postgres) const TAKE_DELTAS: &str =
    "DELETE FROM bucket_deltas WHERE bucket_id = $1 RETURNING bytes, objects";

pub(in crate::postgres) const ADD: &str = "INSERT INTO bucket_usage (bucket_id, bytes, objects) \
     SELECT * FROM UNNEST($1::bytea[], $2::int8[], $3::int8[]) \
     ON CONFLICT (bucket_id) DO UPDATE SET bytes = bucket_usage.bytes + excluded.bytes, \
     objects = bucket_usage.objects + excluded.objects";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM bucket_usage WHERE bucket_id = $1";
