//! The drives this process uses.

use std::path::PathBuf;
use std::sync::Arc;

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

    /// The drive of that id, if it is here (perhaps failed).
    pub(crate) fn get(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.drives.read().iter().find(|drive| drive.id() == id).cloned()
    }

    /// All drives that are here.
    pub(crate) fn all(&self) -> Vec<Arc<Drive>> {
        self.drives.read().clone()
    }

    /// The drives that may take new volumes.
    pub(crate) fn usable(&self) -> Vec<Arc<Drive>> {
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
