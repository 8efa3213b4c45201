//! Listing all versions of keys.

macro_rules! listed {
    ($of:literal) => {
        concat!(
            $of,
            ".key, ",
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
            ".kind, ",
            $of,
            ".version_id, ",
            $of,
            ".ord"
        )
    };
}

/// A walk along the keys.
pub(in crate::postgres) const LIST_FROM: &str = concat!(
    "SELECT ",
    listed!("o"),
    ", o.older_count FROM objects o \
     WHERE o.bucket_id = $1 AND o.key >= $2 AND o.key < $3 ORDER BY o.bucket_id, o.key LIMIT $4"
);
pub(in crate::postgres) const LIST_AFTER: &str = concat!(
    "SELECT ",
    listed!("o"),
    ", o.older_count FROM objects o \
     WHERE o.bucket_id = $1 AND o.key > $2 AND o.key < $3 ORDER BY o.bucket_id, o.key LIMIT $4"
);

/// The current version of a key.
pub(in crate::postgres) const CURRENT: &str =
    concat!("SELECT ", listed!("o"), ", o.older_count FROM objects o WHERE o.bucket_id = $1 AND o.key = $2");

/// Older versions of one key, the newest first.
pub(in crate::postgres) const OLDER: &str = concat!(
    "SELECT ",
    listed!("o"),
    " FROM object_versions o WHERE o.bucket_id = $1 AND o.key = $2 AND o.ord < $3 \
     ORDER BY o.bucket_id DESC, o.key DESC, o.ord DESC LIMIT $4"
);

/// All older versions of keys that have few.
pub(in crate::postgres) const OLDER_OF_KEYS: &str = concat!(
    "SELECT ",
    listed!("o"),
    " FROM object_versions o JOIN UNNEST($1::bytea[], $2::bytea[]) AS u (bucket_id, key) \
     ON o.bucket_id = u.bucket_id AND o.key = u.key"
);

/// Where a version is among those of its key.
pub(in crate::postgres) const ORDER: &str = "SELECT ord FROM objects \
     WHERE bucket_id = $1 AND key = $2 AND version_id = $3 UNION ALL \
     SELECT ord FROM object_versions WHERE bucket_id = $1 AND key = $2 AND version_id = $3";
