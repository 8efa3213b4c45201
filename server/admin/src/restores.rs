//! Restoring what is archived below a prefix, page by page, as documents of the API.

use serde::{Deserialize, Serialize};

/// How urgent a restore is, in S3's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreTier {
    /// Before all others; not for `DEEP_ARCHIVE`.
    Expedited,
    /// The usual.
    #[default]
    Standard,
    /// When nothing more urgent waits.
    Bulk,
}

/// What is to be restored: the current versions below a prefix, one page of keys at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The name of the bucket.
    pub bucket: String,
    /// What the keys begin with; all of them if it is empty.
    #[serde(default)]
    pub prefix: String,
    /// Where the page begins: what the last answer said.
    #[serde(default)]
    pub after: Option<String>,
    /// For how many days, from 1.
    pub days: u32,
    /// How urgent it is.
    #[serde(default)]
    pub tier: RestoreTier,
}

/// What became of a page of keys. A request that is sent again begins no second restore: it sets another end to the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePage {
    /// Objects whose restore was begun.
    pub begun: u64,
    /// Objects that were restored already, and get another end.
    pub extended: u64,
    /// Objects whose restore was in progress already.
    pub in_progress: u64,
    /// Objects of classes that are readable without a restore.
    pub readable: u64,
    /// Bytes of the objects whose restore was begun.
    pub begun_bytes: u64,
    /// Objects that could not be restored, and why; at most as many as a page has keys.
    pub failed: Vec<RestoreFailure>,
    /// Ask for the next page with `after` set to this; absent on the last page.
    pub next_after: Option<String>,
}

/// An object that could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFailure {
    /// Its key.
    pub key: String,
    /// Why, for people.
    pub reason: String,
}
