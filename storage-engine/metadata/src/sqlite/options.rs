//! How the embedded store is opened.

use std::path::PathBuf;
use std::time::Duration;

use granary_types::DriveId;

/// A place the store may keep a copy of the metadata in: the `meta/` directory of a usable drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The drive.
    pub drive: DriveId,
    /// The directory; created if it is missing.
    pub dir: PathBuf,
}

/// Whether the drives already hold data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They do, so metadata must be found: opening fails when no home has a complete copy.
    Expected,
    /// They are new: an empty store is made if no home has a copy.
    MayBeNew,
}

/// What to do with metadata that was copied to a database and is served from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenMoved {
    /// Refuse to open it: it is out of date, and changes to it would be lost.
    Refuse,
    /// Open it, to copy it again.
    Open,
}

/// When a log copy is cut by a new snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotThresholds {
    /// A log shorter than this is never cut.
    pub log_bytes_min: u64,
    /// Above that, a log is cut when it is as long as this many hundredths of the database.
    pub log_percent_of_database: u64,
}

impl Default for SnapshotThresholds {
    fn default() -> Self {
        Self { log_bytes_min: 64 << 20, log_percent_of_database: 100 }
    }
}

/// The options of [`super::SqliteStore::open`].
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The homes, in slot order. The database is made in the first.
    pub homes: Vec<Home>,
    /// How many further homes hold a log and snapshots: m, so that losing any m drives loses no metadata. With
    /// fewer homes the store goes on with fewer copies and says so.
    pub copies: usize,
    /// Whether metadata must be found.
    pub existing: Existing,
    /// What to do if the metadata was moved elsewhere.
    pub when_moved: WhenMoved,
    /// When logs are cut.
    pub snapshots: SnapshotThresholds,
    /// Reader threads; at least one is started.
    pub readers: u32,
    /// Memory for rows of current versions that were read lately.
    pub hot_row_bytes_max: usize,
    /// How long a copy may take to flush a batch. Commits wait for it; then the copy is given up and another home
    /// takes over, if there is one.
    pub copy_deadline: Duration,
}

impl EmbeddedOptions {
    /// Options with two readers, 32 MiB of rows, the usual thresholds and ten seconds for a copy: rarely does a slow but sound disk
    /// need so long, and replacing a copy means a snapshot.
    #[must_use]
    pub fn new(homes: Vec<Home>, copies: usize, existing: Existing) -> Self {
        let snapshots = SnapshotThresholds::default();
        Self {
            homes,
            copies,
            existing,
            when_moved: WhenMoved::Refuse,
            snapshots,
            readers: 2,
            hot_row_bytes_max: 32 << 20,
            copy_deadline: Duration::from_secs(10),
        }
    }
}
