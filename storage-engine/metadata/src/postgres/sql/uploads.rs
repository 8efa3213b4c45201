//! Multipart uploads and their parts.

/// Locks the uploads of a batch. Whoever adds a part and whoever ends the upload wait for each other here.
pub(in crate::postgres) const LOCK: &str = "SELECT o.bucket_id, o.upload_id, o.row_hash, o.record FROM uploads o \
     JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, upload_id) \
     ON o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id \
     ORDER BY o.bucket_id, o.key, o.initiated_ms, o.upload_id FOR UPDATE OF o";

pub(in crate::postgres) const INSERT: &str = "INSERT INTO uploads \
     (bucket_id, key, initiated_ms, upload_id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[], $5::bytea[], $6::bytea[]) \
     ON CONFLICT DO NOTHING";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM uploads o \
     USING UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, upload_id) \
     WHERE o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id";

/// Named parts of uploads that are locked.
pub(in crate::postgres) const PARTS_BY_NUMBER: &str = "SELECT o.bucket_id, o.upload_id, o.number, o.row_hash, o.record FROM parts o \
     JOIN UNNEST($1::bytea[], $2::bytea[], $3::int4[]) AS u (bucket_id, upload_id, number) \
     ON o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id AND o.number = u.number";

/// All parts of uploads that are locked and may end.
pub(in crate::postgres) const ALL_PARTS: &str = "SELECT o.bucket_id, o.upload_id, o.number, o.row_hash, o.record FROM parts o \
     JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, upload_id) \
     ON o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id";

pub(in crate::postgres) const UPSERT_PARTS: &str = "INSERT INTO parts (bucket_id, upload_id, number, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::int4[], $4::bytea[], $5::bytea[]) \
     ON CONFLICT (bucket_id, upload_id, number) \
     DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE_PARTS: &str = "DELETE FROM parts o \
     USING UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, upload_id) \
     WHERE o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id";

pub(in crate::postgres) const READ: &str = "SELECT o.upload_id, o.row_hash, o.record FROM uploads o \
     JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, upload_id) \
     ON o.bucket_id = u.bucket_id AND o.upload_id = u.upload_id";

/// A page of parts, empty if the upload is gone or is another key's.
pub(in crate::postgres) const LIST_PARTS: &str = "SELECT o.bucket_id, o.upload_id, o.number, o.row_hash, o.record FROM parts o \
     WHERE o.bucket_id = $1 AND o.upload_id = $2 AND o.number > $4 \
     AND EXISTS (SELECT 1 FROM uploads u WHERE u.bucket_id = $1 AND u.upload_id = $2 AND u.key = $3) \
     ORDER BY o.bucket_id, o.upload_id, o.number LIMIT $5";

pub(in crate::postgres) const STARTED: &str =
    "SELECT initiated_ms FROM uploads WHERE bucket_id = $1 AND upload_id = $2 AND key = $3";

pub(in crate::postgres) const LIST_FROM: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = $1 AND key >= $2 AND key < $3 \
     ORDER BY bucket_id, key, initiated_ms, upload_id LIMIT $4";
pub(in crate::postgres) const LIST_AFTER: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = $1 AND key > $2 AND key < $3 \
     ORDER BY bucket_id, key, initiated_ms, upload_id LIMIT $4";
/// Within one key.
pub(in crate::postgres) const LIST_WITHIN: &str = "SELECT key, upload_id, row_hash, record FROM uploads \
     WHERE bucket_id = $1 AND key = $2 AND (initiated_ms, upload_id) > ($3, $4) \
     ORDER BY bucket_id, key, initiated_ms, upload_id LIMIT $5";
