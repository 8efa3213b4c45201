-- How warm a version on disks is: its copy on SSDs, if there is one or one is wanted, and how often it was read lately. It
-- belongs to the write that made the version; a row that is left behind is found and dropped, and what its copy takes freed.
-- kind: 0 read lately, 1 prefetched, 2 promoted, 3 pinned, 4 restored, 5 to 7 wanted (bulk, standard, expedited).
-- at_ms: when it was read last; of what is restored, when that ends; of what is wanted, since when.
-- Serves binaries from schema 1 on: one that does not know of warm copies reads every version from its own place, and
-- leaves alone the volumes in which copies live.
CREATE TABLE IF NOT EXISTS object_warmth (
    bucket_id    BYTEA NOT NULL,
    key          BYTEA NOT NULL,
    write_id     BYTEA NOT NULL,
    kind         SMALLINT NOT NULL,
    at_ms        BIGINT NOT NULL,
    length_bytes BIGINT NOT NULL,
    row_hash     BYTEA NOT NULL,
    record       BYTEA NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
);

CREATE INDEX IF NOT EXISTS object_warmth_kinds ON object_warmth (kind, at_ms, length_bytes);
