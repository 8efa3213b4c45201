//! The operations on shards of metadata backups. One is written and installed as a replacement is.

use std::sync::Arc;

use granary_types::DriveId;

use super::dispatch::{Call, Done, Refusal, Server};
use super::shards::{failure, settle};
use crate::rpc::wire::{OnBackup, RemoveBackups};
use crate::rpc::wire_error::peer_error;

impl Server {
    pub(super) async fn create_backup(self: &Arc<Self>, mut call: Call) -> Result<Done, Refusal> {
        let on: OnBackup = call.message().await?;
        let drive = match self.drive(on.drive) {
            Ok(drive) => drive,
            Err(error) => return Ok(failure(&error).into()),
        };
        let (server, sender, held) = (Arc::clone(self), call.sender(), Arc::clone(&drive));
        let created = self.apart(&drive, async move {
            let shard = held.create_backup_shard(on.name).await?;
            let handle = server.handles.add_backup(shard, on.drive, sender);
            handle.ok_or_else(|| peer_error(&held.place(), "too many shards are being replaced"))
        });
        settle(created.await)
    }

    pub(super) async fn list_backups(&self, mut call: Call) -> Result<Done, Refusal> {
        let id: DriveId = call.message().await?;
        match self.drive(id) {
            Ok(drive) => {
                let held = Arc::clone(&drive);
                settle(self.apart(&drive, async move { held.backup_shards().await }).await)
            }
            Err(error) => Ok(failure(&error).into()),
        }
    }

    pub(super) async fn remove_backups(&self, mut call: Call) -> Result<Done, Refusal> {
        let RemoveBackups { drive, before_ms } = call.message().await?;
        self.on_drive(drive, move |drive| async move { drive.remove_backup_shards(before_ms).await }).await
    }
}
