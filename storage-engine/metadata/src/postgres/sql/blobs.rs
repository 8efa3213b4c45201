//! Blobs and references to them.

pub(in crate::postgres) const LOCK: &str =
    "SELECT id, row_hash, record FROM blobs WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// How many references each of these blobs has, counted no further than the number beside it. The order keeps the planner to the
/// primary key: when one blob has nearly all the references, it would rather scan the table for each.
pub(in crate::postgres) const COUNT_REFERENCES: &str = "SELECT u.blob_id, (SELECT count(*) FROM \
     (SELECT 1 FROM blob_refs r WHERE r.blob_id = u.blob_id \
     ORDER BY r.blob_id, r.referrer LIMIT u.most) AS few) \
     FROM UNNEST($1::bytea[], $2::int8[]) AS u (blob_id, most)";

/// Which of these references exist.
pub(in crate::postgres) const FIND_REFERENCES: &str = "SELECT o.blob_id, o.referrer FROM blob_refs o \
     JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (blob_id, referrer) \
     ON o.blob_id = u.blob_id AND o.referrer = u.referrer";

pub(in crate::postgres) const UPSERT: &str = "INSERT INTO blobs (id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) \
     ON CONFLICT (id) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM blobs WHERE id = ANY($1)";

pub(in crate::postgres) const INSERT_REFERENCES: &str = "INSERT INTO blob_refs (blob_id, referrer) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[]) ON CONFLICT (blob_id, referrer) DO NOTHING";

pub(in crate::postgres) const DELETE_REFERENCES: &str = "DELETE FROM blob_refs o \
     USING UNNEST($1::bytea[], $2::bytea[]) AS u (blob_id, referrer) \
     WHERE o.blob_id = u.blob_id AND o.referrer = u.referrer";

pub(in crate::postgres) const READ: &str = "SELECT id, row_hash, record FROM blobs WHERE id = ANY($1)";

/// A walk over all blobs that something refers to, for the recount.
pub(in crate::postgres) const WALK: &str = "SELECT b.id, b.row_hash, b.record FROM blobs b \
     WHERE b.id > $1 AND EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob_id = b.id) ORDER BY b.id LIMIT $2";
