//! The other nodes, as ways to their drives.

use std::collections::HashMap;
use std::sync::Arc;

use granary_cluster::access::DriveAccess;
use granary_cluster::rpc::Peer;
use granary_types::{DriveId, NodeId};
use parking_lot::RwLock;

use crate::nodes::Neighbour;

/// The nodes that are watched.
#[derive(Default)]
pub(crate) struct Peers {
    peers: RwLock<HashMap<NodeId, Neighbour>>,
}

impl Peers {
    /// The node, if it is watched.
    pub(crate) fn get(&self, id: NodeId) -> Option<Arc<Peer>> {
        self.peers.read().get(&id).map(|neighbour| Arc::clone(&neighbour.peer))
    }

    /// Where it is watched.
    pub(crate) fn address(&self, id: NodeId) -> Option<String> {
        self.peers.read().get(&id).map(|neighbour| neighbour.address.clone())
    }

    /// Watches a node, at a new place if it was watched before.
    pub(crate) fn put(&self, id: NodeId, neighbour: Neighbour) {
        self.peers.write().insert(id, neighbour);
    }

    /// Leaves the nodes that are not wanted any more.
    pub(crate) fn keep(&self, wanted: impl Fn(&NodeId) -> bool) {
        self.peers.write().retain(|id, _| wanted(id));
    }

    /// One drive of a node, if it was ever heard of.
    pub(crate) fn drive(&self, node: NodeId, id: DriveId) -> Option<Arc<dyn DriveAccess>> {
        let peer = self.get(node)?;
        let drive = peer.drives().into_iter().find(|drive| drive.id() == id)?;
        Some(drive)
    }

    /// All drives of all nodes that were ever heard of.
    pub(crate) fn drives(&self) -> Vec<(NodeId, Arc<dyn DriveAccess>)> {
        let peers = self.peers.read();
        let drives = peers.iter().flat_map(|(node, neighbour)| {
            let access = |drive| (*node, drive as Arc<dyn DriveAccess>);
            neighbour.peer.drives().into_iter().map(access).collect::<Vec<_>>()
        });
        drives.collect()
    }
}
