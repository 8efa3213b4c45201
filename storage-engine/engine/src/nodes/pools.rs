//! Which node packs small objects for which others.
//!
//! The nodes that live, in the order of their ids, make pools of [`POOL_NODES_MAX`] at most, and the first of each is its head.
//! Every node concludes that from what it knows of the others. Two that know different things have different heads, which does no
//! harm: a node packs what it is handed, whoever hands it.

use std::sync::Arc;

use granary_cluster::rpc::Peer;
use granary_metadata::NodeState;
use granary_types::NodeId;

use super::{BLIND_AFTER, Nodes};

/// More would be too many for one packer.
const POOL_NODES_MAX: usize = 8;

impl Nodes {
    /// The node that packs for this one; `None` if this one does.
    pub(crate) fn pool_head(&self) -> Option<(NodeId, Arc<Peer>)> {
        // Whoever does not beat cannot commit either, or this node does not know of it.
        let beating: Vec<NodeId> = {
            let known = self.known.lock();
            let beating = known.values().filter(|known| {
                known.row.state == NodeState::Active && known.progress.elapsed() < BLIND_AFTER
            });
            beating.map(|known| known.row.node.id).collect()
        };
        let answers = |id: &NodeId| self.peers.get(*id).is_some_and(|peer| peer.state().is_alive());
        let head = head_of(beating.into_iter().filter(answers), self.id);
        Some((head, self.peers.get(head)?)).filter(|(head, _)| *head != self.id)
    }
}

/// The head of the pool that a node is in, beside these others.
fn head_of(others: impl Iterator<Item = NodeId>, own: NodeId) -> NodeId {
    let mut all: Vec<NodeId> = others.chain([own]).collect();
    all.sort_unstable();
    all.dedup();
    // As many pools as it takes, and as equal as can be.
    let pools = all.len().div_ceil(POOL_NODES_MAX);
    let pool_nodes = all.len().div_ceil(pools.max(1)).max(1);
    let pool = all.chunks(pool_nodes).find(|pool| pool.contains(&own));
    pool.and_then(|pool| pool.first()).copied().unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        NodeId::from_bytes([u8::try_from(number).unwrap_or(u8::MAX); 16])
    }

    /// How many nodes each head has in its pool.
    fn pools(nodes: usize) -> Vec<(usize, usize)> {
        let mut pools: Vec<(usize, usize)> = Vec::new();
        for own in 0..nodes {
            let others = (0..nodes).rev().filter(|other| *other != own).map(node);
            let head = head_of(others, node(own));
            let head = (0..nodes).find(|number| node(*number) == head).unwrap_or(usize::MAX);
            match pools.iter_mut().find(|(of, _)| *of == head) {
                Some((_, count)) => *count += 1,
                None => pools.push((head, 1)),
            }
        }
        pools
    }

    #[test]
    fn nodes_that_see_the_same_are_in_equal_pools_whose_first_is_the_head() {
        assert_eq!(pools(1), [(0, 1)]);
        assert_eq!(pools(6), [(0, 6)]);
        assert_eq!(pools(8), [(0, 8)]);
        assert_eq!(pools(9), [(0, 5), (5, 4)]);
        assert_eq!(pools(17), [(0, 6), (6, 6), (12, 5)]);
    }

    #[test]
    fn a_node_that_sees_nobody_is_its_own_head() {
        assert_eq!(head_of(std::iter::empty(), node(3)), node(3));
        assert_eq!(head_of([node(3)].into_iter(), node(3)), node(3));
    }
}
