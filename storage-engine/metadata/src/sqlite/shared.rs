//! What the store's handle, its writer and its readers share.

use std::path::PathBuf;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::op::{Op, Reply};
use super::options::Home;
use super::queue::Queue;
use super::rows::HotRows;
use crate::durable::Durable;
use crate::error::Result;

/// How many changes may wait; callers wait for room.
const WRITES_WAITING_MAX: usize = 4_096;
/// How many reads may wait.
const READS_WAITING_MAX: usize = 4_096;

/// A message to the writer.
pub(super) enum Request {
    /// Apply a change and answer when it is durable; not before the bytes it refers to are, if `durable` is there.
    Apply { op: Op, durable: Option<Durable>, answer: oneshot::Sender<Result<Reply>> },
    /// A reader of the database opened in `epoch` found it damaged.
    Suspect { epoch: u64, damage: Damage, reason: String },
    /// Another home may be used, or the directory that is now in place of a lost one.
    Adopt { home: Home, answer: oneshot::Sender<Result<()>> },
}

/// What was found damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// One row; the rest may be sound.
    Row,
    /// The file.
    File,
}

impl Request {
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Apply { op, .. } => op.weight(),
            Self::Suspect { .. } | Self::Adopt { .. } => 1,
        }
    }
}

/// What a reader does with its connection, or without one while the database is being replaced. What it returns is
/// the reason to distrust the file, if there is one.
pub(super) type ReadJob = Box<dyn FnOnce(std::result::Result<&Connection, &str>) -> Option<Failure> + Send>;

/// Which file is served.
#[derive(Debug, Clone)]
pub(super) struct Serving {
    /// Raised whenever another file is served.
    pub(super) epoch: u64,
    /// The database, or why there is none.
    pub(super) database: std::result::Result<PathBuf, String>,
    /// The drives with a complete copy; the first serves if `database` is there.
    pub(super) homes: Vec<(granary_types::DriveId, bool)>,
    /// How many copies besides the database are wanted and missing.
    pub(super) copies_missing: usize,
}

/// Shared by all threads of a store.
pub(super) struct Shared {
    pub(super) writes: Queue<Request>,
    pub(super) reads: Queue<ReadJob>,
    pub(super) serving: Mutex<Serving>,
    pub(super) rows: HotRows,
}

impl Shared {
    pub(super) fn new(serving: Serving, hot_row_bytes_max: usize) -> Self {
        Self {
            writes: Queue::new(WRITES_WAITING_MAX),
            reads: Queue::new(READS_WAITING_MAX),
            serving: Mutex::new(serving),
            rows: HotRows::new(hot_row_bytes_max),
        }
    }
}
