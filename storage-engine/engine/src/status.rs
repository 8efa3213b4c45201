//! The store as operators see it.

use granary_metadata::VolumeRow;
use granary_types::DriveId;

use crate::drives::DriveProblem;
use crate::engine::Engine;
use crate::error::Result;

/// A drive as operators see it.
#[derive(Debug, Clone)]
pub struct DriveStatus {
    /// Its place in the list of data directories.
    pub slot: u16,
    /// Its id; of a drive that is not in use, the id that should be there.
    pub drive: Option<DriveId>,
    /// Its directory.
    pub directory: String,
    /// How it is.
    pub health: DriveHealth,
    /// Bytes free and in all, if it can be asked.
    pub space_bytes: Option<(u64, u64)>,
}

/// How a drive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriveHealth {
    /// In use.
    Online,
    /// In use for reading; a write failed and new volumes avoid it.
    Failed,
    /// Not in use, and why.
    Unused(DriveProblem, String),
}

impl Engine {
    /// All drives, by slot.
    #[must_use]
    pub fn drive_status(&self) -> Vec<DriveStatus> {
        let online = self.inner.drives.local().into_iter().map(|drive| DriveStatus {
            slot: drive.slot(),
            drive: Some(drive.id()),
            directory: drive.directory().display().to_string(),
            health: if drive.is_usable() { DriveHealth::Online } else { DriveHealth::Failed },
            space_bytes: Some(drive.space_bytes()),
        });
        let unused = self.inner.drives.unused().into_iter().map(|unused| DriveStatus {
            slot: unused.slot,
            drive: unused.expected,
            directory: unused.directory.display().to_string(),
            health: DriveHealth::Unused(unused.problem, unused.message),
            space_bytes: None,
        });
        let mut all: Vec<DriveStatus> = online.chain(unused).collect();
        all.sort_by_key(|drive| drive.slot);
        all
    }

    /// Volumes by id, after `after`.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn volume_status(
        &self,
        after: Option<granary_types::VolumeId>,
        limit: u32,
    ) -> Result<Vec<VolumeRow>> {
        Ok(self.inner.store.volumes(after, limit).await?)
    }

    /// Whether requests can be served: the metadata answers and enough drives are usable to read and write.
    pub async fn is_ready(&self) -> bool {
        let answers = self.inner.store.volumes(None, 1).await.is_ok();
        answers && !self.inner.drives.usable().is_empty()
    }
}
