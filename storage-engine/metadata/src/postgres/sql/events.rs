//! The queue of events.

pub(in crate::postgres) const INSERT: &str = "INSERT INTO events (target, bucket_id, at_ms, id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[], $5::bytea[], $6::bytea[]) \
     ON CONFLICT (target, bucket_id, at_ms, id) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const LIST: &str = "SELECT target, bucket_id, at_ms, id, row_hash, record FROM events \
     WHERE (target, bucket_id, at_ms, id) > ($1, $2, $3, $4) ORDER BY target, bucket_id, at_ms, id LIMIT $5";

pub(in crate::postgres) const COUNT_FOR: &str =
    "SELECT count(*) FROM (SELECT 1 FROM events WHERE target = $1 LIMIT $2) AS few";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM events o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[]) AS u (target, bucket_id, at_ms, id) \
     WHERE o.target = u.target AND o.bucket_id = u.bucket_id AND o.at_ms = u.at_ms AND o.id = u.id";
