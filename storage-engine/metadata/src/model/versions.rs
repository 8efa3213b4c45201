//! Listing all versions of the keys of a bucket.

use granary_types::{BucketId, ObjectKey, VersionId};

use super::list::ListedObject;
use super::object::VersionKind;

/// Where a page begins within the versions of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMarker {
    /// Behind the version of this id. If it is gone, all versions of the key are listed: rather twice than not at all.
    Id(VersionId),
    /// Behind this order, whether or not the version is still there.
    Order(u64),
}

/// One page of the versions of a bucket: by key, and within a key the newest first.
#[derive(Debug, Clone)]
pub struct VersionQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that hold this after the prefix are rolled up to the first occurrence of it.
    pub delimiter: Option<String>,
    /// Only keys after this one (see [`super::ListQuery::after`]), or with `after_version` also the rest of its versions.
    pub after: Option<String>,
    /// Where within the versions of `after` to go on.
    pub after_version: Option<VersionMarker>,
    /// At most this many versions and common prefixes together.
    pub limit: u32,
}

/// What a listing shows of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Object or delete marker.
    pub kind: VersionKind,
    /// Its id.
    pub version: VersionId,
    /// Its place among the versions of its key.
    pub order: u64,
    /// Whether it is the current version.
    pub is_latest: bool,
    /// What every listing shows; of a delete marker only the key and the time mean something.
    pub object: ListedObject,
}

impl ListedVersion {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.object.key
    }
}

/// A version or a rolled-up prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionEntry {
    /// A version.
    Version(ListedVersion),
    /// All keys that begin with this.
    CommonPrefix(String),
}

/// Entries in order.
#[derive(Debug, Clone)]
pub struct VersionPage {
    /// The entries.
    pub entries: Vec<VersionEntry>,
    /// Whether at least one more follows.
    pub more: bool,
}
