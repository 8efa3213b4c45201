//! The side that uses the drives of another node.

mod body;
mod call;
mod call_error;
mod drive;
mod hand_over;
mod lane;
mod link;
mod peer;
mod shard;

use std::time::Duration;

use granary_types::{ClusterId, NodeId};

use super::secret::ClusterSecret;
use super::tls::Tls;

pub use drive::RemoteDrive;
pub use hand_over::HandOverError;
pub use peer::Peer;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Without an answer for so long, a node is suspected: several heartbeats, not one.
    pub suspect_after: Duration,
    /// Without an answer for so long, a node counts as dead, and is not asked but by heartbeats.
    pub dead_after: Duration,
    /// To connect and, with TLS, shake hands.
    pub connect_deadline: Duration,
    /// A request that makes no progress for so long has stalled.
    pub progress_deadline: Duration,
    /// The longest pause between two attempts to connect.
    pub reconnect_pause_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(500),
            suspect_after: Duration::from_millis(2500),
            dead_after: Duration::from_secs(10),
            connect_deadline: Duration::from_secs(2),
            progress_deadline: Duration::from_secs(5),
            reconnect_pause_max: Duration::from_secs(3),
        }
    }
}

/// Which node, and how to reach it.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// Host name or IP address, and port.
    pub address: String,
    /// The secret of the cluster.
    pub secret: ClusterSecret,
    /// The cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// The node that must answer there, if it is known; any other of the cluster is then refused.
    pub expected: Option<NodeId>,
    /// Mutual TLS, if it is on.
    pub tls: Option<Tls>,
    /// How long things may take.
    pub timing: Timing,
}

impl PeerOptions {
    /// With the usual timing and no TLS.
    #[must_use]
    pub fn new(address: impl Into<String>, secret: ClusterSecret, cluster: ClusterId, node: NodeId) -> Self {
        let timing = Timing::default();
        Self { address: address.into(), secret, cluster, node, expected: None, tls: None, timing }
    }
}

/// How a node is, by the time since it last answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It answers.
    Alive {
        /// Since its last answer.
        quiet: Duration,
    },
    /// It has missed several heartbeats: no new volumes go there.
    Suspect {
        /// Since its last answer.
        quiet: Duration,
    },
    /// It has not answered for long, or never (`None`).
    Dead {
        /// Since its last answer.
        quiet: Option<Duration>,
    },
}

impl PeerState {
    /// Whether it answers.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Alive { .. })
    }
}
