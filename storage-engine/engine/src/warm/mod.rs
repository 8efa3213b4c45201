//! Warm copies: a second place, on SSDs, of versions whose own place is on disks.
//!
//! One mechanism with several users: a restore of what is archived ([`restore`]), prefetched and pinned prefixes ([`walk`]),
//! and what is read so often that it is promoted or cached ([`heat`]). The copy is told by a row beside its version
//! (`object_warmth`), under the write that made the version: the bytes of a write never change, so a copy is never stale, and
//! whatever replaces or deletes the version need not know of it. What is left behind is found and dropped ([`keep`]). A copy
//! is a convenience: reads check it as they check everything, and go to the version's own place when it is gone or wrong.
//!
//! Copies are written to volumes of their own ([`crate::tiers::Tier::Warm`]), which are healed, scrubbed and compacted as others
//! are ([`compact`]). What is copied, dropped, expired and promoted without being asked for is the work of one node for all.

mod board;
mod compact;
mod copy;
mod door;
mod fill;
mod heat;
mod jobs;
mod keep;
mod large;
mod pins;
mod rate;
mod read;
mod restore;
mod room;
mod status;
mod under_way;
mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_metadata::WarmKind;
use granary_types::StorageClass;
use tokio::sync::Notify;

use crate::engine::Inner;
use crate::error::Result;
use crate::lifecycle::DayLength;
use crate::volume::VolumePool;
pub use board::{TierJob, TierJobState, TierWork};
pub(crate) use compact::{move_packed, move_parts};
use copy::Pace;
use heat::ReadCounts;
use jobs::WarmJobs;
pub use jobs::{WarmJob, WarmJobId, WarmJobKind, WarmJobState};
pub use pins::PinStatus;
use rate::Rate;
pub(crate) use read::{WarmRead, count_part};
use restore::NotRestored;
pub use status::WarmStatus;
use under_way::UnderWay;

/// The options of warm copies.
#[derive(Debug, Clone)]
pub struct WarmOptions {
    /// Bytes of prefetched, promoted and cached copies together, parity left out; `None` for [`WarmOptions::SHARE_PERCENT`] of what the
    /// SSDs can hold.
    pub bytes_max: Option<u64>,
    /// So many reads within [`WarmOptions::promote_window`] give a version of INTELLIGENT_TIERING a copy; 0 for none ever.
    pub promote_reads: u32,
    /// So many reads give a version of another class on disks that can be read at once a copy, if nothing that is as hot has to
    /// go for it; 0 for none ever.
    pub cache_reads: u32,
    /// After this time a read counts half, after twice as long a quarter.
    pub promote_window: Duration,
    /// A promoted copy that was not read for so long goes.
    pub demote_after: Duration,
}

impl WarmOptions {
    /// The part of the SSDs that these copies may take if nothing else is said.
    pub const SHARE_PERCENT: u64 = 20;
}

impl Default for WarmOptions {
    fn default() -> Self {
        Self {
            bytes_max: None,
            promote_reads: 3,
            cache_reads: 2,
            promote_window: Duration::from_hours(24),
            demote_after: Duration::from_hours(24 * 7),
        }
    }
}

/// What this process knows of warm copies.
pub(crate) struct Warm {
    pool: Arc<VolumePool>,
    /// [`WarmOptions::cache_reads`].
    cache_reads: u32,
    counts: ReadCounts,
    jobs: WarmJobs,
    under_way: Arc<UnderWay>,
    /// How fast this process restores.
    restored: Rate,
    not_restored: NotRestored,
    /// Something is wanted: the worker need not wait for its next round.
    wake: Notify,
}

impl Warm {
    pub(crate) fn new(pool: Arc<VolumePool>, options: &WarmOptions) -> Self {
        let (cache_reads, counts) = (options.cache_reads, ReadCounts::new(options));
        Self {
            pool,
            cache_reads,
            counts,
            jobs: WarmJobs::default(),
            under_way: Arc::default(),
            restored: Rate::default(),
            not_restored: NotRestored::default(),
            wake: Notify::new(),
        }
    }

    /// Whether the store has SSDs that take copies of what lies on disks.
    pub(crate) fn is_used(&self) -> bool {
        self.pool.tiers.has_warm()
    }

    /// Whether versions of a class may have copies.
    pub(crate) fn is_for(&self, class: StorageClass) -> bool {
        self.pool.tiers.may_be_warm(class)
    }

    /// Ends the jobs where they are.
    pub(crate) fn stop_jobs(&self) {
        self.jobs.stop_all();
    }

    /// Something was asked for that the worker does.
    pub(crate) fn wake(&self) {
        self.wake.notify_waiters();
    }
}

/// Does what is asked for and due, until it is aborted. What takes long does not hold up the rest.
pub(crate) async fn keep_warm_forever(inner: Arc<Inner>) {
    let rest = [WarmKind::WantedStandard, WarmKind::WantedBulk];
    tokio::join!(
        Box::pin(keep::keep_forever(&inner)),
        Box::pin(restore::restore_forever(&inner, &[WarmKind::WantedExpedited], Pace::Urgent)),
        Box::pin(restore::restore_forever(&inner, &rest, Pace::Polite)),
        Box::pin(walk::warm_pinned_forever(&inner)),
    );
}

/// Waits for the next round. `false` if there is none: a database that went back in time may not know what took the place of
/// what it tells.
async fn next_round(inner: &Inner) -> bool {
    tokio::select! {
        () = tokio::time::sleep(inner.options.maintenance_interval) => {}
        () = inner.warm.wake.notified() => {}
    }
    !inner.is_regressed()
}

/// With days cut short for tests, what takes minutes takes as little.
fn pause(inner: &Inner, real: Duration) -> Duration {
    match inner.options.lifecycle_day {
        DayLength::Real => real,
        DayLength::Debug(day) => (day / 4).clamp(Duration::from_millis(100), real),
    }
}

/// Whether it is time again.
fn is_due(last: Option<Instant>, pause: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= pause)
}

/// One round of something that failed is tried again in the next.
fn said(step: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(step, %error, "keeping warm copies failed and will be tried again");
    }
}
