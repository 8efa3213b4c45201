//! What readers found damaged, waiting to be healed.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use granary_types::VolumeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

const REPORTS_MAX: usize = 10_000;

/// Columns that a reader could not read.
#[derive(Default)]
pub(crate) struct DamageLog {
    state: Mutex<State>,
    reported: Notify,
}

#[derive(Default)]
struct State {
    columns: BTreeSet<(VolumeId, u8)>,
    /// Volumes that could not be healed, and when that was found.
    paused: HashMap<VolumeId, Instant>,
}

impl DamageLog {
    /// Notes a column. Beyond a bound reports are dropped: the next read or scrub reports again.
    pub(crate) fn report(&self, volume: VolumeId, column: u8) {
        let mut state = self.state.lock();
        if state.columns.len() < REPORTS_MAX && state.columns.insert((volume, column)) {
            metrics::counter!("granary_shards_damaged_total").increment(1);
            if !state.paused.contains_key(&volume) {
                self.reported.notify_one();
            }
        }
    }

    /// Waits for a report.
    pub(crate) async fn reported(&self) {
        self.reported.notified().await;
    }

    /// Takes the reports of all volumes but those that were paused less than `pause` ago.
    pub(crate) fn take_due(&self, pause: Duration) -> BTreeSet<(VolumeId, u8)> {
        let mut state = self.state.lock();
        state.paused.retain(|_, since| since.elapsed() < pause);
        let State { columns, paused } = &mut *state;
        let (due, later) =
            std::mem::take(columns).into_iter().partition(|(volume, _)| !paused.contains_key(volume));
        *columns = later;
        due
    }

    /// Leaves a volume alone for a while.
    pub(crate) fn pause(&self, volume: VolumeId) {
        self.state.lock().paused.insert(volume, Instant::now());
    }

    /// The drives have changed: what could not be healed may be healed now.
    pub(crate) fn resume(&self) {
        self.state.lock().paused.clear();
    }
}
