//! Buckets.

/// Keeps the buckets of a batch from being deleted until it ends.
pub(in crate::postgres) const LOCK: &str =
    "SELECT id, name, row_hash, record FROM buckets WHERE id = ANY($1) ORDER BY name FOR SHARE";

pub(in crate::postgres) const LOCK_NAME: &str = "SELECT id FROM buckets WHERE name = $1 FOR UPDATE";

pub(in crate::postgres) const INSERT: &str =
    "INSERT INTO buckets (name, id, row_hash, record) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

pub(in crate::postgres) const IN_USE: &str = "SELECT \
     EXISTS (SELECT 1 FROM objects WHERE bucket_id = $1) \
     OR EXISTS (SELECT 1 FROM object_versions WHERE bucket_id = $1) \
     OR EXISTS (SELECT 1 FROM uploads WHERE bucket_id = $1)";

pub(in crate::postgres) const UPDATE: &str = "UPDATE buckets SET row_hash = $2, record = $3 WHERE name = $1";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM buckets WHERE name = $1";

pub(in crate::postgres) const READ: &str = "SELECT name, row_hash, record FROM buckets WHERE name = ANY($1)";

pub(in crate::postgres) const LIST: &str = "SELECT name, row_hash, record FROM buckets \
     WHERE name >= $1 AND name > $2 AND name < $3 ORDER BY name LIMIT $4";
