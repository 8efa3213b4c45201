//! The JSON documents of the API.

use std::fmt;

use granary_types::DriveClass;
use serde::{Deserialize, Serialize};

/// Whether a drive can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriveState {
    /// It serves reads and writes.
    Online,
    /// It serves reads; a write failed, and new volumes avoid it.
    Failed,
    /// Nothing is at its path.
    Missing,
    /// Its directory is empty and can be filled by healing.
    Empty,
    /// Its directory holds files that are not Granary's.
    Foreign,
    /// Its directory or its identity cannot be read.
    Unreadable,
    /// It was removed from the store; its directory need not be given any more.
    Removed,
    /// Its node does not answer the one that was asked, or does not have it in use.
    Unreachable,
}

/// One drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveReport {
    /// The id of the node that has it; absent for a store on one machine.
    #[serde(default)]
    pub node: Option<String>,
    /// Where other nodes reach that node.
    #[serde(default)]
    pub node_address: Option<String>,
    /// The node's zone; empty if nothing was said.
    #[serde(default)]
    pub zone: String,
    /// Whether it is being emptied.
    #[serde(default)]
    pub draining: bool,
    /// Its place in its node's list of data directories, from 0.
    pub slot: u16,
    /// Its id; of a drive that is not there, the id that should be; absent if that is unknown too.
    pub id: Option<String>,
    /// The directory it was configured with.
    pub path: String,
    /// Whether it can be used.
    pub state: DriveState,
    /// The size of its file system, if it can be asked.
    pub capacity_bytes: Option<u64>,
    /// What is free of it.
    pub free_bytes: Option<u64>,
    /// Why it is not in use, for people.
    pub detail: Option<String>,
    /// What it is made of: `ssd` or `hdd`.
    #[serde(default)]
    pub class: DriveClass,
}

/// All drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveList {
    /// By node and in the order of configuration.
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
    /// The length of each of its shard files that is committed.
    pub committed_bytes: u64,
    /// What it takes on all its drives.
    pub stored_bytes: u64,
    /// What of the objects in it is still wanted.
    pub live_bytes: u64,
    /// The ids of its drives, in the order of its columns.
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

/// Names one run of a task in one life of the server.
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
    /// Damaged columns and unreadable stripes found.
    pub findings: u64,
    /// Columns rebuilt, or volumes compacted.
    pub repaired: u64,
    /// Findings that cannot be repaired now: no drive to place a column on, or too few columns left.
    pub unrepairable: u64,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It lives, and answers the node that was asked.
    Alive,
    /// It lives, and does not answer the node that was asked.
    Unreachable,
    /// It has not been heard of for a while.
    Dead,
    /// It was removed for good.
    Removed,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its id.
    pub id: String,
    /// Where other nodes reach it.
    pub address: String,
    /// What fails together with it; empty if nothing was said.
    pub zone: String,
    /// How it is.
    pub state: NodeState,
    /// Whether it is the node that was asked.
    pub is_self: bool,
    /// How many drives it has; those that were retired do not count.
    pub drives: u32,
    /// How many of them are being emptied.
    #[serde(default)]
    pub draining: u32,
    /// The sizes of its drives' file systems together, as far as they can be asked.
    #[serde(default)]
    pub capacity_bytes: u64,
    /// What is free of them.
    #[serde(default)]
    pub free_bytes: u64,
    /// The version of its binary.
    pub version: String,
    /// The newest schema its binary knows.
    pub schema: u32,
    /// Why it does not answer, for people.
    pub detail: Option<String>,
}

/// All nodes; none for a store on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    /// By address.
    pub nodes: Vec<NodeReport>,
}
