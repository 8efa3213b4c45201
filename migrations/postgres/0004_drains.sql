-- Which drives are being emptied; serves binaries from schema 1 on: one that does not know of it may still place shards on
-- such a drive, and these are moved away too.
CREATE TABLE IF NOT EXISTS drains (
    drive_id  BYTEA  PRIMARY KEY,
    target_id BYTEA,            -- the drive that takes its place; null: any
    began_ms  BIGINT NOT NULL,
    shards    BIGINT NOT NULL,  -- what was on it when it began
    bytes     BIGINT NOT NULL
);
