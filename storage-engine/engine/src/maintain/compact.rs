//! Compaction: what lives in a wasteful volume is written again, packed full, and the volume is freed.
//!
//! Whether something lives is asked by its exact place (packed objects) or its blob id, never by key alone. The move is
//! a compare-and-swap in the metadata: an object that was overwritten meanwhile is simply not moved.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, PackedEntry};
use granary_metadata::{Content, ObjectMove, Outcome, PackedLocation, VolumeRow, VolumeState};
use granary_types::{BlobId, UnixMillis, VolumeId, crash_point};

use super::rewrite;
use super::tasks::TASK_LEASE;
use super::walk::{Step, Walk};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::volume_lease;
use crate::read::Stripe;
use crate::record::ObjectRecord;
use crate::volume::VolumeView;
use crate::write::PackWrite;

/// Objects being moved at the same time: enough to fill several stripes.
const MOVES_IN_FLIGHT_MAX: usize = 256;
/// Volumes with less than this are left alone by the background work.
const STORED_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Whether more than `percent` of what the volume takes is neither live data nor the parity that full stripes need.
pub(crate) fn is_wasteful(row: &VolumeRow, percent: u8) -> bool {
    let columns = u128::from(row.volume.data_columns) + u128::from(row.volume.parity_columns);
    let needed = u128::from(row.live_bytes) * columns / u128::from(row.volume.data_columns.max(1));
    let stored = u128::from(row.stored_bytes);
    row.state == VolumeState::Sealed && needed * 100 < stored * u128::from(100 - percent.min(100))
}

/// How long a volume that could not be compacted is left alone, so that others get their turn.
const COMPACT_PAUSE: Duration = Duration::from_mins(10);

/// The background compaction: one volume at a time, the worst first.
#[derive(Default)]
pub(crate) struct Compactor {
    failed: HashMap<VolumeId, Instant>,
}

impl Compactor {
    /// Compacts the most wasteful volume, if any is wasteful enough.
    pub(crate) async fn compact_worst(&mut self, inner: &Arc<Inner>, volumes: &[VolumeRow]) -> Result<()> {
        // Two compactions of one volume would write everything twice, and one copy would be dead at once.
        let Some(_turn) = inner.tasks.try_turn() else { return Ok(()) };
        self.failed.retain(|_, since| since.elapsed() < COMPACT_PAUSE);
        let worst = self.least_safe(inner, volumes);
        let worst = worst.or_else(|| self.worst(volumes, inner.options.compact_dead_percent));
        let Some(row) = worst else { return Ok(()) };
        let Some(_task) = inner.claim(TASK_LEASE).await? else { return Ok(()) };
        let compacted = compact_volume(inner, &row).await;
        // A volume that still has something living in it (moved objects lost a race) waits its turn as well; want of room
        // ends as soon as something is freed, and is met again before anything is read.
        if !matches!(compacted, Err(EngineError::NoSpace)) {
            self.failed.insert(row.volume.id, Instant::now());
        }
        compacted.map(|_| ())
    }

    /// Of several nodes the first begins alone: what it wrote with less parity than the store can have now goes first.
    fn least_safe(&self, inner: &Inner, volumes: &[VolumeRow]) -> Option<VolumeRow> {
        inner.nodes.as_ref()?;
        let parity = inner.pool.placeable_parity()?;
        volumes
            .iter()
            .filter(|row| !self.failed.contains_key(&row.volume.id))
            .filter(|row| row.state == VolumeState::Sealed && row.live_bytes > 0)
            .filter(|row| row.volume.parity_columns < parity)
            .min_by_key(|row| row.volume.parity_columns)
            .cloned()
    }

    fn worst(&self, volumes: &[VolumeRow], percent: u8) -> Option<VolumeRow> {
        volumes
            .iter()
            .filter(|row| !self.failed.contains_key(&row.volume.id))
            .filter(|row| {
                row.live_bytes > 0 && row.stored_bytes >= STORED_BYTES_MIN && is_wasteful(row, percent)
            })
            .max_by_key(|row| row.stored_bytes.saturating_sub(row.live_bytes))
            .cloned()
    }
}

/// Moves everything that lives in a volume elsewhere and frees it. Returns the bytes moved; 0 also if another node is at
/// work on the volume.
pub(crate) async fn compact_volume(inner: &Arc<Inner>, row: &VolumeRow) -> Result<u64> {
    let Some(claim) = inner.claim(&volume_lease(row.volume.id)).await? else { return Ok(0) };
    let view = Arc::new(VolumeView::of(row)?);
    let mut walk = Walk::new(Arc::clone(&view), row.committed_end);
    // The record of each blob, to be written with its bytes again.
    let mut blobs: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
    let mut moved_bytes = 0;
    while let Some(step) = walk.next(&inner.map).await? {
        let Step::Stripe(stripe) = step else { continue };
        let data = entries_of(&stripe, &view)?;
        blobs.extend(data.blobs);
        let moves = data.packed.into_iter().map(|(at, entry, bytes)| move_packed(inner, at, entry, bytes));
        let mut moves = futures::stream::iter(moves).buffer_unordered(MOVES_IN_FLIGHT_MAX);
        while let Some(result) = moves.next().await {
            moved_bytes += result?;
        }
        claim.check()?;
    }
    let ids: Vec<BlobId> = blobs.keys().copied().collect();
    for ids in ids.chunks(1000) {
        for blob in inner.store.blobs(ids).await? {
            moved_bytes += rewrite::move_blob(
                inner,
                &blob,
                row.volume.id,
                blobs.get(&blob.id).cloned().unwrap_or_default(),
            )
            .await?;
        }
    }
    crash_point("compact.after_move_before_free");
    let freed = inner.store.free_volume(row.volume.id, UnixMillis::now()).await?;
    metrics::counter!("granary_compacted_bytes_total").increment(moved_bytes);
    tracing::info!(volume = %row.volume.id, moved_bytes, freed, "compacted a volume");
    Ok(moved_bytes)
}

struct StripeData {
    packed: Vec<(PackedLocation, PackedEntry, bytes::Bytes)>,
    blobs: Vec<(BlobId, Vec<u8>)>,
}

/// What the data blocks of a stripe hold; lost blocks are rebuilt.
fn entries_of(stripe: &Stripe, view: &VolumeView) -> Result<StripeData> {
    use crate::read::Records;
    let mut found = StripeData { packed: Vec::new(), blobs: Vec::new() };
    for column in (0_u8..).take(view.codec.profile().data()).filter(|column| stripe.is_written(*column)) {
        let Some(block) = super::heal::block_of(stripe, view, column)? else { continue };
        let data = block.data();
        let base = stripe.header.stripe_offset
            + BLOCK_HEADER_LENGTH_BYTES as u64
            + u64::from(block.header.records_length_bytes);
        match block.records {
            Records::Blob(records) => found.blobs.push((records.blob, records.record)),
            Records::Parity => {}
            Records::Packed(records) => {
                for entry in records.entries {
                    let start = entry.offset as usize;
                    let end = start + entry.length_bytes as usize;
                    let bytes = if end <= data.len() { data.slice(start..end) } else { continue };
                    let location = PackedLocation {
                        volume: view.id,
                        stripe_offset: stripe.header.stripe_offset,
                        column,
                        offset: base + u64::from(entry.offset),
                        length_bytes: entry.length_bytes,
                        hash: entry.hash,
                    };
                    found.packed.push((location, entry, bytes));
                }
            }
        }
    }
    Ok(found)
}

/// Moves one object if it still lives where it was found. Returns the bytes moved.
async fn move_packed(
    inner: &Inner,
    from: PackedLocation,
    entry: PackedEntry,
    bytes: bytes::Bytes,
) -> Result<u64> {
    let record = ObjectRecord::decode(&entry.record)
        .ok_or_else(|| EngineError::Unreadable { context: format!("a record in volume {}", from.volume) })?;
    let version = record.object.version;
    let row = inner.store.object(record.bucket, &record.key, Some(version)).await?;
    if row.is_none_or(|row| row.object.content != Content::Packed(from.clone())) {
        return Ok(0);
    }
    let length = u64::from(from.length_bytes);
    crash_point("compact.after_copy_before_move");
    let moved = ObjectMove { bucket: record.bucket, key: record.key, version, to: from.clone(), from };
    match inner.packer.write(bytes, entry.record, PackWrite::Move(Box::new(moved))).await? {
        Outcome::Done { .. } => Ok(length),
        _ => Ok(0),
    }
}
