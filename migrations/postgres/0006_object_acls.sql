-- The access control list of a version that has another one than its owner's alone. It belongs to the write that made the
-- version, so a row that is left behind is nobody's. Serves binaries from schema 1 on, which leave the lists of what they
-- delete behind.
CREATE TABLE IF NOT EXISTS object_acls (
    bucket_id BYTEA NOT NULL,
    key       BYTEA NOT NULL,
    write_id  BYTEA NOT NULL,
    row_hash  BYTEA NOT NULL,
    record    BYTEA NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
);
