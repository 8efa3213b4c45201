//! The trait of stores that several nodes share.

use async_trait::async_trait;
use granary_types::{ClusterId, Epoch, NodeId, VolumeId};

use crate::error::Result;
use crate::model::{LeaseRow, NewNode, NodeDrive, NodeRow};

/// Who belongs to a store that several nodes share, and who does what. Embedded stores have none of this: they belong to
/// one process.
///
/// A call that fails may have been applied; all of them may be made again.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// The store this database belongs to, if it belongs to one.
    async fn cluster(&self) -> Result<Option<ClusterId>>;

    /// Makes the database belong to `cluster` unless it belongs to a store already, and returns to which.
    async fn found(&self, cluster: ClusterId) -> Result<ClusterId>;

    /// Adds a node or updates what it says of itself. `false` if it was removed: it does not come back.
    async fn join(&self, node: NewNode) -> Result<bool>;

    /// Says that a node lives. `false` if it is not known or was removed.
    async fn beat(&self, node: NodeId, oldest_read_ms: u64) -> Result<bool>;

    /// All nodes, removed ones too, by id.
    async fn nodes(&self) -> Result<Vec<NodeRow>>;

    /// All drives with the nodes that have them.
    async fn node_drives(&self) -> Result<Vec<NodeDrive>>;

    /// Removes a node for good and retires its drives. `false` if it is not known.
    async fn remove_node(&self, node: NodeId) -> Result<bool>;

    /// The open volumes and who opened them; `None` for those of a store on one machine.
    async fn open_volumes(&self) -> Result<Vec<(VolumeId, Option<NodeId>)>>;

    /// Who holds a lease.
    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>>;

    /// Takes a lease if it is still as it was `seen`, and returns its new epoch. The caller has watched `seen` make no
    /// progress for long enough.
    async fn take_lease(&self, name: &str, holder: NodeId, seen: Option<LeaseRow>) -> Result<Option<Epoch>>;

    /// Goes on holding a lease. `false` if another has it now.
    async fn renew_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool>;
}
