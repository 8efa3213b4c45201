//! The other nodes of the store: who they are, whether they live, and which background work is ours.
//!
//! Nodes know each other by rows in the metadata. Each node's row has a counter that the node raises every second; the
//! others watch it go up. Only time during which the rows could be read counts, so a database that was away, or a process
//! that was stopped, makes nobody look dead. Clocks of different machines are never compared.
//!
//! Whether a node's drives can be used is another question, answered by the node itself: a [`Peer`] asks it twice a second.

mod claim;
mod lease;
mod options;
mod pools;
mod reads;
mod served;
#[cfg(test)]
mod simulation;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use granary_cluster::rpc::{ClusterSecret, Peer, Tls};
use granary_metadata::{Drain, DriveState, Membership, NodeDrive, NodeRow, NodeState};
use granary_types::{ClusterId, DriveId, NodeId};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::drives::{DriveSet, Peers};

pub(crate) use claim::{Claim, volume_lease};
pub use options::{Join, NodeOptions, Packing};
pub(crate) use served::Served;
pub(crate) use watch::Watching;

/// How often a node says that it lives, and looks at the others.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A node whose counter stood still for so long while it was looked at is dead: others seal its volumes.
const DEAD_AFTER: Duration = Duration::from_secs(15);
/// When the rows could not be read for longer than this, that time counts for nobody.
const BLIND_AFTER: Duration = Duration::from_secs(4);

/// How long a lease must stand still before another node takes it.
const LEASE: Duration = Duration::from_secs(15);
/// How long the holder counts on it after it was renewed.
const HELD: Duration = Duration::from_secs(8);

/// A node as operators see it.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// Its row.
    pub row: NodeRow,
    /// Whether it is this node.
    pub is_self: bool,
    /// Whether its counter goes up.
    pub is_alive: bool,
    /// Whether it answers this node.
    pub answers: bool,
    /// How many drives it has; retired ones do not count.
    pub drives: u32,
    /// How many of them are being emptied.
    pub draining: u32,
    /// Why it does not answer, if that is known.
    pub problem: Option<String>,
}

/// What is known of one node.
#[derive(Debug, Clone)]
struct Known {
    row: NodeRow,
    /// When its counter was last seen to go up.
    progress: Instant,
    reads: reads::ReadAges,
}

/// The nodes.
pub(crate) struct Nodes {
    pub(crate) id: NodeId,
    pub(crate) membership: Arc<dyn Membership>,
    cluster: ClusterId,
    secret: ClusterSecret,
    tls: Option<Tls>,
    drives: Arc<DriveSet>,
    peers: Arc<Peers>,
    /// Of the threads that serve clients, which outlive those that work is done on.
    serving: Handle,
    /// What this node's counter was when its last sign of life was answered. One is under way at a time.
    answered: tokio::sync::Mutex<u64>,
    known: Mutex<HashMap<NodeId, Known>>,
    listed: Mutex<Vec<NodeDrive>>,
    drains: Mutex<Vec<Drain>>,
    lease: Mutex<lease::Lease>,
    claims: Mutex<claim::Claims>,
    /// Without leave to serve: this node was removed.
    removed: std::sync::atomic::AtomicBool,
}

impl Nodes {
    /// Must be called within the runtime that serves clients.
    pub(crate) fn new(
        id: NodeId,
        cluster: ClusterId,
        (secret, tls): (ClusterSecret, Option<Tls>),
        membership: Arc<dyn Membership>,
        drives: Arc<DriveSet>,
        peers: Arc<Peers>,
    ) -> Self {
        Self {
            id,
            membership,
            cluster,
            secret,
            tls,
            drives,
            peers,
            serving: Handle::current(),
            answered: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            listed: Mutex::default(),
            drains: Mutex::default(),
            lease: Mutex::default(),
            claims: Mutex::default(),
            removed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Whether this node was removed from the store.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Nodes whose open volumes nobody writes any more.
    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        let known = self.known.lock();
        known.get(&node).is_some_and(|known| {
            known.row.state == NodeState::Removed || known.progress.elapsed() >= DEAD_AFTER
        })
    }

    /// The drives of all nodes, retired ones too, as the metadata last said.
    pub(crate) fn listed_drives(&self) -> Vec<NodeDrive> {
        self.listed.lock().clone()
    }

    /// The drives that are being emptied, as the metadata last said.
    pub(crate) fn drains(&self) -> Vec<Drain> {
        self.drains.lock().clone()
    }

    /// The drive that takes the place of another one.
    pub(crate) fn heir(&self, drive: DriveId) -> Option<DriveId> {
        self.drains.lock().iter().find(|drain| drain.drive == drive)?.target
    }

    /// The other nodes that answer this one.
    pub(crate) fn answering(&self) -> impl Iterator<Item = NodeId> {
        let ids: Vec<NodeId> = self.known.lock().keys().copied().filter(|id| *id != self.id).collect();
        ids.into_iter().filter(|id| self.peers.get(*id).is_some_and(|peer| peer.state().is_alive()))
    }

    /// All nodes for operators.
    pub(crate) fn status(&self) -> Vec<NodeStatus> {
        let (listed, drains) = (self.listed_drives(), self.drains());
        let mut all: Vec<NodeStatus> = self
            .known
            .lock()
            .values()
            .map(|known| {
                let id = known.row.node.id;
                let (is_self, peer) = (id == self.id, self.peers.get(id));
                let own =
                    |drive: &&NodeDrive| drive.node == Some(id) && drive.drive.state == DriveState::Active;
                let drives = listed.iter().filter(own).count();
                let is_draining = |drive: &&NodeDrive| drains.iter().any(|d| d.drive == drive.drive.id);
                let draining = listed.iter().filter(own).filter(is_draining).count();
                NodeStatus {
                    row: known.row.clone(),
                    is_self,
                    is_alive: known.row.state == NodeState::Active
                        && (is_self || known.progress.elapsed() < DEAD_AFTER),
                    answers: is_self || peer.as_ref().is_some_and(|peer| peer.state().is_alive()),
                    drives: u32::try_from(drives).unwrap_or(u32::MAX),
                    draining: u32::try_from(draining).unwrap_or(u32::MAX),
                    problem: peer.and_then(|peer| peer.problem()),
                }
            })
            .collect();
        all.sort_by(|a, b| a.row.node.address.cmp(&b.row.node.address));
        all
    }
}

/// The way to one other node.
pub(crate) struct Neighbour {
    pub(crate) address: String,
    pub(crate) peer: Arc<Peer>,
}
