-- Schema 2: what changes often, or belongs to a bucket and not to a key, in tables of its own; serves binaries from
-- schema 1 on, which leave the tags of what they delete behind.

-- The tags of a version. They belong to the write that made it, so a row that is left behind is nobody's.
CREATE TABLE IF NOT EXISTS object_tags (
    bucket_id BYTEA    NOT NULL,
    key       BYTEA    NOT NULL,
    write_id  BYTEA    NOT NULL,
    tag_count SMALLINT NOT NULL,
    row_hash  BYTEA    NOT NULL,
    record    BYTEA    NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
);

-- The configurations of a bucket, each under a name that tells its kind.
CREATE TABLE IF NOT EXISTS bucket_documents (
    bucket_id BYTEA NOT NULL,
    name      BYTEA NOT NULL,
    row_hash  BYTEA NOT NULL,
    record    BYTEA NOT NULL,
    PRIMARY KEY (bucket_id, name)
);

-- Counts the changes of buckets' configurations, so that who remembers one learns that it may have changed.
CREATE TABLE IF NOT EXISTS configuration (
    one        SMALLINT PRIMARY KEY,
    generation BIGINT NOT NULL
);
