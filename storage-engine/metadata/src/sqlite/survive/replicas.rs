//! The copies in other homes: which homes have one, appending to all of them, replacing those that fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_types::DriveId;

use super::files::Identity;
use super::known::{Keeping, Known, Looking};
use super::log::InUse;
use super::replica::{Replica, Trouble};
use crate::sqlite::failure::Failure;
use crate::sqlite::options::{EmbeddedOptions, Home, SnapshotThresholds};
use crate::sqlite::schema::Position;

/// A home that failed is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(10);

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
    pub(in crate::sqlite) fn homes(&self, position: &Position) -> Vec<Home> {
        let looking = Looking::AtDirectories;
        let here = self
            .known
            .iter()
            .filter(|known| known.is_idle() && known.examine(position, looking, self.deadline).is_some());
        here.map(|known| known.home.clone()).collect()
    }

    /// Whether a copy other than the database holds everything.
    pub(in crate::sqlite) fn any_complete(&self) -> bool {
        self.active.iter().any(|replica| replica.is_complete())
    }

    /// Whether fewer copies than wanted hold everything.
    pub(in crate::sqlite) fn is_short(&self) -> bool {
        let complete = self.active.iter().filter(|replica| replica.is_complete());
        complete.count() < self.wanted
    }

    /// The drives with a complete copy besides the database.
    pub(in crate::sqlite) fn complete(&self) -> Vec<DriveId> {
        let complete = self.active.iter().filter(|replica| replica.is_complete());
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
        let deadline = self.deadline;
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
        let mut replica =
            Replica::begin(home, position, reaches, (self.deadline, in_use)).map_err(Failure::Io)?;
        if !reaches {
            match forming {
                Forming::Wait => replica.take_snapshot(&self.database, position)?,
                Forming::Background => {
                    replica.begin_snapshot(&self.database, position).map_err(Failure::Io)?;
                }
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
        for known in &self.known {
            let home = &known.home;
            let keeping = if home.drive == self.serving {
                Keeping::Database
            } else if self.active.iter().any(|replica| replica.home.drive == home.drive) {
                Keeping::Copy
            } else {
                Keeping::Nothing
            };
            // A home with a copy is in use by its log.
            if keeping != Keeping::Copy && !known.is_idle() {
                continue;
            }
            if let Err(error) = known.sweep(keeping, self.deadline) {
                tracing::warn!(home = %home.dir.display(), %error, "an old metadata copy could not be removed");
            }
        }
    }

    /// Begins to append a frame to every copy.
    pub(in crate::sqlite) fn append(&mut self, frame: &Arc<[u8]>) {
        for replica in &mut self.active {
            replica.append(frame);
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
            if let found @ Trouble::Database(_) = replica.reap()? {
                trouble = found;
            }
            Ok(())
        });
        trouble
    }

    fn cut_long_logs(&mut self, position: &Position) {
        let database_bytes = Identity::of(&self.database).map_or(0, |identity| identity.length_bytes);
        let relative = database_bytes.saturating_mul(self.thresholds.log_percent_of_database) / 100;
        let limit = relative.max(self.thresholds.log_bytes_min);
        // One at a time: a snapshot reads the whole database.
        if self.active.iter().any(Replica::takes_snapshot) {
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
            replica.begin_snapshot(&database, position)
        });
    }
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
