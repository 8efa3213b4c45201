-- What a drive is made of: 0 not told, 1 ssd, 2 hdd. Set anew whenever its node starts. Serves binaries from schema 1 on: one that
-- does not know of classes places volumes on drives of all of them, and compaction brings what is in them to where it belongs.
ALTER TABLE drives ADD COLUMN IF NOT EXISTS class SMALLINT NOT NULL DEFAULT 0;

-- Until when a version of an archive class is readable. It belongs to the write that made the version, so a row that is
-- left behind is nobody's.
CREATE TABLE IF NOT EXISTS object_restores (
    bucket_id BYTEA NOT NULL,
    key       BYTEA NOT NULL,
    write_id  BYTEA NOT NULL,
    row_hash  BYTEA NOT NULL,
    record    BYTEA NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
);
