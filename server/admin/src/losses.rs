//! The documents about what was lost when the metadata's database failed over.

use serde::{Deserialize, Serialize};

/// Something that was answered to a client and is not as it was answered any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// Why: `delete`, `condition`, `conflict`, `bytes`, `bucket`, `part`, `refused` or `change`.
    pub kind: String,
    /// The history of the database that began with the fail-over.
    pub timeline: u32,
    /// When it was found, in milliseconds since 1970.
    pub found_ms: i64,
    /// The bucket; empty for what belongs to none.
    pub bucket: String,
    /// The key, or the name of what was changed.
    pub key: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The write.
    pub write: Option<String>,
    /// In words.
    pub detail: String,
}

/// A page of losses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossList {
    /// The losses.
    pub losses: Vec<LossReport>,
    /// Where the next page begins, in hex; absent at the end.
    pub next_after: Option<String>,
    /// Whether it is still being found out what the last fail-over lost, so that nothing is freed.
    pub failing_over: bool,
    /// How many copies of the metadata are missing of those that there should be; 0 for a store with a database of its own.
    #[serde(default)]
    pub copies_missing: u64,
}

/// How many losses were dismissed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossesDismissed {
    /// How many.
    pub dismissed: u64,
}
