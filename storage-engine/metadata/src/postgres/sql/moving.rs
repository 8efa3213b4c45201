//! Copying everything: walks along the primary keys, and inserts of what another store knew.

/// The one row that tells of a copy into this database. As the schema's own table, it is not part of the migrations.
pub(in crate::postgres) const CREATE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS granary_copy (one SMALLINT PRIMARY KEY, state BYTEA NOT NULL)";

pub(in crate::postgres) const TABLE_EXISTS: &str = "SELECT count(*) FROM information_schema.tables \
     WHERE table_name = 'granary_copy' AND table_schema = current_schema()";

pub(in crate::postgres) const FIRST_ROW: &str =
    "INSERT INTO granary_copy (one, state) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";

pub(in crate::postgres) const READ_STATE: &str = "SELECT state FROM granary_copy WHERE one = 1";

pub(in crate::postgres) const LOCK_STATE: &str = "SELECT state FROM granary_copy WHERE one = 1 FOR UPDATE";

pub(in crate::postgres) const SET_STATE: &str = "UPDATE granary_copy SET state = $1 WHERE one = 1";

/// Sessions of others on this database: nodes keep theirs open.
pub(in crate::postgres) const OTHER_SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Whether anything is stored here.
pub(in crate::postgres) const IN_USE: &str = "SELECT EXISTS (SELECT 1 FROM drives) \
     OR EXISTS (SELECT 1 FROM volumes) OR EXISTS (SELECT 1 FROM buckets) OR EXISTS (SELECT 1 FROM blobs) \
     OR EXISTS (SELECT 1 FROM blob_refs) OR EXISTS (SELECT 1 FROM objects) \
     OR EXISTS (SELECT 1 FROM object_versions) OR EXISTS (SELECT 1 FROM uploads) OR EXISTS (SELECT 1 FROM parts) \
     OR EXISTS (SELECT 1 FROM object_tags) OR EXISTS (SELECT 1 FROM bucket_documents) \
     OR EXISTS (SELECT 1 FROM identities) OR EXISTS (SELECT 1 FROM object_acls) \
     OR EXISTS (SELECT 1 FROM events) OR EXISTS (SELECT 1 FROM object_restores) \
     OR EXISTS (SELECT 1 FROM object_warmth)";

pub(in crate::postgres) const EMPTY: &str = "TRUNCATE TABLE drives, volumes, volume_deltas, buckets, blobs, \
     blob_refs, objects, object_versions, uploads, parts, object_tags, bucket_documents, identities, \
     object_acls, bucket_usage, bucket_deltas, events, object_restores, object_warmth, writers";

pub(in crate::postgres) const COUNT_DRIVES: &str = "SELECT count(*) FROM drives";
pub(in crate::postgres) const COUNT_VOLUMES: &str = "SELECT count(*) FROM volumes";
pub(in crate::postgres) const COUNT_BUCKETS: &str = "SELECT count(*) FROM buckets";
pub(in crate::postgres) const COUNT_BLOBS: &str = "SELECT count(*) FROM blobs";
pub(in crate::postgres) const COUNT_REFERENCES: &str = "SELECT count(*) FROM blob_refs";
pub(in crate::postgres) const COUNT_OBJECTS: &str = "SELECT count(*) FROM objects";
pub(in crate::postgres) const COUNT_VERSIONS: &str = "SELECT count(*) FROM object_versions";
pub(in crate::postgres) const COUNT_UPLOADS: &str = "SELECT count(*) FROM uploads";
pub(in crate::postgres) const COUNT_PARTS: &str = "SELECT count(*) FROM parts";
pub(in crate::postgres) const COUNT_TAGS: &str = "SELECT count(*) FROM object_tags";
pub(in crate::postgres) const COUNT_ACLS: &str = "SELECT count(*) FROM object_acls";
pub(in crate::postgres) const COUNT_EVENTS: &str = "SELECT count(*) FROM events";
pub(in crate::postgres) const COUNT_RESTORES: &str = "SELECT count(*) FROM object_restores";
pub(in crate::postgres) const COUNT_WARMTH: &str = "SELECT count(*) FROM object_warmth";
pub(in crate::postgres) const COUNT_DOCUMENTS: &str = "SELECT count(*) FROM bucket_documents";

pub(in crate::postgres) const WALK_DRIVES: &str =
    "SELECT id, row_hash, record, class FROM drives WHERE id > $1 ORDER BY id LIMIT $2";
pub(in crate::postgres) const WALK_BUCKETS: &str =
    "SELECT name, row_hash, record FROM buckets WHERE name > $1 ORDER BY name LIMIT $2";
pub(in crate::postgres) const WALK_BLOBS: &str =
    "SELECT id, row_hash, record FROM blobs WHERE id > $1 ORDER BY id LIMIT $2";
pub(in crate::postgres) const WALK_REFERENCES: &str = "SELECT blob_id, referrer FROM blob_refs \
     WHERE (blob_id, referrer) > ($1, $2) ORDER BY blob_id, referrer LIMIT $3";
pub(in crate::postgres) const WALK_UPLOADS: &str = "SELECT upload_id, row_hash, record, bucket_id, key, \
     initiated_ms FROM uploads WHERE (bucket_id, key, initiated_ms, upload_id) > ($1, $2, $3, $4) \
     ORDER BY bucket_id, key, initiated_ms, upload_id LIMIT $5";
pub(in crate::postgres) const WALK_PARTS: &str = "SELECT bucket_id, upload_id, number, row_hash, record FROM parts \
     WHERE (bucket_id, upload_id, number) > ($1, $2, $3) ORDER BY bucket_id, upload_id, number LIMIT $4";

pub(in crate::postgres) const WALK_TAGS: &str = "SELECT bucket_id, key, write_id, row_hash, record FROM object_tags \
     WHERE (bucket_id, key, write_id) > ($1, $2, $3) ORDER BY bucket_id, key, write_id LIMIT $4";
pub(in crate::postgres) const WALK_ACLS: &str = "SELECT bucket_id, key, write_id, row_hash, record FROM object_acls \
     WHERE (bucket_id, key, write_id) > ($1, $2, $3) ORDER BY bucket_id, key, write_id LIMIT $4";
pub(in crate::postgres) const WALK_RESTORES: &str = "SELECT bucket_id, key, write_id, row_hash, record \
     FROM object_restores WHERE (bucket_id, key, write_id) > ($1, $2, $3) ORDER BY bucket_id, key, write_id LIMIT $4";
pub(in crate::postgres) const WALK_DOCUMENTS: &str = "SELECT bucket_id, name, row_hash, record \
     FROM bucket_documents WHERE (bucket_id, name) > ($1, $2) ORDER BY bucket_id, name LIMIT $3";

pub(in crate::postgres) const INSERT_BUCKETS: &str = "INSERT INTO buckets (name, id, row_hash, record) \
     SELECT * FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[])";

pub(in crate::postgres) const INSERT_VOLUMES: &str = "INSERT INTO volumes (id, data_columns, parity_columns, \
     drives, opened_ms, state, epoch, committed_end, stored_bytes, live_bytes, live_items, freed_ms) \
     SELECT * FROM UNNEST($1::bytea[], $2::int2[], $3::int2[], $4::bytea[], $5::int8[], $6::int2[], $7::int8[], \
     $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[])";
