//! Nodes and leases.

use granary_types::{DriveId, Epoch, NodeId, UnixMillis};

use super::volume::DriveRow;

/// Whether a node belongs to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It does, whether it answers or not.
    Active,
    /// It was removed for good; its drives are retired.
    Removed,
}

/// A node says who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its id, for as long as it keeps its drives.
    pub id: NodeId,
    /// Where other nodes reach it: host name or IP address, and port.
    pub address: String,
    /// What fails together with it, a rack or a site.
    pub zone: String,
    /// The version of its binary.
    pub version: String,
    /// The newest schema its binary knows.
    pub schema: u32,
}

/// A node as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// What it said of itself.
    pub node: NewNode,
    /// Whether it belongs to the store.
    pub state: NodeState,
    /// Goes up while it lives. Whoever wants to know whether it does watches it go up: clocks are not compared.
    pub beats: u64,
    /// The age of its oldest running read when it last beat.
    pub oldest_read_ms: u64,
}

/// A drive, and the node that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDrive {
    /// The drive.
    pub drive: DriveRow,
    /// The node; `None` for a store on one machine.
    pub node: Option<NodeId>,
}

/// Who does some background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRow {
    /// The node.
    pub holder: NodeId,
    /// Goes up with each new holder.
    pub epoch: Epoch,
    /// Goes up while it is held.
    pub beats: u64,
}

/// A drive that is being emptied: nothing new is placed on it, and what is on it goes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The drive.
    pub drive: DriveId,
    /// The drive that takes its place; `None` for any others.
    pub target: Option<DriveId>,
    /// When it was asked for.
    pub began: UnixMillis,
    /// Shards that were on it then.
    pub shards: u64,
    /// Their committed bytes.
    pub length_bytes: u64,
}
