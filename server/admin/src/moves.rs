//! The documents about moving shards: drives that are emptied or replaced.

use serde::{Deserialize, Serialize};

use crate::model::TaskProgress;

/// What is said of a drive that is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: it is there, or is away and will come back.
    #[default]
    Unsaid,
    /// It is lost for good. What it held is rebuilt, and it never comes back.
    Lost,
}

/// What is to be emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// A drive, by its id or the beginning of it.
    Drive(String),
    /// All drives of a node, by its address, its id or the beginning of it.
    Node(String),
    /// A drive whose place another one takes.
    Replaced {
        /// The drive.
        old: String,
        /// The one that takes its place.
        new: String,
        /// Whether the old one is lost.
        fate: Fate,
    },
}

/// Shards that go from one drive to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStep {
    /// The id of the drive they are on.
    pub from: String,
    /// The id of the drive they go to.
    pub to: String,
    /// How many.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What emptying drives does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainPlan {
    /// The ids of the drives.
    pub drives: Vec<String>,
    /// What is copied.
    pub moves: Vec<MoveStep>,
    /// Volumes that are written again, as the drives that stay are too few for their code.
    pub rewritten_volumes: u64,
    /// What lives in these.
    pub rewritten_bytes: u64,
    /// Volumes that are still written and are sealed first.
    pub open_volumes: u64,
    /// Shards of a drive that is gone: they are rebuilt from the others.
    pub rebuilt_shards: u64,
    /// The erasure code of new volumes afterwards, `k+m`.
    pub erasure: String,
    /// Whether it was begun.
    pub applied: bool,
}

/// A drive that is being emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReport {
    /// The id of the drive.
    pub drive: String,
    /// The id of the drive that takes its place, if one does.
    pub replaced_by: Option<String>,
    /// Shards that were on it when it began.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that are still on it.
    pub shards_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
    /// Bytes that leave it in a second, as far as the node that was asked has seen.
    pub bytes_per_second: u64,
    /// How long it takes at that rate; absent if nothing has moved yet.
    pub seconds_left: Option<u64>,
    /// Whether it is empty: it can be removed.
    pub drained: bool,
    /// Whether its node has it in use; what lay on a drive that is gone is rebuilt from the others.
    pub present: bool,
}

/// What is being moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveReport {
    /// The drives that are being emptied.
    pub drains: Vec<DrainReport>,
    /// Moves that are left of those that make the drives equally full, if the node that was asked does them.
    pub rebalance_moves_left: u64,
    /// Their bytes.
    pub rebalance_bytes_left: u64,
    /// Heals, scrubs and compactions that were asked for at the node that was asked, and have not ended.
    #[serde(default)]
    pub tasks: Vec<TaskProgress>,
    /// Damaged shards that it knows of and heals by itself.
    #[serde(default)]
    pub damaged: u64,
}

/// Whether anything was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainEnded {
    /// Whether any of the drives was being emptied.
    pub ended: bool,
}
