-- What changes often, or belongs to a bucket and not to a key, in tables of its own.

-- The tags of a version. They belong to the write that made it, so a row that is left behind is nobody's.
CREATE TABLE object_tags (
    bucket_id BLOB NOT NULL,
    key       BLOB NOT NULL,
    write_id  BLOB NOT NULL,
    tag_count INTEGER NOT NULL,
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
) STRICT, WITHOUT ROWID;

-- The configurations of a bucket, each under a name that tells its kind.
CREATE TABLE bucket_documents (
    bucket_id BLOB NOT NULL,
    name      BLOB NOT NULL,
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (bucket_id, name)
) STRICT, WITHOUT ROWID;

-- Counts the changes of buckets' configurations, so that who remembers one learns that it may have changed.
CREATE TABLE configuration (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO configuration (one, generation) VALUES (1, 0);
