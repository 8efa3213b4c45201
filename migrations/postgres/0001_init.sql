-- Granary's metadata in Postgres, schema 1; serves binaries from schema 1 on.
--
-- Written for what Postgres, Citus, YugabyteDB and CockroachDB all run. Keys, names and ids are BYTEA, so that order
-- is byte order everywhere. Rows that requests read by themselves carry `row_hash`, the first 16 bytes of a BLAKE3
-- over the row's content. Every statement may be run again: a migration that was cut off is started anew.

CREATE TABLE IF NOT EXISTS buckets (
    name     BYTEA PRIMARY KEY,
    id       BYTEA NOT NULL UNIQUE,
    row_hash BYTEA NOT NULL,
    record   BYTEA NOT NULL
);

-- The current version of each key.
CREATE TABLE IF NOT EXISTS objects (
    bucket_id          BYTEA    NOT NULL,
    key                BYTEA    NOT NULL,
    kind               SMALLINT NOT NULL,  -- 0 object, 1 delete marker
    length_bytes       BIGINT   NOT NULL,
    modified_ms        BIGINT   NOT NULL,
    etag               TEXT     NOT NULL,
    storage_class      SMALLINT NOT NULL,
    checksum_algorithm SMALLINT,
    checksum_kind      SMALLINT,
    version_id         BYTEA    NOT NULL,  -- 16 zero bytes: the null version
    ord                BIGINT   NOT NULL,  -- the version's place among the versions of its key
    top_ord            BIGINT   NOT NULL,  -- the highest ord this key ever gave
    write_id           BYTEA    NOT NULL,
    lock_mode          SMALLINT,           -- object lock; not used yet
    lock_until_ms      BIGINT,
    legal_hold         SMALLINT NOT NULL,
    row_hash           BYTEA    NOT NULL,
    record             BYTEA    NOT NULL,  -- checksum value, attributes, content
    older_count        BIGINT   NOT NULL,  -- rows of this key in object_versions
    PRIMARY KEY (bucket_id, key)
);

-- Older versions, so that a key with a million of them does not slow a listing.
CREATE TABLE IF NOT EXISTS object_versions (
    bucket_id          BYTEA    NOT NULL,
    key                BYTEA    NOT NULL,
    kind               SMALLINT NOT NULL,
    length_bytes       BIGINT   NOT NULL,
    modified_ms        BIGINT   NOT NULL,
    etag               TEXT     NOT NULL,
    storage_class      SMALLINT NOT NULL,
    checksum_algorithm SMALLINT,
    checksum_kind      SMALLINT,
    version_id         BYTEA    NOT NULL,
    ord                BIGINT   NOT NULL,
    top_ord            BIGINT   NOT NULL,  -- of no meaning here; keeps the two tables alike
    write_id           BYTEA    NOT NULL,
    lock_mode          SMALLINT,
    lock_until_ms      BIGINT,
    legal_hold         SMALLINT NOT NULL,
    row_hash           BYTEA    NOT NULL,
    record             BYTEA    NOT NULL,
    PRIMARY KEY (bucket_id, key, ord)
);
CREATE UNIQUE INDEX IF NOT EXISTS object_versions_by_id ON object_versions (bucket_id, key, version_id);

CREATE TABLE IF NOT EXISTS uploads (
    bucket_id    BYTEA  NOT NULL,
    key          BYTEA  NOT NULL,
    initiated_ms BIGINT NOT NULL,
    upload_id    BYTEA  NOT NULL,
    row_hash     BYTEA  NOT NULL,
    record       BYTEA  NOT NULL,
    PRIMARY KEY (bucket_id, key, initiated_ms, upload_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS uploads_by_id ON uploads (bucket_id, upload_id);

CREATE TABLE IF NOT EXISTS parts (
    bucket_id BYTEA    NOT NULL,
    upload_id BYTEA    NOT NULL,
    number    INTEGER  NOT NULL,
    row_hash  BYTEA    NOT NULL,
    record    BYTEA    NOT NULL,
    PRIMARY KEY (bucket_id, upload_id, number)
);

-- Blobs belong to no bucket: copies in several buckets share them.
CREATE TABLE IF NOT EXISTS blobs (
    id       BYTEA PRIMARY KEY,
    row_hash BYTEA NOT NULL,
    record   BYTEA NOT NULL
);

-- One row for each reference: a blob lives while it has one.
CREATE TABLE IF NOT EXISTS blob_refs (
    blob_id  BYTEA NOT NULL,
    referrer BYTEA NOT NULL,
    PRIMARY KEY (blob_id, referrer)
);

CREATE TABLE IF NOT EXISTS volumes (
    id             BYTEA PRIMARY KEY,
    data_columns   SMALLINT NOT NULL,
    parity_columns SMALLINT NOT NULL,
    drives         BYTEA    NOT NULL,  -- 16 bytes for each column
    opened_ms      BIGINT   NOT NULL,
    state          SMALLINT NOT NULL,  -- 0 open, 1 sealed, 2 freed
    epoch          BIGINT   NOT NULL,
    committed_end  BIGINT   NOT NULL,
    stored_bytes   BIGINT   NOT NULL,
    live_bytes     BIGINT   NOT NULL,  -- without what is in volume_deltas
    live_items     BIGINT   NOT NULL,
    freed_ms       BIGINT
);

-- What batches added to and took from a volume's live bytes, until it is folded into the volume's row.
CREATE TABLE IF NOT EXISTS volume_deltas (
    volume_id  BYTEA  NOT NULL,
    writer_id  BYTEA  NOT NULL,
    batch      BIGINT NOT NULL,
    live_bytes BIGINT NOT NULL,
    live_items BIGINT NOT NULL,
    PRIMARY KEY (volume_id, writer_id, batch)
);

CREATE TABLE IF NOT EXISTS drives (
    id       BYTEA   PRIMARY KEY,
    slot     INTEGER NOT NULL,
    row_hash BYTEA   NOT NULL,
    record   BYTEA   NOT NULL
);

-- One row for each life of a node: the last batch it committed. It is read back when a connection dies in COMMIT.
CREATE TABLE IF NOT EXISTS writers (
    id         BYTEA PRIMARY KEY,
    last_batch BIGINT NOT NULL,
    read_backs BIGINT NOT NULL,
    seen       TIMESTAMPTZ NOT NULL
);
