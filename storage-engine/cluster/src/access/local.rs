//! A drive of this machine. Calls that block run on the blocking pool.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use granary_drive::{Append, BackupName, BackupShard, Drive, DriveError, Replacement, ShardFile, ShardName};
use granary_types::DriveId;

use super::{DriveAccess, LaneKind, ReplacementAccess, ShardAccess, ShardAppend};

/// A drive of this machine.
#[derive(Debug, Clone)]
pub struct LocalDrive(pub Arc<Drive>);

#[derive(Debug)]
struct LocalShard {
    drive: Arc<Drive>,
    shard: Arc<ShardFile>,
}

#[derive(Debug)]
struct LocalReplacement {
    drive: Arc<Drive>,
    replacement: Arc<Replacement>,
}

#[derive(Debug)]
struct LocalBackupShard {
    drive: Arc<Drive>,
    shard: Arc<BackupShard>,
}

impl LocalDrive {
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Drive) -> Result<T, DriveError> + Send + 'static,
    ) -> Result<T, DriveError> {
        let drive = Arc::clone(&self.0);
        blocking(&self.0, move || run(&drive)).await
    }
}

async fn blocking<T: Send + 'static>(
    drive: &Drive,
    run: impl FnOnce() -> Result<T, DriveError> + Send + 'static,
) -> Result<T, DriveError> {
    let done = tokio::task::spawn_blocking(run).await;
    // The task panicked, or the process ends: nothing is known of what it did.
    done.unwrap_or_else(|_| Err(DriveError::Stalled { path: drive.directory().to_owned() }))
}

#[async_trait]
impl DriveAccess for LocalDrive {
    fn id(&self) -> DriveId {
        self.0.id()
    }

    fn place(&self) -> String {
        self.0.directory().display().to_string()
    }

    fn is_usable(&self) -> bool {
        self.0.is_usable()
    }

    fn is_retired(&self) -> bool {
        self.0.is_retired()
    }

    fn mark_failed(&self) {
        self.0.mark_failed();
    }

    fn space_bytes(&self) -> (u64, u64) {
        self.0.space_bytes()
    }

    async fn create_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError> {
        let shard = self.blocking(move |drive| drive.create_shard(name.column, name.volume, profile)).await?;
        Ok(Arc::new(LocalShard { drive: Arc::clone(&self.0), shard }))
    }

    async fn open_shard(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ShardAccess>, DriveError> {
        let shard = self.blocking(move |drive| drive.open_shard(name.column, name.volume, profile)).await?;
        Ok(Arc::new(LocalShard { drive: Arc::clone(&self.0), shard }))
    }

    async fn remove_shard(&self, name: ShardName) -> Result<(), DriveError> {
        self.blocking(move |drive| drive.remove_shard(name)).await
    }

    async fn create_replacement(
        &self,
        name: ShardName,
        profile: (u8, u8),
    ) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        let replacement = self.blocking(move |drive| drive.create_replacement(name, profile)).await?;
        Ok(Arc::new(LocalReplacement { drive: Arc::clone(&self.0), replacement: Arc::new(replacement) }))
    }

    async fn create_backup_shard(&self, name: BackupName) -> Result<Arc<dyn ReplacementAccess>, DriveError> {
        let shard = self.blocking(move |drive| drive.create_backup_shard(&name)).await?;
        Ok(Arc::new(LocalBackupShard { drive: Arc::clone(&self.0), shard: Arc::new(shard) }))
    }

    async fn backup_shards(&self) -> Result<Vec<BackupName>, DriveError> {
        self.blocking(Drive::backup_shards).await
    }

    async fn remove_backup_shards(&self, before_ms: i64) -> Result<(), DriveError> {
        self.blocking(move |drive| drive.remove_backup_shards(before_ms)).await
    }
}

#[async_trait]
impl ShardAccess for LocalShard {
    async fn read(&self, offset: u64, length_bytes: usize) -> Result<Bytes, DriveError> {
        self.shard.read(offset, length_bytes).await
    }

    fn append(&self, append: ShardAppend) -> BoxFuture<'static, Result<(), DriveError>> {
        let lane = match append.lane {
            LaneKind::Packed => self.drive.packed(),
            LaneKind::Bulk => self.drive.bulk(),
        };
        Box::pin(lane.append(Append {
            shard: Arc::clone(&self.shard),
            offset: append.offset,
            length_before_bytes: append.length_before_bytes,
            bytes: append.bytes,
            cache: append.cache,
            flush: append.flush,
        }))
    }
}

#[async_trait]
impl ReplacementAccess for LocalReplacement {
    async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), DriveError> {
        let replacement = Arc::clone(&self.replacement);
        blocking(&self.drive, move || replacement.write(offset, &bytes)).await
    }

    async fn install(&self) -> Result<(), DriveError> {
        let (drive, replacement) = (Arc::clone(&self.drive), Arc::clone(&self.replacement));
        blocking(&self.drive, move || drive.install_replacement(&replacement)).await
    }
}

#[async_trait]
impl ReplacementAccess for LocalBackupShard {
    async fn write(&self, offset: u64, bytes: Bytes) -> Result<(), DriveError> {
        let shard = Arc::clone(&self.shard);
        blocking(&self.drive, move || shard.write(offset, &bytes)).await
    }

    async fn install(&self) -> Result<(), DriveError> {
        let shard = Arc::clone(&self.shard);
        blocking(&self.drive, move || shard.install()).await
    }
}
