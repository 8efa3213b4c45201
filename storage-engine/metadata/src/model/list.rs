//! Listing the current objects of a bucket.

use granary_types::{BucketId, ChecksumAlgorithm, ChecksumKind, Etag, ObjectKey, StorageClass, UnixMillis};

/// One page of a listing. The store walks the primary key and skips past each common prefix with one seek.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that hold this after the prefix are rolled up to the first occurrence of it.
    pub delimiter: Option<String>,
    /// Only keys after this one. If it ends in a rolled-up common prefix (begins with `prefix`, ends with the
    /// first `delimiter` after it), everything under that common prefix is skipped too.
    pub after: Option<String>,
    /// At most this many objects and common prefixes together.
    pub limit: u32,
}

/// What a listing shows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: ObjectKey,
    /// The length.
    pub length_bytes: u64,
    /// The entity tag.
    pub etag: Etag,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// The storage class.
    pub storage_class: StorageClass,
    /// The checksum's algorithm and kind, if it has one.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// An object or a rolled-up prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListEntry {
    /// An object.
    Object(ListedObject),
    /// All keys that begin with this.
    CommonPrefix(String),
}

/// Entries in byte order.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The entries.
    pub entries: Vec<ListEntry>,
    /// Whether at least one more follows.
    pub more: bool,
}
