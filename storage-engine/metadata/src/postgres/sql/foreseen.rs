//! The statement of batches that are not loaded.

use super::objects::{arrays, names};

/// Stores new keys if all is as foreseen: $1 to $18 are the keys' versions, $19 and $20 name the batch, $21 and $22 are buckets with
/// the hashes of their rows, $23 to $26 volumes with their epochs, their ends from now on and the bytes that are added to what
/// they store, $27 to $29 volumes with what lives in them from now on, $30 to $32 buckets with what they hold from now on, and $33 how
/// often the writer's row was read back.
///
/// Changes nothing if a bucket is not the same or a key is there (`fits` is empty then), or if the writer has read its row back since:
/// unlike a transaction that gets no COMMIT, a statement whose client has gone goes on, and may come to its end after the client was
/// told that it had not, and has tried again. The row is locked before anything is stored, so that whoever reads it back waits.
///
/// A key that another writer makes meanwhile, and a volume that is not open at its epoch, are found when the others have been
/// stored: the division by zero undoes all.
pub(in crate::postgres) const STORE: &str = concat!(
    "WITH held AS (SELECT b.id FROM buckets b \
     JOIN UNNEST($21::bytea[], $22::bytea[]) AS u (id, row_hash) ON b.id = u.id AND b.row_hash = u.row_hash \
     FOR SHARE OF b), \
     own AS (SELECT w.id FROM writers w \
     WHERE w.id = $19 AND w.read_backs <= $33 AND w.last_batch < $20 FOR UPDATE), \
     fits AS (SELECT 1 AS one FROM own WHERE (SELECT count(*) FROM held) = array_length($21::bytea[], 1) \
     AND NOT EXISTS (SELECT 1 FROM objects o JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, key) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key)), \
     stored AS (INSERT INTO objects (",
    names!(),
    ", older_count) SELECT u.*, 0 FROM fits, UNNEST(",
    arrays!(),
    ") AS u (",
    names!(),
    ") ON CONFLICT (bucket_id, key) DO NOTHING RETURNING 1 AS one), \
     advanced AS (UPDATE volumes o SET committed_end = GREATEST(o.committed_end, u.committed_end), \
     stored_bytes = o.stored_bytes + u.stored_bytes \
     FROM fits, UNNEST($23::bytea[], $24::int8[], $25::int8[], $26::int8[]) AS u (id, epoch, committed_end, stored_bytes) \
     WHERE o.id = u.id AND o.epoch = u.epoch AND o.state = 0 RETURNING 1 AS one), \
     lived AS (INSERT INTO volume_deltas (volume_id, writer_id, batch, live_bytes, live_items) \
     SELECT u.volume_id, $19, $20, u.live_bytes, u.live_items \
     FROM fits, UNNEST($27::bytea[], $28::int8[], $29::int8[]) AS u (volume_id, live_bytes, live_items)), \
     used AS (INSERT INTO bucket_deltas (bucket_id, writer_id, batch, bytes, objects) \
     SELECT u.bucket_id, $19, $20, u.bytes, u.objects \
     FROM fits, UNNEST($30::bytea[], $31::int8[], $32::int8[]) AS u (bucket_id, bytes, objects)) \
     INSERT INTO writers (id, last_batch, read_backs, seen) SELECT $19, $20, 0, now() FROM fits \
     WHERE fits.one / CASE WHEN (SELECT count(*) FROM stored) = array_length($1::bytea[], 1) \
     AND (SELECT count(*) FROM advanced) = array_length($23::bytea[], 1) THEN 1 ELSE 0 END = 1 \
     ON CONFLICT (id) DO UPDATE SET last_batch = excluded.last_batch, seen = excluded.seen"
);
