-- How warm a version on disks is: its copy on SSDs, if there is one or one is wanted, and how often it was read lately. It
-- belongs to the write that made the version; a row that is left behind is found and dropped, and what its copy takes freed.
-- kind: 0 read lately, 1 prefetched, 2 promoted, 3 pinned, 4 restored, 5 to 7 wanted (bulk, standard, expedited).
-- at_ms: when it was read last; of what is restored, when that ends; of what is wanted, since when.
CREATE TABLE object_warmth (
    bucket_id    BLOB NOT NULL,
    key          BLOB NOT NULL,
    write_id     BLOB NOT NULL,
    kind         INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    length_bytes INTEGER NOT NULL,
    row_hash     BLOB NOT NULL,
    record       BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX object_warmth_kinds ON object_warmth (kind, at_ms, length_bytes);
