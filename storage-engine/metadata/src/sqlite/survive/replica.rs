//! One copy: a log that is being written, and the snapshot before it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::files::{self, Identity, Listing, Stamp};
use super::log::{InUse, Log};
use super::snapshot;
use super::watch::{Ended, Pulse, Watched};
use crate::sqlite::failure::Failure;
use crate::sqlite::options::Home;
use crate::sqlite::schema::Position;

/// One copy.
pub(super) struct Replica {
    pub(super) home: Home,
    pub(super) log: Log,
    /// Bytes in the current segment.
    segment_bytes: u64,
    /// Bytes in all segments behind the snapshot.
    pub(super) log_bytes: u64,
    /// Whether snapshot and log together reach the present.
    complete: Arc<AtomicBool>,
    snapshot: Option<Watched<Result<(), Failure>>>,
    in_use: InUse,
    deadline: Duration,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut running) = self.snapshot.take() {
            let stuck = self.log.is_hung() || matches!(running.look(), Ended::Never(_));
            running.wait_at_most(if stuck { Duration::ZERO } else { self.deadline });
        }
    }
}

/// How a snapshot that ran in the background ended.
pub(in crate::sqlite) enum Trouble {
    /// Nothing to tell.
    None,
    /// The database it copied is damaged.
    Database(String),
}

impl Replica {
    /// Begins a log behind `position`. It is a copy already if what lies in the home `reaches` that far.
    pub(super) fn begin(
        home: &Home,
        position: &Position,
        reaches: bool,
        (deadline, in_use): (Duration, InUse),
    ) -> io::Result<Self> {
        let log = Log::start(&home.dir, position, deadline, Arc::clone(&in_use))?;
        Ok(Self {
            home: home.clone(),
            log,
            segment_bytes: 0,
            log_bytes: if reaches { bytes_of_log(&home.dir) } else { 0 },
            complete: Arc::new(AtomicBool::new(reaches)),
            snapshot: None,
            in_use,
            deadline,
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn takes_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    pub(super) fn is_full(&self) -> bool {
        self.log.is_full(self.segment_bytes)
    }

    pub(super) fn append(&mut self, frame: &Arc<[u8]>) {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.log.append(Arc::clone(frame));
        self.segment_bytes = self.segment_bytes.saturating_add(length);
        self.log_bytes = self.log_bytes.saturating_add(length);
    }

    pub(super) fn rotate(&mut self, position: &Position) -> io::Result<()> {
        self.log.rotate(*position)?;
        self.segment_bytes = 0;
        Ok(())
    }

    fn snapshot(&self, database: &Path, position: &Position) -> io::Result<Watched<Result<(), Failure>>> {
        let (database, dir) = (database.to_owned(), self.home.dir.clone());
        // The stamp of the segment that follows the position.
        let first = Stamp { generation: position.generation, seq: position.seq.saturating_add(1) };
        let complete = Arc::clone(&self.complete);
        let run = move |pulse: &Pulse| {
            snapshot_and_cut(&database, &dir, first, pulse)?;
            complete.store(true, Ordering::Release);
            Ok(())
        };
        Watched::begin("metadata-snapshot", self.deadline, Arc::clone(&self.in_use), run)
    }

    /// Begins to take a snapshot of the database, which is at `position`, and to cut the log.
    pub(super) fn begin_snapshot(&mut self, database: &Path, position: &Position) -> io::Result<()> {
        self.snapshot = Some(self.snapshot(database, position)?);
        Ok(())
    }

    /// Takes a snapshot and waits for it as long as it gets on.
    pub(super) fn take_snapshot(&self, database: &Path, position: &Position) -> Result<(), Failure> {
        let running = self.snapshot(database, position).map_err(Failure::Io)?;
        running.wait().map_err(Failure::Io)?
    }

    /// Sees how a snapshot ended. An error is the copy's own; the database's is told.
    pub(super) fn reap(&mut self) -> io::Result<Trouble> {
        let Some(running) = &mut self.snapshot else { return Ok(Trouble::None) };
        let ended = match running.look() {
            Ended::NotYet => return Ok(Trouble::None),
            // It stays where it is: dropping the copy must not wait for it.
            Ended::Never(error) => return Err(error),
            Ended::So(ended) => ended,
        };
        self.snapshot = None;
        match ended {
            Ok(()) => Ok(Trouble::None),
            Err(failure @ (Failure::Corrupt(_) | Failure::Sqlite(_))) if failure.distrusts_file() => {
                Ok(Trouble::Database(format!("{failure:?}")))
            }
            Err(failure) => Err(io::Error::other(format!("{failure:?}"))),
        }
    }
}

/// Takes a snapshot into a home and removes what it makes needless. The segment `first` was begun before, so
/// everything the snapshot does not have is in it or behind it.
fn snapshot_and_cut(database: &Path, dir: &Path, first: Stamp, pulse: &Pulse) -> Result<(), Failure> {
    let taken = snapshot::take(database, dir, pulse);
    if taken.is_err() {
        // On a full drive what was written so far is in the way.
        let _ = files::sweep(dir);
    }
    let seal = taken?;
    let position = seal.position();
    let stamp = Stamp { generation: position.generation, seq: position.seq };
    files::cut(dir, Some(stamp), Some(first)).map_err(Failure::Io)
}

fn bytes_of_log(dir: &Path) -> u64 {
    let Ok(listing) = Listing::read(dir) else { return 0 };
    let lengths = listing.segments.iter().map(|stamp| Identity::of(&dir.join(files::segment_name(*stamp))));
    lengths.flatten().map(|identity| identity.length_bytes).sum()
}
