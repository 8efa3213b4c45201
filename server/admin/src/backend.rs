//! What the admin API needs of the store.

use async_trait::async_trait;

use crate::bucket::{BucketAnswer, BucketRequest};
use crate::error::AdminError;
use crate::identity::{IdentityReport, IdentityRequest};
use crate::losses::LossList;
use crate::model::{DriveReport, NodeReport, TaskId, TaskKind, TaskProgress, VolumePage};
use crate::moves::{DrainPlan, Leaving, MoveReport};
use crate::restores::{RestorePage, RestoreRequest};
use crate::tiers::TierList;
use crate::warm::{WarmAnswer, WarmRequest};

/// The store, as its operator sees it. Implemented over the engine by the program that serves both.
#[async_trait]
pub trait AdminBackend: Send + Sync + 'static {
    /// All drives, in the order they were configured.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] when the state cannot be read now.
    async fn list_drives(&self) -> Result<Vec<DriveReport>, AdminError>;

    /// Where storage classes lie, and the drives of each class.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] when the state cannot be read now.
    async fn list_tiers(&self) -> Result<TierList, AdminError>;

    /// The nodes of the store; none for a store on one machine.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] when the state cannot be read now.
    async fn list_nodes(&self) -> Result<Vec<NodeReport>, AdminError>;

    /// Removes a node for good, by its id or address: a dead one, or one whose drives were emptied.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a node that still holds something or is not known; [`AdminError::Unavailable`].
    async fn remove_node(&self, id: &str) -> Result<(), AdminError>;

    /// Retires a drive that was emptied.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a drive that holds something or is not known; [`AdminError::Unavailable`].
    async fn remove_drive(&self, id: &str) -> Result<(), AdminError>;

    /// Says what emptying drives does, and begins with it if `apply`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for drives that are not known, or cannot go; [`AdminError::Unavailable`].
    async fn drain(&self, leaving: Leaving, apply: bool) -> Result<DrainPlan, AdminError>;

    /// Ends the emptying of drives. Whether any was being emptied.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for drives that are not known; [`AdminError::Unavailable`].
    async fn cancel_drain(&self, leaving: Leaving) -> Result<bool, AdminError>;

    /// What is being moved.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] when the state cannot be read now.
    async fn moves(&self) -> Result<MoveReport, AdminError>;

    /// At most `limit` of what fail-overs of the metadata's database lost, behind `after`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for an `after` that no page named; [`AdminError::Unavailable`].
    async fn list_losses(&self, after: Option<&str>, limit: usize) -> Result<LossList, AdminError>;

    /// Forgets what was lost. How many there were.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`].
    async fn dismiss_losses(&self) -> Result<u64, AdminError>;

    /// At most `limit` volumes with ids after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for an `after` that is no id; [`AdminError::Unavailable`].
    async fn list_volumes(&self, after: Option<&str>, limit: usize) -> Result<VolumePage, AdminError>;

    /// Starts a task in the background; it waits for its turn if another is at work.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] when no task can be started now.
    async fn start(&self, kind: TaskKind) -> Result<TaskId, AdminError>;

    /// How far a task is. Finished tasks are remembered for a while, a bounded number of them.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for an unknown id.
    async fn progress(&self, id: &TaskId) -> Result<TaskProgress, AdminError>;

    /// Does something with users, keys or their policies.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Invalid`] for what is taken or not allowed; [`AdminError::Unavailable`].
    async fn identities(&self, request: IdentityRequest) -> Result<IdentityReport, AdminError>;

    /// Tells what a bucket holds, or changes what it may hold.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Invalid`] for what is no name of a bucket; [`AdminError::Unavailable`].
    async fn buckets(&self, request: BucketRequest) -> Result<BucketAnswer, AdminError>;

    /// Restores what is archived in one page of keys.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Invalid`] for what is no name of a bucket, or no days;
    /// [`AdminError::Unavailable`]. What becomes of single objects is no error.
    async fn restore(&self, request: RestoreRequest) -> Result<RestorePage, AdminError>;

    /// Pins and prefetches prefixes, and tells how far that is.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], [`AdminError::Invalid`] if the store has no SSDs beside disks; [`AdminError::Unavailable`].
    async fn warm(&self, request: WarmRequest) -> Result<WarmAnswer, AdminError>;
}
