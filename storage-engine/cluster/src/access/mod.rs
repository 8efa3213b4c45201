//! Drives as the engine uses them, wherever they are.
//!
//! A volume's shards lie on drives of this machine and of others, and the engine does the same with all of them. A drive
//! of this machine answers through [`LocalDrive`]; one of another node through a client that speaks to that node. Errors
//! are those of the drive: whoever asks must only know whether a shard is lost ([`DriveError::is_lost`]) or cannot be
//! had now.

mod local;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use granary_drive::{BackupName, Cache, DriveError, Flush, ShardName};
use granary_types::DriveId;

pub use local::LocalDrive;

/// Which of a drive's writing threads takes an append. Small stripes never wait behind the flush of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// Small stripes, flushed at once.
    Packed,
    /// Large runs, flushed when their object is committed.
    Bulk,
}

/// Bytes to put at the end of a shard. With no bytes, a mere flush.
#[derive(Debug, Clone)]
pub struct ShardAppend {
    /// Who writes them.
    pub lane: LaneKind,
    /// Where they go.
    pub offset: u64,
    /// How long the shard must already be; shorter means that somebody cut it.
    pub length_before_bytes: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// What the page cache does with them.
    pub cache: Cache,
    /// When to answer.
    pub flush: Flush,
}

/// One drive of the store.
#[async_trait]
pub trait DriveAccess: Debug + Send + Sync {
    /// Its id.
    fn id(&self) -> DriveId;

    /// Where it is, for messages.
    fn place(&self) -> String;

    /// Whether new volumes may be placed here.
    fn is_usable(&self) -> bool;

    /// Whether it was taken out of use: what its open shards took since then is not on it.
    fn is_retired(&self) -> bool;

    /// Takes no new volumes until it is seen to be well again.
    fn mark_failed(&self);

    /// Bytes free for new data and the size of the file system, as last heard.
    fn space_bytes(&self) -> (u64, u64);

    /// Creates a shard, durable with its name, for data and parity columns as in `profile`.
    ///
    /// # Errors
    /// When it exists or the drive fails.
    async fn create_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError>;

    /// Opens a shard to read it.
    ///
    /// # Errors
    /// When it is missing, is another than its name says, or the drive fails.
    async fn open_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError>;

    /// Removes a shard; one that is gone already is as good.
    ///
    /// # Errors
    /// When the drive fails.
    async fn remove_shard(&self, name: ShardName) -> Result<(), DriveError>;

    /// Starts a replacement of a shard; dropped before it is installed, it goes away.
    ///
    /// # Errors
    /// When the drive fails.
    async fn create_replacement(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ReplacementAccess>, DriveError>;

    /// Starts a shard of a backup of the metadata; dropped before it is installed, it goes away.
    ///
    /// # Errors
    /// When the drive fails, or its node is of a version that knows nothing of these.
    async fn create_backup_shard(&self, name: BackupName) -> Result<Arc<dyn ReplacementAccess>, DriveError>;

    /// The shards of backups that are there, whole as far as their ends tell. Nodes of older versions go by their names.
    ///
    /// # Errors
    /// As [`DriveAccess::create_backup_shard`].
    async fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError>;

    /// Removes the shards of backups that were begun before, and those that were never finished: none is being written.
    ///
    /// # Errors
    /// As [`DriveAccess::create_backup_shard`].
    async fn remove_backup_shards(&self, before_ms: i64) -> Result<(), DriveError>;
}

/// One shard.
#[async_trait]
pub trait ShardAccess: Debug + Send + Sync {
    /// Reads up to `length_bytes` at `offset`; fewer come back only at the end of the shard.
    ///
    /// # Errors
    /// When the drive fails or does not answer in time.
    async fn read(&self, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError>;

    /// Queues an append now, behind those queued before on the same lane, and returns the wait for its answer.
    fn append(&self, append: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>>;
}

/// A file that is written whole before anybody sees it: a shard being rebuilt, or one of a backup.
#[async_trait]
pub trait ReplacementAccess: Debug + Send + Sync {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// When the drive fails.
    async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), DriveError>;

    /// Flushes it and gives it its name, in the place of what had that name.
    ///
    /// # Errors
    /// When the drive fails; the old shard is then still in place.
    async fn install(&self) -> Result<(), DriveError>;
}
