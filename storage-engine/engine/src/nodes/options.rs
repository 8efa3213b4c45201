//! What a node of a cluster is told at start.

use std::net::SocketAddr;

use granary_cluster::rpc::{ClusterSecret, Tls};

/// Makes a process one of several nodes of a store.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Where other nodes are listened to.
    pub listen: SocketAddr,
    /// What other nodes connect to: host name or IP address, and port.
    pub address: String,
    /// What fails together with this node, a rack or a site.
    pub zone: String,
    /// The secret that all nodes of the store share.
    pub secret: ClusterSecret,
    /// Speak TLS with the other nodes, all of which then do.
    pub tls: Option<Tls>,
    /// Whether empty drives may become drives of the store that the database belongs to.
    pub join: Join,
    /// Who packs the small objects of this node's clients.
    pub packing: Packing,
    /// The version of this binary, for people.
    pub version: String,
}

/// Who packs small objects. Whatever it is, a node packs what others hand it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Packing {
    /// The head of a pool of nodes, where that makes longer groups.
    #[default]
    Pooled,
    /// The node that has the client.
    Alone,
}

/// What empty drives may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Drives of a new store only.
    Never,
    /// Drives of the store that the database belongs to, or of a new one if it belongs to none.
    Allowed,
}
