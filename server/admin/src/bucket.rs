//! What buckets hold and may hold, as documents of the API.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// What a bucket may have. What is not given is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketLimits {
    /// Bytes of all versions and of parts of uploads in progress.
    pub bytes_max: Option<u64>,
    /// Versions, without delete markers.
    pub objects_max: Option<u64>,
    /// Requests a second to each node.
    pub requests_per_s: Option<NonZeroU32>,
}

/// What is to be done with a bucket's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[allow(missing_docs, reason = "the fields are documented by their types")]
pub enum BucketRequest {
    /// Tell what a bucket holds and may hold.
    Show { bucket: String },
    /// Give a bucket these limits and no others.
    Limit { bucket: String, limits: BucketLimits },
    /// Count anew what all buckets hold. It reads all metadata.
    Recount,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketReport {
    /// Its name.
    pub bucket: String,
    /// The bytes that it holds.
    pub bytes: u64,
    /// The versions that it holds, without delete markers.
    pub objects: u64,
    /// What it may hold.
    pub limits: BucketLimits,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketAnswer {
    /// The bucket that was asked about.
    pub bucket: Option<BucketReport>,
}
