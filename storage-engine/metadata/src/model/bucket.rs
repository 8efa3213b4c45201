//! Buckets.

use granary_types::{BucketId, BucketName, UnixMillis};
use serde::{Deserialize, Serialize};

use super::settings::BucketSettings;

/// A bucket as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its id for life.
    pub id: BucketId,
    /// Its name.
    pub name: BucketName,
    /// When it was created.
    pub created: UnixMillis,
    /// The region it was created in.
    pub region: String,
    /// The access key or user that created it.
    pub owner: String,
    /// What commits look at. It comes last: see [`BucketSettings`].
    pub settings: BucketSettings,
}

/// A bucket to create.
pub type NewBucket = Bucket;

/// Which buckets to list, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct BucketQuery {
    /// Only names that begin with this.
    pub prefix: String,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Some buckets, in the order of their names.
#[derive(Debug, Clone)]
pub struct BucketPage {
    /// The buckets.
    pub buckets: Vec<Bucket>,
    /// Whether more follow.
    pub more: bool,
}
