//! Compaction: what lives in a wasteful volume is written again, packed full, and the volume is freed.
//!
//! Whether something lives is asked by its exact place (packed objects) or its blob id, never by key alone. The move is
//! a compare-and-swap in the metadata: an object that was overwritten meanwhile is simply not moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use granary_drive::PackedEntry;
use granary_metadata::{ObjectMove, Outcome, PackedLocation, VolumeRow, VolumeState};
use granary_types::{BlobId, DriveClass, UnixMillis, VolumeId, crash_point};

use super::packed::entries_of;
use super::pages::Page;
use super::records::{Unread, awaits_backup, move_manifest};
use super::rewrite;
use super::tasks::TASK_LEASE;
use super::walk::{Step, Walk};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::volume_lease;
use crate::record::ObjectRecord;
use crate::volume::{RecordBook, VolumeView};
use crate::write::PackWrite;

/// Objects being moved at the same time: enough to fill several stripes.
const MOVES_IN_FLIGHT_MAX: usize = 256;
/// Volumes with less than this are left alone by the background work.
const STORED_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Whether more than `percent` of what the volume takes is neither live data nor the parity that full stripes need.
///
/// Records that nothing refers to count as live, as far as they are known: compaction writes them again.
pub(crate) fn is_wasteful(row: &VolumeRow, book: &RecordBook, percent: u8) -> bool {
    let columns = u128::from(row.volume.data_columns) + u128::from(row.volume.parity_columns);
    let records = book.bytes(row.volume.id).unwrap_or(0);
    let needed = (u128::from(row.live_bytes) + u128::from(records)) * columns
        / u128::from(row.volume.data_columns.max(1));
    let stored = u128::from(row.stored_bytes);
    row.state == VolumeState::Sealed && needed * 100 < stored * u128::from(100 - percent.min(100))
}

/// How long a volume that was compacted or could not be is left alone, so that others get their turn.
const COMPACT_PAUSE: Duration = Duration::from_mins(10);
/// How long one is at first that there was no room for in the end: room may come back. Each attempt reads it through, so the pause
/// doubles from one to the next.
const FULL_PAUSE: Duration = Duration::from_secs(30);

/// The background compaction: one volume at a time, the worst first.
#[derive(Default)]
pub(crate) struct Compactor {
    pauses: Pauses,
    /// The most wasteful volumes that were met, and whether that was since the turn over all volumes began.
    candidates: HashMap<VolumeId, (VolumeRow, bool)>,
}

/// Candidates that are remembered from page to page.
const CANDIDATES_MAX: usize = 64;

impl Compactor {
    /// Remembers the volumes of a page that are worth compacting.
    pub(crate) fn consider(&mut self, inner: &Inner, page: &Page) {
        if page.is_first {
            self.candidates.values_mut().for_each(|(_, is_seen)| *is_seen = false);
        }
        let percent = inner.options.compact_dead_percent;
        for row in &page.rows {
            let parity = inner.nodes.as_ref().and_then(|_| inner.pool.placeable_parity(row));
            let is_short = parity.is_some_and(|parity| row.volume.parity_columns < parity);
            let is_worth = row.state == VolumeState::Sealed
                && row.live_bytes > 0
                && (is_short || is_wasteful(row, &inner.pool.records, percent));
            if is_worth {
                self.candidates.insert(row.volume.id, (row.clone(), true));
            } else {
                self.candidates.remove(&row.volume.id);
            }
        }
        if page.is_last {
            self.candidates.retain(|_, (_, is_seen)| *is_seen);
        }
        if self.candidates.len() > CANDIDATES_MAX {
            let rank = |row: &VolumeRow| {
                (
                    row.volume.parity_columns,
                    std::cmp::Reverse(row.stored_bytes.saturating_sub(row.live_bytes)),
                )
            };
            let mut ranked: Vec<_> = self.candidates.drain().collect();
            ranked.sort_unstable_by_key(|(_, (row, _))| rank(row));
            self.candidates.extend(ranked.into_iter().take(CANDIDATES_MAX));
        }
    }

    /// Compacts the most wasteful volume, if any is wasteful enough.
    pub(crate) async fn compact_worst(&mut self, inner: &Arc<Inner>) -> Result<()> {
        // Two compactions of one volume would write everything twice, and one copy would be dead at once.
        let Some(_turn) = inner.tasks.try_turn() else { return Ok(()) };
        let now = Instant::now();
        self.pauses.forget_old(now);
        let fitting = self.candidates.values().filter(|(row, _)| inner.pool.has_room_to_compact(row));
        let rested = fitting.filter(|(row, _)| !self.pauses.rests(row.volume.id, now));
        let volumes: Vec<VolumeRow> = rested.map(|(row, _)| row.clone()).collect();
        let worst = least_safe(inner, &volumes);
        let percent = inner.options.compact_dead_percent;
        let worst = worst.or_else(|| worst_of(&volumes, &inner.pool.records, percent));
        let Some(met) = worst else { return Ok(()) };
        // It was met some time ago.
        self.candidates.remove(&met.volume.id);
        let Some(row) = inner.store.volume(met.volume.id).await? else { return Ok(()) };
        if row.state != VolumeState::Sealed {
            return Ok(());
        }
        let Some(_task) = inner.claim(TASK_LEASE).await? else { return Ok(()) };
        let compacted = compact_volume(inner, &row).await;
        // A volume that still has something living in it (moved objects lost a race) waits its turn as well.
        let was_full = matches!(compacted, Err(EngineError::NoSpace));
        self.pauses.begin(row.volume.id, if was_full { Pause::Full } else { Pause::Usual }, Instant::now());
        compacted.map(|_| ())
    }
}

/// Why a volume is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// It was compacted, or could not be.
    Usual,
    /// There was no room.
    Full,
}

/// The volumes that are left alone: how long each is, and until when.
#[derive(Debug, Default)]
struct Pauses(HashMap<VolumeId, (Duration, Instant)>);

impl Pauses {
    /// A pause is known for a while after its end: who fails again then rests for longer.
    fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, (_, until)| now < *until + COMPACT_PAUSE);
    }

    fn rests(&self, volume: VolumeId, now: Instant) -> bool {
        self.0.get(&volume).is_some_and(|(_, until)| now < *until)
    }

    fn begin(&mut self, volume: VolumeId, pause: Pause, now: Instant) {
        let length = match (pause, self.0.get(&volume)) {
            (Pause::Usual, _) => COMPACT_PAUSE,
            (Pause::Full, None) => FULL_PAUSE,
            (Pause::Full, Some((last, _))) => (*last * 2).min(COMPACT_PAUSE),
        };
        self.0.insert(volume, (length, now + length));
    }
}

/// Of several nodes the first begins alone: what it wrote with less parity than the store can have now goes first.
fn least_safe(inner: &Inner, volumes: &[VolumeRow]) -> Option<VolumeRow> {
    inner.nodes.as_ref()?;
    let is_short = |row: &&VolumeRow| {
        inner.pool.placeable_parity(row).is_some_and(|parity| row.volume.parity_columns < parity)
    };
    volumes
        .iter()
        .filter(|row| row.state == VolumeState::Sealed && row.live_bytes > 0)
        .filter(is_short)
        .min_by_key(|row| row.volume.parity_columns)
        .cloned()
}

fn worst_of(volumes: &[VolumeRow], book: &RecordBook, percent: u8) -> Option<VolumeRow> {
    volumes
        .iter()
        .filter(|row| {
            row.live_bytes > 0 && row.stored_bytes >= STORED_BYTES_MIN && is_wasteful(row, book, percent)
        })
        .max_by_key(|row| row.stored_bytes.saturating_sub(row.live_bytes))
        .cloned()
}

/// Moves everything that lives in a volume elsewhere and frees it. Returns the bytes moved; 0 also if another node is at
/// work on the volume. One of which something could not be read stays until a backup of the metadata knows what it told.
pub(crate) async fn compact_volume(inner: &Arc<Inner>, row: &VolumeRow) -> Result<u64> {
    if awaits_backup(inner, row.volume.id).await {
        return Ok(0);
    }
    // Where nothing lives, only records are written again, and may go to other drives.
    if row.live_bytes > 0 && !inner.pool.has_room_to_compact(row) {
        return Err(EngineError::NoSpace);
    }
    let Some(claim) = inner.claim(&volume_lease(row.volume.id)).await? else { return Ok(0) };
    // It may have been freed, or its columns moved, since it was met.
    let row = match inner.store.volume(row.volume.id).await? {
        Some(row) if row.state == VolumeState::Sealed => row,
        _ => return Ok(0),
    };
    let view = Arc::new(VolumeView::of(&row)?);
    let mut walk = Walk::new(Arc::clone(&view), row.committed_end);
    // The record of each blob, to be written with its bytes again.
    let mut blobs: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
    // Those of warm copies. Of a blob that several versions share there may be as many.
    let mut warm: BTreeSet<Vec<u8>> = BTreeSet::new();
    let may_be_warm = inner.pool.tiers.class_of(&row) == Some(DriveClass::Ssd);
    let mut moved_bytes = 0;
    let mut unread = Unread::default();
    let backup_ms = inner.trusted_backup_ms().await;
    while let Some(step) = walk.next(&inner.map).await? {
        let Step::Stripe(stripe) = step else {
            unread.pass_gap();
            continue;
        };
        let data = entries_of(&stripe, &view)?;
        unread.pass(stripe.header.kind, data.unread);
        if may_be_warm {
            warm.extend(data.blobs.iter().map(|(_, record)| record.clone()));
        }
        blobs.extend(data.blobs);
        let moves = data
            .packed
            .into_iter()
            .map(|(at, entry, bytes)| move_packed(inner, &row, at, (entry, bytes), backup_ms));
        let mut moves = futures::stream::iter(moves).buffer_unordered(MOVES_IN_FLIGHT_MAX);
        while let Some(result) = moves.next().await {
            moved_bytes += result?;
        }
        claim.check()?;
    }
    let ids: Vec<BlobId> = blobs.keys().copied().collect();
    for ids in ids.chunks(1000) {
        for blob in inner.store.blobs(ids).await? {
            moved_bytes +=
                rewrite::move_blob(inner, &blob, &row, blobs.get(&blob.id).cloned().unwrap_or_default())
                    .await?;
        }
    }
    for record in &warm {
        moved_bytes += crate::warm::move_parts(inner, record, &row).await?;
    }
    crash_point("compact.after_move_before_free");
    if !unread.may_be_given_up(inner, row.volume.id, backup_ms) {
        return Ok(moved_bytes);
    }
    let freed = inner.store.free_volume(row.volume.id, UnixMillis::now()).await?;
    metrics::counter!("granary_compacted_bytes_total").increment(moved_bytes);
    tracing::info!(volume = %row.volume.id, moved_bytes, freed, "compacted a volume");
    Ok(moved_bytes)
}

/// Moves one object if it still lives where it was found. Returns the bytes moved.
async fn move_packed(
    inner: &Inner,
    victim: &VolumeRow,
    from: PackedLocation,
    (entry, bytes): (PackedEntry, bytes::Bytes),
    backup_ms: Option<i64>,
) -> Result<u64> {
    let record = ObjectRecord::decode(&entry.record)
        .ok_or_else(|| EngineError::Unreadable { context: format!("a record in volume {}", from.volume) })?;
    if entry.length_bytes == 0 {
        return move_manifest(inner, victim, (&record, entry.record), backup_ms).await;
    }
    let version = record.object.version;
    let Some(row) = inner.store.object(record.bucket, &record.key, Some(version)).await? else {
        return Ok(0);
    };
    if row.object.content.packed() != Some(&from) {
        return crate::warm::move_packed(inner, (&record, &row), (from, victim), (entry.record, bytes)).await;
    }
    let tier = inner.pool.for_compacting(inner.pool.tiers.for_keeping(row.object.storage_class), victim);
    let length = u64::from(from.length_bytes);
    crash_point("compact.after_copy_before_move");
    let moved = ObjectMove { bucket: record.bucket, key: record.key, version, to: from.clone(), from };
    match inner.packer.write(tier, bytes, entry.record, PackWrite::Move(Box::new(moved))).await? {
        Outcome::Done { .. } => Ok(length),
        _ => Ok(0),
    }
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
