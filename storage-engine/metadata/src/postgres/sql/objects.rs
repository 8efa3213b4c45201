//! Versions of objects.

/// The columns in the order `rows::object` expects, of the table or alias given.
macro_rules! columns {
    ($of:literal) => {
        concat!(
            $of,
            ".kind, ",
            $of,
            ".length_bytes, ",
            $of,
            ".modified_ms, ",
            $of,
            ".etag, ",
            $of,
            ".storage_class, ",
            $of,
            ".checksum_algorithm, ",
            $of,
            ".checksum_kind, ",
            $of,
            ".version_id, ",
            $of,
            ".ord, ",
            $of,
            ".top_ord, ",
            $of,
            ".write_id, ",
            $of,
            ".lock_mode, ",
            $of,
            ".lock_until_ms, ",
            $of,
            ".legal_hold, ",
            $of,
            ".row_hash, ",
            $of,
            ".record"
        )
    };
}

macro_rules! names {
    () => {
        "bucket_id, key, kind, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind, \
         version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, legal_hold, row_hash, record"
    };
}
pub(super) use names;

macro_rules! arrays {
    () => {
        "$1::bytea[], $2::bytea[], $3::int2[], $4::int8[], $5::int8[], $6::text[], $7::int2[], $8::int2[], \
         $9::int2[], $10::bytea[], $11::int8[], $12::int8[], $13::bytea[], $14::int2[], $15::int8[], $16::int2[], \
         $17::bytea[], $18::bytea[]"
    };
}
pub(super) use arrays;

macro_rules! assignments {
    ($from:literal) => {
        concat!(
            "kind = ",
            $from,
            ".kind, length_bytes = ",
            $from,
            ".length_bytes, modified_ms = ",
            $from,
            ".modified_ms, etag = ",
            $from,
            ".etag, storage_class = ",
            $from,
            ".storage_class, checksum_algorithm = ",
            $from,
            ".checksum_algorithm, checksum_kind = ",
            $from,
            ".checksum_kind, version_id = ",
            $from,
            ".version_id, ord = ",
            $from,
            ".ord, top_ord = ",
            $from,
            ".top_ord, write_id = ",
            $from,
            ".write_id, lock_mode = ",
            $from,
            ".lock_mode, lock_until_ms = ",
            $from,
            ".lock_until_ms, legal_hold = ",
            $from,
            ".legal_hold, row_hash = ",
            $from,
            ".row_hash, record = ",
            $from,
            ".record"
        )
    };
}

/// Locks the keys of a batch in the order of the primary key and reads their current versions. A key that is not there
/// cannot be locked: [`INSERT`] finds out if another writer made it meanwhile.
pub(in crate::postgres) const LOCK: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", o.older_count, o.bucket_id, o.key FROM objects o \
     JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, key) ON o.bucket_id = u.bucket_id AND o.key = u.key \
     ORDER BY o.bucket_id, o.key FOR UPDATE OF o"
);

/// Older versions by id, of keys that are locked.
pub(in crate::postgres) const OLDER_BY_ID: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", o.bucket_id, o.key FROM object_versions o \
     JOIN UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS u (bucket_id, key, version_id) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key AND o.version_id = u.version_id"
);

/// The newest older versions of one key.
pub(in crate::postgres) const NEWEST_OLDER: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", o.bucket_id, o.key FROM object_versions o \
     WHERE o.bucket_id = $1 AND o.key = $2 ORDER BY o.bucket_id DESC, o.key DESC, o.ord DESC LIMIT $3"
);

/// New keys. Fewer rows than given means that another writer was first with one of them.
pub(in crate::postgres) const INSERT: &str = concat!(
    "INSERT INTO objects (",
    names!(),
    ", older_count) SELECT * FROM UNNEST(",
    arrays!(),
    ", $19::int8[]) \
     ON CONFLICT (bucket_id, key) DO NOTHING"
);

/// Keys that are locked.
pub(in crate::postgres) const UPDATE: &str = concat!(
    "UPDATE objects o SET ",
    assignments!("u"),
    ", older_count = u.older_count FROM UNNEST(",
    arrays!(),
    ", $19::int8[]) AS u (",
    names!(),
    ", older_count) WHERE o.bucket_id = u.bucket_id AND o.key = u.key"
);

pub(in crate::postgres) const DELETE: &str = "DELETE FROM objects o \
     USING UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, key) WHERE o.bucket_id = u.bucket_id AND o.key = u.key";

pub(in crate::postgres) const UPSERT_OLDER: &str = concat!(
    "INSERT INTO object_versions (",
    names!(),
    ") SELECT * FROM UNNEST(",
    arrays!(),
    ") ON CONFLICT (bucket_id, key, ord) DO UPDATE SET ",
    assignments!("excluded")
);

pub(in crate::postgres) const DELETE_OLDER: &str = "DELETE FROM object_versions o \
     USING UNNEST($1::bytea[], $2::bytea[], $3::int8[]) AS u (bucket_id, key, ord) \
     WHERE o.bucket_id = u.bucket_id AND o.key = u.key AND o.ord = u.ord";

/// The current versions of many keys; the first array numbers the questions.
pub(in crate::postgres) const READ_CURRENT: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", u.question, \
     (SELECT t.tag_count FROM object_tags t WHERE t.bucket_id = o.bucket_id AND t.key = o.key \
     AND t.write_id = o.write_id) FROM objects o \
     JOIN UNNEST($1::int4[], $2::bytea[], $3::bytea[]) AS u (question, bucket_id, key) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key"
);

/// Versions by id. Both tables in one statement: a version may go from one to the other.
pub(in crate::postgres) const READ_VERSION: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", u.question, \
     (SELECT t.tag_count FROM object_tags t WHERE t.bucket_id = o.bucket_id AND t.key = o.key \
     AND t.write_id = o.write_id) FROM objects o \
     JOIN UNNEST($1::int4[], $2::bytea[], $3::bytea[], $4::bytea[]) AS u (question, bucket_id, key, version_id) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key AND o.version_id = u.version_id \
     UNION ALL \
     SELECT ",
    columns!("v"),
    ", w.question, \
     (SELECT t.tag_count FROM object_tags t WHERE t.bucket_id = v.bucket_id AND t.key = v.key \
     AND t.write_id = v.write_id) FROM object_versions v \
     JOIN UNNEST($1::int4[], $2::bytea[], $3::bytea[], $4::bytea[]) AS w (question, bucket_id, key, version_id) \
     ON v.bucket_id = w.bucket_id AND v.key = w.key AND v.version_id = w.version_id"
);

/// A walk along the primary key with the columns a listing shows.
pub(in crate::postgres) const LIST_FROM: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, \
     checksum_algorithm, checksum_kind FROM objects \
     WHERE bucket_id = $1 AND key >= $2 AND key < $3 AND kind = 0 ORDER BY bucket_id, key LIMIT $4";
pub(in crate::postgres) const LIST_AFTER: &str = "SELECT key, length_bytes, modified_ms, etag, storage_class, \
     checksum_algorithm, checksum_kind FROM objects \
     WHERE bucket_id = $1 AND key > $2 AND key < $3 AND kind = 0 ORDER BY bucket_id, key LIMIT $4";

/// A walk over everything, for the recount.
pub(in crate::postgres) const WALK_OLDER: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", o.bucket_id, o.key FROM object_versions o \
     WHERE (o.bucket_id, o.key, o.ord) > ($1, $2, $3) ORDER BY o.bucket_id, o.key, o.ord LIMIT $4"
);

/// With how many older versions each key has.
pub(in crate::postgres) const WALK_COUNTED: &str = concat!(
    "SELECT ",
    columns!("o"),
    ", o.bucket_id, o.key, o.older_count FROM objects o \
     WHERE (o.bucket_id, o.key) > ($1, $2) ORDER BY o.bucket_id, o.key LIMIT $3"
);
