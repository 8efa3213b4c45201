-- What a drive is made of: 0 not told, 1 ssd, 2 hdd. Set anew whenever its process starts.
ALTER TABLE drives ADD COLUMN class INTEGER NOT NULL DEFAULT 0;

-- Until when a version of an archive class is readable. It belongs to the write that made the version, so a row that is
-- left behind is nobody's.
CREATE TABLE object_restores (
    bucket_id BLOB NOT NULL,
    key       BLOB NOT NULL,
    write_id  BLOB NOT NULL,
    row_hash  BLOB NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (bucket_id, key, write_id)
) STRICT, WITHOUT ROWID;
