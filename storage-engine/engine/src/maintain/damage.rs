//! What readers found damaged, waiting to be healed.
//!
//! What cannot be healed now stays on the list: the columns that are needed for it may be on a node that is away, and nobody
//! may read the volume again when it is back.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use granary_types::VolumeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

const REPORTS_MAX: usize = 10_000;
/// How long a volume that could not be healed whole is left alone, the first time: examining it again reads all of it.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// And how long at most, unless a drive or a node comes back.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// Columns that a reader could not read.
#[derive(Default)]
pub(crate) struct DamageLog {
    state: Mutex<State>,
    reported: Notify,
}

#[derive(Default)]
struct State {
    columns: BTreeSet<(VolumeId, u8)>,
    /// Volumes that could not be healed.
    paused: HashMap<VolumeId, Paused>,
}

struct Paused {
    since: Instant,
    pause: Duration,
}

impl State {
    fn is_due(&self, volume: VolumeId) -> bool {
        self.paused.get(&volume).is_none_or(|paused| paused.since.elapsed() >= paused.pause)
    }
}

impl DamageLog {
    /// Notes a column. Beyond a bound reports are dropped: the next read or scrub reports again.
    pub(crate) fn report(&self, volume: VolumeId, column: u8) {
        let mut state = self.state.lock();
        if state.columns.len() < REPORTS_MAX && state.columns.insert((volume, column)) {
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

    /// Takes the reports of all volumes but those that are paused.
    pub(crate) fn take_due(&self) -> BTreeSet<(VolumeId, u8)> {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.columns);
        let (due, later) = all.into_iter().partition(|(volume, _)| state.is_due(*volume));
        state.columns = later;
        due
    }

    /// The volume is healed, or nothing can be done for it.
    pub(crate) fn finish(&self, volume: VolumeId) {
        self.state.lock().paused.remove(&volume);
    }

    /// Leaves a volume alone for a while, each time for longer, and keeps its reports.
    pub(crate) fn pause(&self, volume: VolumeId, columns: &[u8]) {
        let mut state = self.state.lock();
        let before = state.paused.get(&volume).map_or(Duration::ZERO, |paused| paused.pause);
        let pause = before.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX);
        state.paused.insert(volume, Paused { since: Instant::now(), pause });
        for column in columns {
            if state.columns.len() < REPORTS_MAX {
                state.columns.insert((volume, *column));
            }
        }
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
