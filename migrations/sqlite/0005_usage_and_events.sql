-- What the versions and the parts in each bucket take, for quotas: plain sums over other tables, which the recount makes
-- anew. Parts of uploads that are in progress when this runs are not in it.
CREATE TABLE bucket_usage (
    bucket_id BLOB PRIMARY KEY,
    bytes     INTEGER NOT NULL,
    objects   INTEGER NOT NULL  -- versions that are no delete markers
) STRICT, WITHOUT ROWID;
INSERT INTO bucket_usage (bucket_id, bytes, objects)
    SELECT bucket_id, sum(length_bytes), count(*) FROM (
        SELECT bucket_id, length_bytes FROM objects WHERE kind = 0
        UNION ALL SELECT bucket_id, length_bytes FROM object_versions WHERE kind = 0
    ) GROUP BY bucket_id;

-- Events that wait to be sent to a target, each made true with the write that caused it.
CREATE TABLE events (
    target    BLOB NOT NULL,
    bucket_id BLOB NOT NULL,
    at_ms     INTEGER NOT NULL,
    id        BLOB NOT NULL,  -- random
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (target, bucket_id, at_ms, id)
) STRICT, WITHOUT ROWID;
