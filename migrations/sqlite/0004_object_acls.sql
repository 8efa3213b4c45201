-- The access control list of a version that has another one than its owner's alone. It belongs to the write that made the
-- version, so a row that is left behind is nobody's.
CREATE TABLE object_acls (
    bucket_id BLOB NOT NULL,
    key       BLOB NOT NULL,
    write_id  BLOB NOT NULL,
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
) STRICT, WITHOUT ROWID;
