//! The trait of stores that several nodes share.

use async_trait::async_trait;
use granary_types::{ClusterId, DriveId, Epoch, NodeId, VolumeId};

use crate::error::Result;
use crate::model::{Drain, LeaseRow, NewNode, NodeDrive, NodeRow};

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

    /// Says that a node lives: raises its counter to one more than `answered`, which the last such call gave (0 in a new
    /// life), unless it is there already, and keeps the age of its oldest read unless the counter is beyond that. So a call
    /// whose answer was lost counts once with the one that is made in its place, and one that comes late counts for nothing.
    /// Returns the counter; `None` if the node is not known or was removed.
    async fn beat(&self, node: NodeId, answered: u64, oldest_read_ms: u64) -> Result<Option<u64>>;

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

    /// Takes a lease if it is still as it was `seen`, and returns its new epoch: the next one, or, of a lease that nobody
    /// holds, one that it never had. The caller has watched `seen` make no progress for long enough.
    async fn take_lease(&self, name: &str, holder: NodeId, seen: Option<LeaseRow>) -> Result<Option<Epoch>>;

    /// Goes on holding a lease. `false` if another has it now.
    async fn renew_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool>;

    /// Ends holding a lease: the next who wants it need not watch it stand still. `false` if another has it.
    async fn release_lease(&self, name: &str, holder: NodeId, epoch: Epoch) -> Result<bool>;

    /// Begins to empty a drive, or changes how.
    async fn put_drain(&self, drain: Drain) -> Result<()>;

    /// Ends the emptying of a drive, whether it is empty or not. `false` if it was not being emptied.
    async fn end_drain(&self, drive: DriveId) -> Result<bool>;

    /// The drives that are being emptied, by id.
    async fn drains(&self) -> Result<Vec<Drain>>;

    /// Retires a drive for good, and ends its emptying. `false` if it is not known.
    async fn retire_drive(&self, drive: DriveId) -> Result<bool>;
}
