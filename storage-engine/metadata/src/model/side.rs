//! What lies beside the rows of objects and buckets: tags and configurations.

use granary_types::{BucketId, ObjectKey, UnixMillis, VersionId, WriteId};
use serde::{Deserialize, Serialize};

/// A tag's key and value.
pub type Tag = (String, String);

/// Give a version other tags. It is applied only if the version exists and `write` made it; otherwise the outcome is
/// [`super::Outcome::NoSuchKey`]. In the same commit as the put of that version and behind it, it makes both true at
/// once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagging {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// All its tags from now on.
    pub tags: Vec<Tag>,
}

/// Give a version another access control list, or none of its own. It is applied as [`Tagging`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclChange {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// The list, into which the store does not look; `None` for the default one, which is not stored.
    pub acl: Option<Vec<u8>>,
}

/// That a version of an archive class can be read for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When that was asked for last.
    pub requested: UnixMillis,
    /// Until when it can be read.
    pub expires: UnixMillis,
}

/// Let a version be readable for a while, or not any more. It is applied as [`Tagging`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreChange {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// How long; `None` for not any more.
    pub restored: Option<Restored>,
}

/// A configuration of a bucket. The store does not look into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketDocument {
    /// The bucket.
    pub bucket: BucketId,
    /// What it is called.
    pub name: String,
    /// The configuration; `None` removes it.
    pub document: Option<Vec<u8>>,
}

impl BucketDocument {
    /// What the names begin with under which background work keeps how far it is.
    pub const PROGRESS: &str = "worker/";

    /// Whether it is a change that other nodes must learn of. How far background work is nobody remembers, and it changes with
    /// every page of a walk.
    #[must_use]
    pub fn counts_as_change(&self) -> bool {
        !self.name.starts_with(Self::PROGRESS)
    }
}

/// Which configurations of a bucket to list, in the order of their names.
#[derive(Debug, Clone)]
pub struct DocumentQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only names that begin with this.
    pub prefix: String,
    /// Only names after this one.
    pub after: String,
    /// At most this many.
    pub limit: u32,
}
