//! The copies in other homes: which homes have one, appending to all of them, replacing those that fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use granary_types::DriveId;

use super::files::{self, Identity, Listing, Stamp};
use super::log::{InUse, Log, end_within};
use super::scan::{Base, Databases, reach, scan};
use super::snapshot;
use crate::sqlite::failure::Failure;
use crate::sqlite::options::{EmbeddedOptions, Home, SnapshotThresholds};
use crate::sqlite::schema::Position;

/// A home that failed is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A home as the store knows it.
#[derive(Clone)]
struct Known {
    home: Home,
    /// The directory when the store was opened. Another one in its place is another drive, not ours to use.
    directory: Option<Identity>,
    retry_at: Option<Instant>,
    in_use: InUse,
}

impl Known {
    fn new(home: Home, in_use: InUse) -> Self {
        let directory = Identity::of(&home.dir).ok();
        Self { home, directory, retry_at: None, in_use }
    }

    /// Whether the directory is still the one that was opened.
    fn is_here(&self) -> bool {
        match (&self.directory, Identity::of(&self.home.dir)) {
            (Some(then), Ok(now)) => then.same_file(&now),
            _ => false,
        }
    }

    /// Whether no thread works in it. One that was left behind on a drive that hangs still does.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }

    fn may_be_tried(&self) -> bool {
        self.is_idle() && self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Whether it is still here and, if that is asked, holds everything up to `position`. `None` if it cannot be used
    /// or does not tell in time.
    fn examine(&self, position: &Position, looking: Looking, deadline: Duration) -> Option<bool> {
        let (known, position) = (self.clone(), *position);
        let (answer, told) = sync_channel(1);
        let look = move || {
            let here = known.is_here();
            let found = here.then(|| looking == Looking::AtCopies && reaches(&known.home, &position));
            // Who gets the answer may ask at once whether the home is idle.
            drop(known);
            let _ = answer.send(found);
        };
        std::thread::Builder::new().name("metadata-home".to_owned()).spawn(look).ok()?;
        told.recv_timeout(deadline).ok()?
    }
}

/// One copy: a log that is being written, and snapshots.
struct Replica {
    home: Home,
    log: Log,
    /// Bytes in the current segment.
    segment_bytes: u64,
    /// Bytes in all segments behind the snapshot.
    log_bytes: u64,
    /// Whether snapshot and log together reach the present.
    complete: Arc<AtomicBool>,
    snapshot: Option<JoinHandle<Result<(), Failure>>>,
    in_use: InUse,
    deadline: Duration,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(running) = self.snapshot.take() {
            end_within(running, if self.log.is_hung() { Duration::ZERO } else { self.deadline });
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

/// All copies of a store.
pub(in crate::sqlite) struct Replicas {
    known: Vec<Known>,
    active: Vec<Replica>,
    wanted: usize,
    thresholds: SnapshotThresholds,
    deadline: Duration,
    serving: DriveId,
    database: PathBuf,
    short_told: bool,
    lost: bool,
}

/// Whether a missing snapshot is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) enum Forming {
    /// Yes: before the store answers its first request.
    Wait,
    /// No: while it serves.
    Background,
}

/// Whether it is looked for copies that are complete already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    /// Yes: nothing is committed meanwhile.
    AtCopies,
    /// No: that would read whole snapshots while commits wait, and the copy of a home that was left is behind.
    AtDirectories,
}

impl Replicas {
    pub(in crate::sqlite) fn new(options: &EmbeddedOptions) -> Self {
        let known = options.homes.iter().map(|home| Known::new(home.clone(), InUse::default()));
        Self {
            known: known.collect(),
            active: Vec::new(),
            wanted: options.copies,
            thresholds: options.snapshots,
            deadline: options.copy_deadline,
            serving: DriveId::from_bytes([0; 16]),
            database: PathBuf::new(),
            short_told: false,
            lost: false,
        }
    }

    /// Adds a home or takes the directory that is there now for the drive's home.
    pub(in crate::sqlite) fn adopt(&mut self, home: Home) {
        let former = self.known.iter().position(|known| known.home.drive == home.drive);
        let in_use = former.map(|at| self.known.remove(at).in_use).unwrap_or_default();
        self.known.push(Known::new(home, in_use));
    }

    /// The homes whose directories are still there, without those whose drives hang. To be asked after [`Self::stop`].
    pub(in crate::sqlite) fn homes(&self) -> Vec<Home> {
        let here = self.known.iter().filter(|known| known.is_idle() && known.is_here());
        here.map(|known| known.home.clone()).collect()
    }

    /// Whether a copy other than the database holds everything.
    pub(in crate::sqlite) fn any_complete(&self) -> bool {
        self.active.iter().any(|replica| replica.complete.load(Ordering::Acquire))
    }

    /// Whether fewer copies than wanted hold everything.
    pub(in crate::sqlite) fn is_short(&self) -> bool {
        let complete = self.active.iter().filter(|replica| replica.complete.load(Ordering::Acquire));
        complete.count() < self.wanted
    }

    /// The drives with a complete copy besides the database.
    pub(in crate::sqlite) fn complete(&self) -> Vec<DriveId> {
        let complete = self.active.iter().filter(|replica| replica.complete.load(Ordering::Acquire));
        complete.map(|replica| replica.home.drive).collect()
    }

    pub(in crate::sqlite) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Ends all logs; waits for snapshots that run.
    pub(in crate::sqlite) fn stop(&mut self) {
        self.active.clear();
    }

    /// Says which database is copied from now on and makes as many copies as are wanted and possible.
    pub(in crate::sqlite) fn follow(
        &mut self,
        serving: &Home,
        database: PathBuf,
        position: &Position,
        forming: Forming,
    ) {
        self.stop();
        self.serving = serving.drive;
        self.database = database;
        self.form(position, forming, Looking::AtCopies);
        self.sweep_others();
    }

    /// Makes copies until there are as many as wanted.
    fn form(&mut self, position: &Position, forming: Forming, looking: Looking) {
        // At start nothing waits but the start itself, and copies may be large.
        let deadline = if forming == Forming::Wait { Duration::MAX } else { self.deadline };
        let mut candidates: Vec<(bool, Home)> = self
            .known
            .iter()
            .filter(|known| known.may_be_tried() && known.home.drive != self.serving)
            .filter(|known| self.active.iter().all(|replica| replica.home.drive != known.home.drive))
            .filter_map(|known| Some((known.examine(position, looking, deadline)?, known.home.clone())))
            .collect();
        // Homes that hold a copy already need no snapshot. The sort is stable: slot order otherwise.
        candidates.sort_by_key(|(reaches, _)| !reaches);
        for (reaches, home) in candidates {
            if self.active.len() >= self.wanted {
                break;
            }
            if let Err(failure) = self.begin(&home, position, reaches, forming) {
                tracing::warn!(home = %home.dir.display(), ?failure, "a home cannot take a metadata copy");
                self.fail(home.drive);
            }
        }
        self.tell_if_short();
    }

    fn tell_if_short(&mut self) {
        let short = self.active.len() < self.wanted;
        if short && !self.short_told {
            tracing::warn!(
                wanted = self.wanted,
                have = self.active.len(),
                "fewer metadata copies than wanted"
            );
        }
        self.short_told = short;
    }

    fn begin(
        &mut self,
        home: &Home,
        position: &Position,
        reaches: bool,
        forming: Forming,
    ) -> Result<(), Failure> {
        let known = self.known.iter().find(|known| known.home.drive == home.drive);
        let in_use = known.map(|known| Arc::clone(&known.in_use)).unwrap_or_default();
        let log = Log::start(&home.dir, position, self.deadline, Arc::clone(&in_use)).map_err(Failure::Io)?;
        let log_bytes = if reaches { bytes_of_log(&home.dir) } else { 0 };
        let mut replica = Replica {
            home: home.clone(),
            log,
            segment_bytes: 0,
            log_bytes,
            complete: Arc::new(AtomicBool::new(reaches)),
            snapshot: None,
            in_use,
            deadline: self.deadline,
        };
        if !reaches {
            let first = first_of(position);
            if forming == Forming::Wait {
                snapshot_and_cut(&self.database, &home.dir, first)?;
                replica.complete.store(true, Ordering::Release);
            } else {
                replica.snapshot = Some(in_background(&self.database, &replica, first)?);
            }
        }
        self.active.push(replica);
        Ok(())
    }

    fn fail(&mut self, drive: DriveId) {
        for known in self.known.iter_mut().filter(|known| known.home.drive == drive) {
            known.retry_at = Some(Instant::now() + RETRY_AFTER);
        }
    }

    /// Removes old copies and databases from the homes that hold none of the present ones.
    fn sweep_others(&self) {
        if self.active.len() < self.wanted {
            return;
        }
        for known in self.known.iter() {
            let home = &known.home;
            let active = self.active.iter().any(|replica| replica.home.drive == home.drive);
            if !(active || known.is_idle()) || !known.is_here() {
                continue;
            }
            let mut swept = Ok(());
            if home.drive != self.serving {
                swept = Listing::read(&home.dir)
                    .and_then(|listing| if listing.database { files::set_aside(&home.dir) } else { Ok(()) });
            }
            if !active {
                swept = swept.and_then(|()| files::cut(&home.dir, None, None));
            }
            if let Err(error) = swept {
                tracing::warn!(home = %home.dir.display(), %error, "an old metadata copy could not be removed");
            }
        }
    }

    /// Begins to append a frame to every copy.
    pub(in crate::sqlite) fn append(&mut self, frame: &Arc<[u8]>) {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        for replica in &mut self.active {
            replica.log.append(Arc::clone(frame));
            replica.segment_bytes = replica.segment_bytes.saturating_add(length);
            replica.log_bytes = replica.log_bytes.saturating_add(length);
        }
    }

    /// Waits until the frame is flushed everywhere. A copy that fails is dropped; another is made by [`Self::tend`].
    pub(in crate::sqlite) fn wait(&mut self) {
        self.each("appending", |replica| replica.log.wait());
    }

    /// Takes the last frame back. `false` if a copy keeps it: the caller must raise the generation.
    pub(in crate::sqlite) fn retract(&mut self) -> bool {
        self.each("retracting", |replica| replica.log.retract());
        // A copy that was given up while it appended may have the frame too.
        !self.lost
    }

    /// Begins new segments, after the generation was raised.
    pub(in crate::sqlite) fn rotate(&mut self, position: &Position) {
        self.each("rotating", |replica| replica.rotate(position));
    }

    fn each(&mut self, doing: &str, mut act: impl FnMut(&mut Replica) -> std::io::Result<()>) {
        let mut failed = Vec::new();
        self.active.retain_mut(|replica| match act(replica) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(home = %replica.home.dir.display(), %error, doing, "a metadata copy failed");
                failed.push(replica.home.drive);
                false
            }
        });
        self.lost |= !failed.is_empty();
        for drive in failed {
            self.fail(drive);
        }
    }

    /// Whether a copy was lost since this was last asked.
    pub(in crate::sqlite) fn lost_any(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Upkeep between batches: cuts long logs, sees how snapshots ended, replaces lost copies.
    pub(in crate::sqlite) fn tend(&mut self, position: &Position) -> Trouble {
        let trouble = self.reap();
        self.each("rotating", |replica| if replica.is_full() { replica.rotate(position) } else { Ok(()) });
        self.cut_long_logs(position);
        if self.active.len() < self.wanted {
            self.form(position, Forming::Background, Looking::AtDirectories);
        }
        trouble
    }

    /// Whether [`Self::tend`] should begin a new segment.
    pub(in crate::sqlite) fn any_full(&self) -> bool {
        self.active.iter().any(Replica::is_full)
    }

    fn reap(&mut self) -> Trouble {
        let mut trouble = Trouble::None;
        self.each("snapshotting", |replica| {
            if !replica.snapshot.as_ref().is_some_and(JoinHandle::is_finished) {
                return Ok(());
            }
            let ended = replica.snapshot.take().map(JoinHandle::join);
            match ended {
                None | Some(Ok(Ok(()))) => Ok(()),
                Some(Ok(Err(failure @ (Failure::Corrupt(_) | Failure::Sqlite(_)))))
                    if failure.distrusts_file() =>
                {
                    trouble = Trouble::Database(format!("{failure:?}"));
                    Ok(())
                }
                Some(Ok(Err(failure))) => Err(std::io::Error::other(format!("{failure:?}"))),
                Some(Err(_)) => Err(std::io::Error::other("the snapshot's thread panicked")),
            }
        });
        trouble
    }

    fn cut_long_logs(&mut self, position: &Position) {
        let database_bytes = Identity::of(&self.database).map_or(0, |identity| identity.length_bytes);
        let relative = database_bytes.saturating_mul(self.thresholds.log_percent_of_database) / 100;
        let limit = relative.max(self.thresholds.log_bytes_min);
        // One at a time: a snapshot reads the whole database.
        if self.active.iter().any(|replica| replica.snapshot.is_some()) {
            return;
        }
        let database = self.database.clone();
        let mut begun = false;
        self.each("cutting the log", |replica| {
            if begun || replica.log_bytes < limit {
                return Ok(());
            }
            begun = true;
            replica.rotate(position)?;
            replica.log_bytes = 0;
            let running = in_background(&database, replica, first_of(position));
            replica.snapshot =
                Some(running.map_err(|failure| std::io::Error::other(format!("{failure:?}")))?);
            Ok(())
        });
    }
}

impl Replica {
    fn is_full(&self) -> bool {
        self.log.is_full(self.segment_bytes)
    }

    fn rotate(&mut self, position: &Position) -> std::io::Result<()> {
        self.log.rotate(*position)?;
        self.segment_bytes = 0;
        Ok(())
    }
}

/// The stamp of the segment that follows `position`.
fn first_of(position: &Position) -> Stamp {
    Stamp { generation: position.generation, seq: position.seq.saturating_add(1) }
}

fn in_background(
    database: &Path,
    replica: &Replica,
    first: Stamp,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    let (database, dir) = (database.to_owned(), replica.home.dir.clone());
    let complete = Arc::clone(&replica.complete);
    let in_use = Arc::clone(&replica.in_use);
    let run = move || {
        let _in_use = in_use;
        snapshot_and_cut(&database, &dir, first)?;
        complete.store(true, Ordering::Release);
        Ok(())
    };
    std::thread::Builder::new().name("metadata-snapshot".to_owned()).spawn(run).map_err(Failure::Io)
}

/// Takes a snapshot into a home and removes what it makes needless. The segment `first` was begun before, so
/// everything the snapshot does not have is in it or behind it.
fn snapshot_and_cut(database: &Path, dir: &Path, first: Stamp) -> Result<(), Failure> {
    let taken = snapshot::take(database, dir);
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

/// Whether what lies in the home alone leads to exactly this position.
fn reaches(home: &Home, position: &Position) -> bool {
    let Ok(found) = scan(std::slice::from_ref(home), Databases::AllBut(0)) else { return false };
    found.bases.iter().any(|(base, kind)| {
        let Base::Snapshot { seal, .. } = kind else { return false };
        let (end, _) = reach(&found, base);
        end.store == position.store
            && (end.seq, end.chain) == (position.seq, position.chain)
            && seal.holds(&home.dir)
    })
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
