-- What the versions and the parts in each bucket take, for quotas, and events that wait to be sent. Serves binaries from
-- schema 1 on, which account nothing here and queue no events: a recount mends the sums after the last of them is gone.

-- Sums over other tables, without what is in bucket_deltas. Parts of uploads that are in progress when this runs are not in
-- it.
CREATE TABLE IF NOT EXISTS bucket_usage (
    bucket_id BYTEA PRIMARY KEY,
    bytes     BIGINT NOT NULL,
    objects   BIGINT NOT NULL  -- versions that are no delete markers
);

-- What batches added to and took from a bucket, until it is folded into the bucket's row.
CREATE TABLE IF NOT EXISTS bucket_deltas (
    bucket_id BYTEA  NOT NULL,
    writer_id BYTEA  NOT NULL,
    batch     BIGINT NOT NULL,
    bytes     BIGINT NOT NULL,
    objects   BIGINT NOT NULL,
    PRIMARY KEY (bucket_id, writer_id, batch)
);

INSERT INTO bucket_usage (bucket_id, bytes, objects)
    SELECT v.bucket_id, CAST(sum(v.length_bytes) AS BIGINT), count(*) FROM (
        SELECT bucket_id, length_bytes FROM objects WHERE kind = 0
        UNION ALL SELECT bucket_id, length_bytes FROM object_versions WHERE kind = 0
    ) AS v GROUP BY v.bucket_id
    ON CONFLICT (bucket_id) DO NOTHING;

-- Events that wait to be sent to a target, each made true with the write that caused it.
CREATE TABLE IF NOT EXISTS events (
    target    BYTEA  NOT NULL,
    bucket_id BYTEA  NOT NULL,
    at_ms     BIGINT NOT NULL,
    id        BYTEA  NOT NULL,  -- random
    row_hash  BYTEA  NOT NULL,
    record    BYTEA  NOT NULL,
    PRIMARY KEY (target, bucket_id, at_ms, id)
);
