//! The ends of volumes that the metadata has forgotten: they are read, and the metadata is told how far they go.
//!
//! A volume has one writer, who goes on behind what it wrote, or is dead; so nothing is written over what is read here. The
//! committed end is raised first: what lies below it is no tail any more that could be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use granary_cluster::access::{DriveAccess, ShardAccess};
use granary_drive::{DriveError, FileHeader, ShardName};
use granary_metadata::{FailOvers, LostTail, MetadataError, NewVolume, VolumeRow, VolumeState};
use granary_types::{BlobId, DriveId, UnixMillis, VolumeId, crash_point};

use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::recover::{Blobs, Tail, read_segments, read_tail};
use crate::volume::{VolumeMap, VolumeView};

/// Where looking for the end of a file begins, and what is precise enough.
const STEP_BYTES: u64 = 1 << 20;

/// The tail of a volume whose writer is dead: what lies behind its committed end. Sealed at once if there is none.
pub(super) async fn abandoned(inner: &Arc<Inner>, id: VolumeId) -> Result<Option<LostTail>> {
    let Some(row) = inner.store.volume(id).await?.filter(|row| row.state == VolumeState::Open) else {
        return Ok(None);
    };
    let from = row.committed_end.max(FileHeader::LENGTH_BYTES);
    let Tail { end, .. } = look_behind(inner, &row, from).await?;
    if end <= from {
        seal(inner, id).await?;
        return Ok(None);
    }
    let node = inner.nodes.as_ref().map(|nodes| nodes.id);
    Ok(Some(LostTail { volume: row.volume, known_end: from, answered_end: end, node }))
}

/// A volume that the metadata does not know, if there is something in it. One that has just been made has nothing in it
/// before it has a row.
pub(super) async fn unknown(
    inner: &Arc<Inner>,
    name: ShardName,
    codes: (u8, u8),
) -> Result<Option<LostTail>> {
    let id = name.volume;
    if inner.store.volume(id).await?.is_some() || inner.pool.holds(id).await {
        return Ok(None);
    }
    let drives = find_columns(inner, id, codes).await?;
    let (data_columns, parity_columns) = codes;
    let volume = NewVolume { id, data_columns, parity_columns, drives, opened: UnixMillis::now() };
    let row = unopened(volume.clone());
    let tail = look_behind(inner, &row, FileHeader::LENGTH_BYTES).await?;
    // Whoever had it open may have given it its row back meanwhile.
    if tail.end <= FileHeader::LENGTH_BYTES || inner.store.volume(id).await?.is_some() {
        return Ok(None);
    }
    let opened = UnixMillis(tail.opened_ms.unwrap_or(volume.opened.0));
    let node = inner.nodes.as_ref().map(|nodes| nodes.id);
    let volume = NewVolume { opened, ..volume };
    Ok(Some(LostTail { volume, known_end: 0, answered_end: tail.end, node }))
}

async fn look_behind(inner: &Inner, row: &VolumeRow, from: u64) -> Result<Tail> {
    let view = Arc::new(VolumeView::of(row)?);
    let to = length(&inner.map, &view, from).await?;
    let known = (from, row.volume.opened);
    read_tail(&inner.map, view, (from, to), known, &mut Blobs::default()).await
}

/// What was read of volumes.
#[derive(Default)]
pub(super) struct Tails {
    pub(super) tails: Vec<Tail>,
    pub(super) blobs: Blobs,
    volumes: BTreeSet<VolumeId>,
}

impl Tails {
    /// Reads a tail, gives the volume its row back if it has none, and raises the committed end.
    pub(super) async fn add(
        &mut self,
        inner: &Arc<Inner>,
        known: &dyn FailOvers,
        lost: &LostTail,
    ) -> Result<()> {
        let id = lost.volume.id;
        let row = match inner.store.volume(id).await? {
            Some(row) => row,
            None => make_known(inner, lost.volume.clone()).await?,
        };
        if row.state == VolumeState::Freed {
            return Ok(());
        }
        let (view, end) = (Arc::new(VolumeView::of(&row)?), lost.answered_end);
        let committed = (end, row.volume.opened);
        let tail = read_tail(&inner.map, view, (lost.known_end, end), committed, &mut self.blobs).await?;
        if tail.unreadable > 0 {
            tracing::error!(volume = %id, stripes = tail.unreadable, "what was committed cannot be read");
        }
        crash_point("fail_over.before_end");
        known.raise_end(lost, tail.stored_bytes).await?;
        crash_point("fail_over.after_end");
        self.volumes.insert(id);
        self.tails.push(tail);
        Ok(())
    }

    /// Looks for bytes of large objects that began before what was forgotten: first in the same volumes, then in those that
    /// are like them and still known.
    pub(super) async fn find_blobs(
        &mut self,
        inner: &Arc<Inner>,
        wanted: &BTreeMap<BlobId, u64>,
    ) -> Result<()> {
        let is_missing =
            |blobs: &Blobs| wanted.iter().any(|(id, length)| blobs.extents(*id, *length).is_none());
        if !is_missing(&self.blobs) {
            return Ok(());
        }
        let mut rows = crate::volume::all_rows(inner.store.as_ref()).await?;
        rows.retain(|row| row.state != VolumeState::Freed);
        // The newest first: an upload goes from one volume to the next.
        rows.sort_by_key(|row| {
            (!self.volumes.contains(&row.volume.id), std::cmp::Reverse(row.volume.opened))
        });
        for row in rows {
            if !is_missing(&self.blobs) {
                break;
            }
            let view = Arc::new(VolumeView::of(&row)?);
            read_segments(&inner.map, view, row.committed_end, &mut self.blobs).await?;
        }
        Ok(())
    }
}

fn unopened(volume: NewVolume) -> VolumeRow {
    VolumeRow {
        volume,
        state: VolumeState::Open,
        epoch: granary_types::Epoch::FIRST,
        committed_end: 0,
        live_bytes: 0,
        stored_bytes: 0,
        freed: None,
    }
}

/// Gives a volume its row back.
async fn make_known(inner: &Inner, volume: NewVolume) -> Result<VolumeRow> {
    let id = volume.id;
    crash_point("fail_over.before_volume");
    inner.store.open_volume(volume).await?;
    inner.map.forget(id);
    let row = inner.store.volume(id).await?;
    row.ok_or_else(|| EngineError::Unreadable { context: format!("volume {id} is gone") })
}

/// Seals a volume that nobody writes.
pub(super) async fn seal(inner: &Inner, id: VolumeId) -> Result<()> {
    match inner.store.seal_volume(id).await {
        Ok(_) | Err(MetadataError::VolumeGone(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Which drive has which column. A column that is nowhere is on a drive that does not answer, or to be healed on another.
async fn find_columns(inner: &Inner, id: VolumeId, codes: (u8, u8)) -> Result<Vec<DriveId>> {
    let all = inner.drives.active();
    let count = codes.0.saturating_add(codes.1);
    let mut found: Vec<Option<DriveId>> = Vec::new();
    for column in 0..count {
        let mut place = None;
        for drive in all.iter().filter_map(|drive| inner.drives.get(*drive)) {
            if place.is_none() && has_column(drive.as_ref(), ShardName { volume: id, column }, codes).await {
                place = Some(drive.id());
            }
        }
        found.push(place);
    }
    let is_free = |drive: &DriveId, found: &[Option<DriveId>]| !found.contains(&Some(*drive));
    for column in 0..usize::from(count) {
        if found.get(column).copied().flatten().is_some() {
            continue;
        }
        let away = all.iter().filter(|drive| !inner.drives.can_read(**drive));
        let next = away.chain(all.iter()).copied().find(|drive| is_free(drive, &found));
        let drive = match next {
            Some(drive) => drive,
            None => DriveId::random().map_err(EngineError::drawing)?,
        };
        if let Some(slot) = found.get_mut(column) {
            *slot = Some(drive);
        }
        inner.damage.report(id, u8::try_from(column).unwrap_or(u8::MAX));
    }
    Ok(found.into_iter().flatten().collect())
}

async fn has_column(drive: &dyn DriveAccess, name: ShardName, codes: (u8, u8)) -> bool {
    match drive.open_shard(name, codes).await {
        Ok(shard) => shard.read(0, 1).await.is_ok_and(|first| !first.is_empty()),
        Err(error) => {
            tracing::debug!(volume = %name.volume, column = name.column, %error, "no column here");
            false
        }
    }
}

/// One past the longest of a volume's files, rounded up; it is at least `from`.
async fn length(map: &VolumeMap, view: &VolumeView, from: u64) -> Result<u64> {
    let (mut longest, mut silent, mut lost) = (from, 0_usize, 0_usize);
    for column in (0_u8..).take(view.drives.len()) {
        match length_of(map, view, column, from).await {
            Ok(length) => longest = longest.max(length),
            Err(error) if error.is_lost() => lost += 1,
            Err(_) => silent += 1,
        }
    }
    // A stripe of which the other columns are lost may be on the silent ones alone.
    if view.may_hide(silent, lost) {
        return Err(EngineError::Unavailable { context: "a fail-over: too many drives do not answer" });
    }
    Ok(longest)
}

async fn length_of(map: &VolumeMap, view: &VolumeView, column: u8, from: u64) -> Result<u64, DriveError> {
    let shard = map.shard(view, column).await?;
    let mut step = STEP_BYTES;
    let mut low = from;
    while has_byte(shard.as_ref(), low.saturating_add(step)).await? {
        low = low.saturating_add(step);
        step = step.saturating_mul(2);
    }
    // Between `low` and `low + step`.
    let mut high = low.saturating_add(step);
    while high.saturating_sub(low) > STEP_BYTES {
        let middle = low.midpoint(high);
        if has_byte(shard.as_ref(), middle).await? { low = middle } else { high = middle }
    }
    Ok(high)
}

async fn has_byte(shard: &dyn ShardAccess, at: u64) -> Result<bool, DriveError> {
    Ok(!shard.read(at, 1).await?.is_empty())
}

#[cfg(test)]
#[path = "tails_tests.rs"]
mod tests;
