//! What readers found damaged, waiting to be healed.
//!
//! What cannot be healed now stays on the list: the columns that are needed for it may be on a node that is away, and nobody
//! may read the volume again when it is back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use granary_types::{DriveId, VolumeId};
use parking_lot::Mutex;
use tokio::sync::Notify;

const REPORTS_MAX: usize = 10_000;
/// How long a volume that could not be healed whole is left alone, the first time: examining it again reads all of it.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// And how long at most, unless a drive or a node comes back.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// How long a volume is left alone that somebody else is at work on: that costs nothing to be found out.
const OTHERS_PAUSE: Duration = Duration::from_secs(10);

/// Columns that a reader could not read.
#[derive(Default)]
pub(crate) struct DamageLog {
    state: Mutex<State>,
    reported: Notify,
    /// Of no other process: what all nodes know of is begun by each of them somewhere else.
    order: RandomState,
}

#[derive(Default)]
struct State {
    /// With the drive that each was on, where that is known.
    columns: BTreeMap<(VolumeId, u8), Option<DriveId>>,
    /// Volumes that could not be healed.
    paused: HashMap<VolumeId, Paused>,
}

struct Paused {
    since: Instant,
    /// For how long.
    rest: Duration,
    /// What that was after the last heal that failed.
    pause: Duration,
}

impl State {
    fn is_due(&self, volume: VolumeId) -> bool {
        self.paused.get(&volume).is_none_or(|paused| paused.since.elapsed() >= paused.rest)
    }

    fn last_pause(&self, volume: VolumeId) -> Duration {
        self.paused.get(&volume).map_or(Duration::ZERO, |paused| paused.pause)
    }

    fn columns_of(&self, volume: VolumeId) -> BTreeSet<u8> {
        let all = self.columns.range((volume, u8::MIN)..=(volume, u8::MAX));
        all.map(|((_, column), _)| *column).collect()
    }
}

impl DamageLog {
    /// Notes a column that is on `drive`. Beyond a bound reports are dropped: the next read or scrub reports again.
    pub(crate) fn report(&self, volume: VolumeId, column: u8, drive: Option<DriveId>) {
        let mut state = self.state.lock();
        if let Some(known) = state.columns.get_mut(&(volume, column)) {
            // One of the two is from before the column went to another drive, and nothing says which.
            *known = known.filter(|known| drive == Some(*known));
        } else if state.columns.len() < REPORTS_MAX {
            state.columns.insert((volume, column), drive);
            metrics::counter!("granary_shards_damaged_total").increment(1);
            if state.is_due(volume) {
                self.reported.notify_one();
            }
        }
    }

    /// How many columns wait to be healed.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().columns.len()
    }

    /// Waits for a report.
    pub(crate) async fn reported(&self) {
        self.reported.notified().await;
    }

    /// The volumes with reports but those that are paused, those with the most columns first: they are the least safe. Those that
    /// are as safe as each other come in an order of this process.
    pub(crate) fn due(&self) -> Vec<VolumeId> {
        let state = self.state.lock();
        let mut counts: BTreeMap<VolumeId, usize> = BTreeMap::new();
        for (volume, _) in state.columns.keys().filter(|(volume, _)| state.is_due(*volume)) {
            *counts.entry(*volume).or_default() += 1;
        }
        drop(state);
        let mut due: Vec<(VolumeId, usize)> = counts.into_iter().collect();
        due.sort_by_cached_key(|(volume, columns)| {
            (std::cmp::Reverse(*columns), self.order.hash_one(volume))
        });
        due.into_iter().map(|(volume, _)| volume).collect()
    }

    /// The columns of a volume that were reported.
    pub(crate) fn columns(&self, volume: VolumeId) -> BTreeSet<u8> {
        self.state.lock().columns_of(volume)
    }

    /// Takes the reports of a volume that is about to be examined: what is reported from now on is news.
    pub(crate) fn take(&self, volume: VolumeId) -> BTreeSet<u8> {
        let mut state = self.state.lock();
        let taken = state.columns_of(volume);
        for column in &taken {
            state.columns.remove(&(volume, *column));
        }
        taken
    }

    /// Puts reports back of a volume that could not be healed whole. Nobody is woken for it.
    pub(crate) fn keep(&self, volume: VolumeId, columns: &BTreeSet<u8>) {
        let mut state = self.state.lock();
        for column in columns {
            if state.columns.len() < REPORTS_MAX {
                state.columns.entry((volume, *column)).or_default();
            }
        }
    }

    /// A column was written anew: what was reported of it is true no more.
    pub(crate) fn healed(&self, volume: VolumeId, column: u8) {
        self.state.lock().columns.remove(&(volume, column));
    }

    /// The columns of a volume are on these drives: what was reported of others is true no more. Another node has healed or moved
    /// them, and anew written columns are whole.
    pub(crate) fn learn(&self, volume: VolumeId, drives: &[DriveId]) {
        let mut state = self.state.lock();
        for (column, now) in (0_u8..).zip(drives) {
            let reported = state.columns.get(&(volume, column)).copied().flatten();
            if reported.is_some_and(|reported| reported != *now) {
                state.columns.remove(&(volume, column));
            }
        }
    }

    /// The volume is whole.
    pub(crate) fn finish(&self, volume: VolumeId) {
        self.state.lock().paused.remove(&volume);
    }

    /// The volume is gone.
    pub(crate) fn forget(&self, volume: VolumeId) {
        self.take(volume);
        self.finish(volume);
    }

    /// Leaves a volume alone for a while, each time for longer. Its reports are kept.
    pub(crate) fn pause(&self, volume: VolumeId) {
        let mut state = self.state.lock();
        let pause = state.last_pause(volume).saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX);
        state.paused.insert(volume, Paused { since: Instant::now(), rest: pause, pause });
    }

    /// Leaves a volume to who is at work on it. No heal of it has failed: the next pause is no longer for it.
    pub(crate) fn leave_to_others(&self, volume: VolumeId) {
        let mut state = self.state.lock();
        let pause = state.last_pause(volume);
        state.paused.insert(volume, Paused { since: Instant::now(), rest: OTHERS_PAUSE, pause });
    }

    /// Some of what is due was left for the next round.
    pub(crate) fn remind(&self) {
        self.reported.notify_one();
    }

    /// The drives have changed, or a node is back: what could not be healed may be healed now.
    pub(crate) fn resume(&self) {
        let mut state = self.state.lock();
        state.paused.clear();
        if !state.columns.is_empty() {
            self.reported.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
