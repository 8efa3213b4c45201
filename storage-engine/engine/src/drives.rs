//! The drives of the store: those of this machine, and those of other nodes.

use std::path::PathBuf;
use std::sync::Arc;

use granary_cluster::access::{DriveAccess, LocalDrive};
use granary_drive::Drive;
use granary_types::DriveId;
use parking_lot::RwLock;

/// Why a data directory is not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveProblem {
    /// The directory does not exist.
    Missing,
    /// The directory is empty; `heal` may make a new drive of it.
    Empty,
    /// The directory holds files but no identity; never touched.
    Foreign,
    /// The directory or its identity cannot be read.
    Unreadable,
}

/// A data directory that is not in use.
#[derive(Debug, Clone)]
pub struct UnusedDrive {
    /// Its place in the list of data directories.
    pub slot: u16,
    /// The directory.
    pub directory: PathBuf,
    /// The drive that should be there.
    pub expected: Option<DriveId>,
    /// Why it is not in use.
    pub problem: DriveProblem,
    /// In words.
    pub message: String,
}

/// All drives of the store that are here, and those that should be.
#[derive(Debug, Default)]
pub(crate) struct DriveSet {
    drives: RwLock<Vec<Arc<Drive>>>,
    unused: RwLock<Vec<UnusedDrive>>,
}

impl DriveSet {
    pub(crate) fn new(drives: Vec<Arc<Drive>>, unused: Vec<UnusedDrive>) -> Self {
        Self { drives: RwLock::new(drives), unused: RwLock::new(unused) }
    }

    /// The drive of that id, if it is in use (perhaps failed).
    pub(crate) fn get(&self, id: DriveId) -> Option<Arc<dyn DriveAccess>> {
        let drives = self.drives.read();
        let drive = drives.iter().find(|drive| drive.id() == id)?;
        Some(Arc::new(LocalDrive(Arc::clone(drive))))
    }

    /// The drives that may take new volumes.
    pub(crate) fn usable(&self) -> Vec<Arc<dyn DriveAccess>> {
        let access = |drive| Arc::new(LocalDrive(drive)) as Arc<dyn DriveAccess>;
        self.usable_local().into_iter().map(access).collect()
    }

    /// All drives of this machine that are in use.
    pub(crate) fn local(&self) -> Vec<Arc<Drive>> {
        self.drives.read().clone()
    }

    /// Those of this machine that are well.
    pub(crate) fn usable_local(&self) -> Vec<Arc<Drive>> {
        self.drives.read().iter().filter(|drive| drive.is_usable()).cloned().collect()
    }

    /// The directories that are not in use.
    pub(crate) fn unused(&self) -> Vec<UnusedDrive> {
        self.unused.read().clone()
    }

    /// Takes a drive into use in the place of whatever was in its slot.
    pub(crate) fn install(&self, drive: Arc<Drive>) {
        let slot = drive.slot();
        let mut drives = self.drives.write();
        drives.retain(|other| other.slot() != slot);
        drives.push(drive);
        drives.sort_by_key(|drive| drive.slot());
        self.unused.write().retain(|unused| unused.slot != slot);
    }

    /// Takes a drive out of use: its directory turned out to be gone or emptied.
    pub(crate) fn remove(&self, unused: UnusedDrive) {
        let mut drives = self.drives.write();
        drives.retain(|other| other.slot() != unused.slot);
        let mut list = self.unused.write();
        list.retain(|other| other.slot != unused.slot);
        list.push(unused);
    }
}
