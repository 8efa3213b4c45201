-- Granary's embedded metadata, schema 1.
--
-- Keys, names and ids are BLOBs, so that order is byte order. Every table with rows that requests read
-- carries `row_hash`, the first 16 bytes of a BLAKE3 over the row's content, which is checked whenever the row is
-- read by itself. Columns that a listing shows come first; `record`, which may spill to overflow pages, comes last.

-- The one row that tells what this file is and how far it has come.
CREATE TABLE state (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    store_id    BLOB NOT NULL,     -- random, the same in every copy
    generation  INTEGER NOT NULL,  -- raised whenever the database is rebuilt from a copy
    applied_seq INTEGER NOT NULL,  -- the last batch applied
    chain       BLOB NOT NULL      -- the hash of the log up to that batch
) STRICT;

CREATE TABLE buckets (
    name     BLOB PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    record   BLOB NOT NULL,
    row_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The current version of each key.
CREATE TABLE objects (
    bucket_id          BLOB NOT NULL,
    key                BLOB NOT NULL,
    kind               INTEGER NOT NULL,  -- 0 object, 1 delete marker
    length_bytes       INTEGER NOT NULL,
    modified_ms        INTEGER NOT NULL,
    etag               TEXT NOT NULL,
    storage_class      INTEGER NOT NULL,
    checksum_algorithm INTEGER,
    checksum_kind      INTEGER,
    version_id         BLOB NOT NULL,     -- 16 zero bytes: the null version
    ord                INTEGER NOT NULL,  -- the version's place among the versions of its key
    top_ord            INTEGER NOT NULL,  -- the highest ord this key ever gave
    write_id           BLOB NOT NULL,
    lock_mode          INTEGER,           -- object lock; not used yet
    lock_until_ms      INTEGER,
    legal_hold         INTEGER NOT NULL DEFAULT 0,
    row_hash           BLOB NOT NULL,
    record             BLOB NOT NULL,     -- checksum value, attributes, content
    PRIMARY KEY (bucket_id, key)
) STRICT, WITHOUT ROWID;

-- Older versions, so that a key with a million of them does not slow a listing.
CREATE TABLE object_versions (
    bucket_id          BLOB NOT NULL,
    key                BLOB NOT NULL,
    kind               INTEGER NOT NULL,
    length_bytes       INTEGER NOT NULL,
    modified_ms        INTEGER NOT NULL,
    etag               TEXT NOT NULL,
    storage_class      INTEGER NOT NULL,
    checksum_algorithm INTEGER,
    checksum_kind      INTEGER,
    version_id         BLOB NOT NULL,
    ord                INTEGER NOT NULL,
    top_ord            INTEGER NOT NULL,  -- of no meaning here; keeps the two tables alike
    write_id           BLOB NOT NULL,
    lock_mode          INTEGER,
    lock_until_ms      INTEGER,
    legal_hold         INTEGER NOT NULL DEFAULT 0,
    row_hash           BLOB NOT NULL,
    record             BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, ord)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX object_versions_by_id ON object_versions (bucket_id, key, version_id);

CREATE TABLE uploads (
    bucket_id    BLOB NOT NULL,
    key          BLOB NOT NULL,
    initiated_ms INTEGER NOT NULL,
    upload_id    BLOB NOT NULL,
    row_hash     BLOB NOT NULL,
    record       BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, initiated_ms, upload_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX uploads_by_id ON uploads (upload_id);

CREATE TABLE parts (
    upload_id BLOB NOT NULL,
    number    INTEGER NOT NULL,
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (upload_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    id       BLOB PRIMARY KEY,
    row_hash BLOB NOT NULL,
    record   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each reference: a blob lives while it has one.
CREATE TABLE blob_refs (
    blob_id  BLOB NOT NULL,
    referrer BLOB NOT NULL,
    PRIMARY KEY (blob_id, referrer)
) STRICT, WITHOUT ROWID;

CREATE TABLE volumes (
    id       BLOB PRIMARY KEY,
    row_hash BLOB NOT NULL,
    record   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE drives (
    id       BLOB PRIMARY KEY,
    slot     INTEGER NOT NULL,
    row_hash BLOB NOT NULL,
    record   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
