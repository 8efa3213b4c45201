//! Looking for warm versions.

use granary_types::{BucketId, UnixMillis};

use super::warm::{WarmKind, WarmVersion};

/// Rows of one kind, in the order of their times.
#[derive(Debug, Clone, Copy)]
pub struct WarmQuery {
    /// The kind.
    pub kind: WarmKind,
    /// From this time on.
    pub from: UnixMillis,
    /// Up to this time.
    pub until: UnixMillis,
    /// At most this many.
    pub limit: u32,
}

/// A place in the order of buckets, keys and writes. Nothing need be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmAfter {
    /// The bucket's id; all zero before the first.
    pub bucket: [u8; 16],
    /// The key, or its beginning.
    pub key: Vec<u8>,
    /// The write's id.
    pub write: [u8; 16],
}

impl WarmAfter {
    /// Right before the keys of a bucket that begin with `prefix`.
    #[must_use]
    pub fn prefix(bucket: BucketId, prefix: &str) -> Self {
        Self { bucket: *bucket.as_bytes(), key: prefix.as_bytes().to_vec(), write: [0; 16] }
    }

    /// Behind a row.
    #[must_use]
    pub fn behind(version: &WarmVersion) -> Self {
        Self {
            bucket: *version.bucket.as_bytes(),
            key: version.key.as_bytes().to_vec(),
            write: *version.write.as_bytes(),
        }
    }
}

/// What the rows of a kind come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUsage {
    /// The kind.
    pub kind: WarmKind,
    /// How many versions.
    pub versions: u64,
    /// Bytes of their copies.
    pub bytes: u64,
}
