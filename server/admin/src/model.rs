//! The JSON documents of the API.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a drive can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriveState {
    /// It serves reads and writes.
    Online,
    /// It answers with errors, or was taken out of use after some.
    Failed,
    /// Nothing is at its path, or it is not the drive that belongs there.
    Missing,
    /// It is empty and can be filled by healing.
    Empty,
}

/// One drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveReport {
    /// Its id; absent while it has none or cannot be read.
    pub id: Option<String>,
    /// The directory it was configured with.
    pub path: String,
    /// Whether it can be used.
    pub state: DriveState,
    /// `ssd` or `hdd`, if known.
    pub class: Option<String>,
    /// The size of its file system.
    pub capacity_bytes: u64,
    /// What is free of it.
    pub free_bytes: u64,
    /// Shard files on it.
    pub shards: u64,
    /// Why it is not online, for people.
    pub detail: Option<String>,
}

/// All drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveList {
    /// In the order of configuration.
    pub drives: Vec<DriveReport>,
}

/// Whether a volume is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeState {
    /// It takes appends.
    Open,
    /// It is complete.
    Sealed,
    /// It was compacted away and waits for the end of its grace period.
    Freed,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// Its id.
    pub id: String,
    /// Whether it is still written.
    pub state: VolumeState,
    /// Its erasure code, `k+m`.
    pub erasure: String,
    /// What it takes on all its drives.
    pub stored_bytes: u64,
    /// What of the objects in it is still wanted.
    pub live_bytes: u64,
    /// Shards that are missing or damaged, as far as is known.
    pub missing_shards: u32,
    /// The ids of its drives, in shard order.
    pub drives: Vec<String>,
}

/// A page of volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePage {
    /// In the order of their ids.
    pub volumes: Vec<VolumeReport>,
    /// Ask for the next page with `after` set to this; absent on the last page.
    pub next_after: Option<String>,
}

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Rebuild missing and damaged shards.
    Heal,
    /// Read and check everything.
    Scrub,
    /// Repack volumes with much dead space, and free it.
    Compact,
}

impl TaskKind {
    /// Its name in paths and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heal => "heal",
            Self::Scrub => "scrub",
            Self::Compact => "compact",
        }
    }
}

/// Names one run of a task: 1 to 64 letters, digits or `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskId(pub String);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// Ask for its progress with this.
    pub task: TaskId,
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "error")]
pub enum TaskState {
    /// It goes on.
    Running,
    /// It has finished; there may be findings.
    Done,
    /// It ended early, and why.
    Failed(String),
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// The task.
    pub task: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// Where it is.
    #[serde(flatten)]
    pub state: TaskState,
    /// Units of work (volumes) done.
    pub done: u64,
    /// Units of work in all, as far as is known.
    pub total: u64,
    /// Bytes read and written by it.
    pub bytes: u64,
    /// Problems found: for a scrub, shards that are wrong; for a heal, what could not be healed.
    pub findings: u64,
    /// The first findings in words, at most 100.
    pub finding_details: Vec<String>,
}
