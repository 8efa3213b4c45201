//! Volumes and drives.

use granary_types::{DriveClass, DriveId, Epoch, UnixMillis, VolumeId};
use serde::{Deserialize, Serialize};

/// The life of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeState {
    /// Its owner may append.
    Open,
    /// Nobody may append; read, healed, compacted.
    Sealed,
    /// Nothing lives in it; its files go away after the grace period.
    Freed,
}

/// A volume to open, at [`Epoch::FIRST`], with a committed end of 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVolume {
    /// Its id.
    pub id: VolumeId,
    /// Data columns.
    pub data_columns: u8,
    /// Parity columns.
    pub parity_columns: u8,
    /// The drive of each column.
    pub drives: Vec<DriveId>,
    /// When it was opened.
    pub opened: UnixMillis,
}

impl NewVolume {
    /// Where a column is; `None` if there is no such column.
    pub fn drive_of(&self, column: u8) -> Option<DriveId> {
        self.drives.get(usize::from(column)).copied()
    }
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRow {
    /// What it was opened as; `drives` follows heals.
    pub volume: NewVolume,
    /// Its state.
    pub state: VolumeState,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Bytes of each shard file that committed metadata may refer to.
    pub committed_end: u64,
    /// Bytes of live objects and blobs in it.
    pub live_bytes: u64,
    /// Bytes its committed stripes take in all shard files together.
    pub stored_bytes: u64,
    /// When it was freed.
    pub freed: Option<UnixMillis>,
}

/// What sealing returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedEnd {
    /// The epoch that fences the former owner.
    pub epoch: Epoch,
    /// The committed end, final now.
    pub committed_end: u64,
}

/// A heal placed a column on another drive; applied only if it is still on `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMove {
    /// The volume.
    pub volume: VolumeId,
    /// The column.
    pub column: u8,
    /// The drive it must still be on.
    pub from: DriveId,
    /// The drive it is on from now on.
    pub to: DriveId,
}

/// Whether a drive may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveState {
    /// In use.
    Active,
    /// Replaced by another; its id never comes back.
    Retired,
}

/// A drive of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveRow {
    /// Its id.
    pub id: DriveId,
    /// Its place in the list of `--data` directories, from 0.
    pub slot: u16,
    /// Where it was last seen.
    pub path: String,
    /// Whether it may be used.
    pub state: DriveState,
    /// What it is made of. Rows, logs and entries of backups carry it beside the row.
    #[serde(skip)]
    pub class: DriveClass,
}
