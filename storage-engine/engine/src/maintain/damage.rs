//! What readers found damaged, waiting to be healed.

use std::collections::BTreeSet;

use granary_types::VolumeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

const REPORTS_MAX: usize = 10_000;

/// Columns that a reader could not read.
#[derive(Default)]
pub(crate) struct DamageLog {
    columns: Mutex<BTreeSet<(VolumeId, u8)>>,
    reported: Notify,
}

impl DamageLog {
    /// Notes a column. Beyond a bound reports are dropped: the next read or scrub reports again.
    pub(crate) fn report(&self, volume: VolumeId, column: u8) {
        let mut columns = self.columns.lock();
        if columns.len() < REPORTS_MAX && columns.insert((volume, column)) {
            metrics::counter!("granary_shards_damaged_total").increment(1);
            self.reported.notify_one();
        }
    }

    /// Waits for a report.
    pub(crate) async fn reported(&self) {
        self.reported.notified().await;
    }

    /// Takes all reports.
    pub(crate) fn take(&self) -> BTreeSet<(VolumeId, u8)> {
        std::mem::take(&mut self.columns.lock())
    }
}
