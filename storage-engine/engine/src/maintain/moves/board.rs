//! How far moves are, as every node sees it from the metadata: what is left on each drive, and how fast it gets less.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use granary_metadata::{Drain, VolumeRow, VolumeState};
use granary_types::DriveId;
use parking_lot::Mutex;

use crate::engine::{Engine, Inner};
use crate::volume::all_rows;

/// What was moved longer ago says little about how fast it goes now.
const RATE_WINDOW: Duration = Duration::from_mins(5);

/// A drive that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainStatus {
    /// What was asked for.
    pub drain: Drain,
    /// Shards that are still on it.
    pub shards_left: u64,
    /// Their committed bytes.
    pub bytes_left: u64,
    /// How fast they get less, in bytes a second, as far as this node has seen.
    pub rate_bytes: u64,
    /// How long it will take at that rate; `None` if nothing has moved yet.
    pub time_left: Option<Duration>,
    /// Whether its node has it in use; what lay on a drive that is gone is rebuilt from the others.
    pub is_there: bool,
}

/// How far the drives are from being equally full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebalanceStatus {
    /// Moves of the present plan that are left, if this node does them.
    pub moves_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
}

/// What was seen of a drive: when, and how much was left.
type Sightings = std::collections::VecDeque<(Instant, u64, u64)>;

/// What a node remembers of the moves.
#[derive(Default)]
pub(crate) struct MoveBoard {
    drains: Mutex<HashMap<DriveId, Sightings>>,
    rebalance: Mutex<RebalanceStatus>,
}

impl MoveBoard {
    pub(super) fn set_rebalance(&self, moves_left: u64, bytes_left: u64) {
        *self.rebalance.lock() = RebalanceStatus { moves_left, bytes_left };
        metrics::gauge!("granary_rebalance_bytes_left").set(gauge(bytes_left));
    }
}

/// Shards and bytes on a drive, in volumes that are in use.
pub(super) fn left_on(volumes: &[VolumeRow], drive: DriveId) -> (u64, u64) {
    let used = volumes.iter().filter(|row| row.state != VolumeState::Freed);
    used.filter(|row| row.volume.drives.contains(&drive))
        .fold((0, 0), |(shards, bytes), row| (shards + 1, bytes + row.committed_end))
}

/// Notes how much is left on the drives that are being emptied.
pub(crate) async fn observe(inner: &Inner) -> crate::error::Result<()> {
    let Some(nodes) = &inner.nodes else { return Ok(()) };
    let drains = nodes.drains();
    // All volumes are read only while something is being emptied.
    let volumes = if drains.is_empty() { Vec::new() } else { all_rows(inner.store.as_ref()).await? };
    let mut seen = inner.moves.drains.lock();
    seen.retain(|drive, _| drains.iter().any(|drain| drain.drive == *drive));
    let (now, mut shards_left, mut bytes_left) = (Instant::now(), 0, 0);
    for drain in drains {
        let (shards, bytes) = left_on(&volumes, drain.drive);
        let sightings = seen.entry(drain.drive).or_default();
        sightings.push_back((now, shards, bytes));
        while sightings.front().is_some_and(|(at, ..)| now.duration_since(*at) > RATE_WINDOW) {
            sightings.pop_front();
        }
        (shards_left, bytes_left) = (shards_left + shards, bytes_left + bytes);
    }
    drop(seen);
    metrics::gauge!("granary_drain_shards_left").set(gauge(shards_left));
    metrics::gauge!("granary_drain_bytes_left").set(gauge(bytes_left));
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn gauge(count: u64) -> f64 {
    count as f64
}

/// How fast it went from the first sighting to the last, in bytes a second.
fn rate(sightings: &Sightings) -> u64 {
    let (Some((first, _, before)), Some((last, _, now))) = (sightings.front(), sightings.back()) else {
        return 0;
    };
    let took_ms = last.duration_since(*first).as_millis().max(1);
    u64::try_from(u128::from(before.saturating_sub(*now)) * 1000 / took_ms).unwrap_or(u64::MAX)
}

impl Engine {
    /// The drives that are being emptied, and how far that is.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn drain_status(&self) -> crate::error::Result<Vec<DrainStatus>> {
        let Some(nodes) = &self.inner.nodes else { return Ok(Vec::new()) };
        let drains = nodes.membership.drains().await?;
        let volumes =
            if drains.is_empty() { Vec::new() } else { all_rows(self.inner.store.as_ref()).await? };
        let seen = self.inner.moves.drains.lock();
        let status = drains.into_iter().map(|drain| {
            let (shards_left, bytes_left) = left_on(&volumes, drain.drive);
            let rate_bytes = seen.get(&drain.drive).map_or(0, rate);
            let seconds = bytes_left.checked_div(rate_bytes);
            let is_there = self.inner.drives.can_read(drain.drive);
            let time_left = if shards_left == 0 { Some(0) } else { seconds }.map(Duration::from_secs);
            DrainStatus { drain, shards_left, bytes_left, rate_bytes, time_left, is_there }
        });
        Ok(status.collect())
    }

    /// How far the drives are from being equally full, as far as this node moves shards.
    #[must_use]
    pub fn rebalance_status(&self) -> RebalanceStatus {
        *self.inner.moves.rebalance.lock()
    }
}
