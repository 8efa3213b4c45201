//! The ends of volumes that the metadata has forgotten: they are read, and the metadata is told how far they go.
//!
//! A volume has one writer, who goes on behind what it wrote, or is dead; so nothing is written over what is read here. The
//! committed end is raised first: what lies below it is no tail any more that could be cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use granary_cluster::access::{DriveAccess, ShardAccess};
use granary_drive::{DriveError, FileHeader, ShardName};
use granary_metadata::{Extent, FailOvers, LostTail, MetadataError, NewVolume, VolumeRow, VolumeState};
use granary_types::{BlobId, DriveId, UnixMillis, VolumeId, crash_point};

use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::recover::{Blobs, KnownVolume, Tail, read_segments, read_tail};
use crate::volume::{VolumeMap, VolumeView};

/// Where looking for the end of a file begins, and how much is read of it then.
const STEP_BYTES: u64 = 1 << 20;

/// The tail of a volume whose writer is dead: what lies behind its committed end. Sealed at once if there is none.
pub(super) async fn abandoned(inner: &Arc<Inner>, id: VolumeId) -> Result<Option<LostTail>> {
    let Some(row) = inner.store.volume(id).await?.filter(|row| row.state == VolumeState::Open) else {
        return Ok(None);
    };
    let from = row.committed_end.max(FileHeader::LENGTH_BYTES);
    let view = Arc::new(VolumeView::of(&row)?);
    let Tail { end, .. } = look_behind(&inner.map, view, (from, from), row.volume.opened).await?;
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
    let view = Arc::new(VolumeView::of(&unopened(volume.clone()))?);
    let tail = look_behind(&inner.map, view, (FileHeader::LENGTH_BYTES, 0), volume.opened).await?;
    // Whoever had it open may have given it its row back meanwhile.
    if tail.end <= FileHeader::LENGTH_BYTES || inner.store.volume(id).await?.is_some() {
        return Ok(None);
    }
    let opened = UnixMillis(tail.opened_ms.unwrap_or(volume.opened.0));
    let node = inner.nodes.as_ref().map(|nodes| nodes.id);
    let volume = NewVolume { opened, ..volume };
    Ok(Some(LostTail { volume, known_end: 0, answered_end: tail.end, node }))
}

/// Reads what lies behind `from`, where `end` is known to be committed.
async fn look_behind(
    map: &Arc<VolumeMap>,
    view: Arc<VolumeView>,
    (from, end): (u64, u64),
    opened: UnixMillis,
) -> Result<Tail> {
    let (to, lengths) = lengths(map, &view, from).await?;
    let known = KnownVolume { end, opened, lengths };
    read_tail(map, view, (from, to), known, &mut Blobs::default()).await
}

/// What was read of volumes.
#[derive(Default)]
pub(super) struct Tails {
    pub(super) tails: Vec<Tail>,
    blobs: Blobs,
    volumes: BTreeSet<VolumeId>,
    /// Volumes that were not searched for bytes of large objects, the next one last; `None` before the first was.
    unsearched: Option<Vec<VolumeRow>>,
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
        let lengths = vec![None; view.drives.len()];
        let known_volume = KnownVolume { end, opened: row.volume.opened, lengths };
        let tail = read_tail(&inner.map, view, (lost.known_end, end), known_volume, &mut self.blobs).await?;
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

    /// The extents of a large object's bytes that the metadata does not know; `None` if some are not to be found. What does not lie
    /// in the tails is looked for in the same volumes, and then in all others that there are: it was begun before, or what referred
    /// to it was deleted meanwhile. Each volume is read once, and only if something is missing that the others do not have.
    pub(super) async fn extents(
        &mut self,
        inner: &Inner,
        blob: BlobId,
        length_bytes: u64,
    ) -> Result<Option<Vec<Extent>>> {
        loop {
            if let Some(extents) = self.blobs.extents(blob, length_bytes) {
                return Ok(Some(extents));
            }
            let unsearched = match &mut self.unsearched {
                Some(unsearched) => unsearched,
                None => {
                    let rows = by_promise(inner, &self.volumes).await?;
                    self.unsearched.insert(rows)
                }
            };
            let Some(row) = unsearched.pop() else { return Ok(None) };
            let view = Arc::new(VolumeView::of(&row)?);
            read_segments(&inner.map, view, row.committed_end, &mut self.blobs).await?;
        }
    }

    /// Whether volumes were searched.
    #[cfg(test)]
    pub(super) fn has_searched(&self) -> bool {
        self.unsearched.is_some()
    }
}

/// The volumes that there are, those last in which bytes are most likely that are missed.
async fn by_promise(inner: &Inner, tails: &BTreeSet<VolumeId>) -> Result<Vec<VolumeRow>> {
    let mut rows = crate::volume::all_rows(inner.store.as_ref()).await?;
    rows.retain(|row| row.state != VolumeState::Freed);
    // An upload goes from one volume to the next.
    rows.sort_by_key(|row| (tails.contains(&row.volume.id), row.volume.opened));
    Ok(rows)
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
    // What they have is not known.
    let mut silent: Vec<DriveId> =
        all.iter().filter(|drive| !inner.drives.can_read(**drive)).copied().collect();
    let mut found: Vec<Option<DriveId>> = Vec::new();
    for column in 0..codes.0.saturating_add(codes.1) {
        let mut place = None;
        for drive in all.iter().filter_map(|drive| inner.drives.get(*drive)) {
            if place.is_some() {
                break;
            }
            match has_column(drive.as_ref(), ShardName { volume: id, column }, codes).await {
                Ok(has) => place = has.then(|| drive.id()),
                Err(error) => {
                    tracing::warn!(volume = %id, column, %error, "it is not known whether a drive has a column");
                    silent.push(drive.id());
                }
            }
        }
        found.push(place);
    }
    let mut drives = Vec::with_capacity(found.len());
    let places = guess(&found, usize::from(codes.1), (&silent, &all))?;
    for (column, (place, found)) in (0_u8..).zip(places.into_iter().zip(&found)) {
        if found.is_none() {
            inner.damage.report(id, column, place);
        }
        drives.push(match place {
            Some(drive) => drive,
            None => DriveId::random().map_err(EngineError::drawing)?,
        });
    }
    Ok(drives)
}

/// Where columns are said to be that were not found: on the drives that do not tell, then on any that has none; `None` if
/// there are none left.
fn guess(
    found: &[Option<DriveId>],
    parity: usize,
    (silent, all): (&[DriveId], &[DriveId]),
) -> Result<Vec<Option<DriveId>>> {
    let missing = found.iter().filter(|place| place.is_none()).count();
    let mut free = silent.iter().chain(all).copied().filter(|drive| !found.contains(&Some(*drive)));
    // Guessed wrong, so many would count as lost, and the volume with them, though they are only on drives that do not answer.
    if missing > parity && silent.iter().any(|drive| !found.contains(&Some(*drive))) {
        return Err(EngineError::Unavailable { context: "a fail-over: too many drives do not answer" });
    }
    let mut places = found.to_vec();
    let mut taken = BTreeSet::new();
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = free.find(|drive| taken.insert(*drive));
    }
    Ok(places)
}

/// Whether a drive has a column.
///
/// # Errors
/// When it does not tell.
async fn has_column(drive: &dyn DriveAccess, name: ShardName, codes: (u8, u8)) -> Result<bool, DriveError> {
    let first = async { drive.open_shard(name, codes).await?.read(0, 1).await };
    is_there(first.await)
}

/// Whether a file is there, of which the first byte was read.
fn is_there(first: Result<Bytes, DriveError>) -> Result<bool, DriveError> {
    match first {
        Ok(first) => Ok(!first.is_empty()),
        Err(error) if error.is_lost() => Ok(false),
        Err(error) => Err(error),
    }
}

/// One past the longest of a volume's files, rounded up; it is at least `from`. And how long each is, where that is to be had: `from`
/// is said of those that are shorter.
async fn lengths(map: &VolumeMap, view: &VolumeView, from: u64) -> Result<(u64, Vec<Option<u64>>)> {
    let (mut longest, mut silent, mut lost) = (from, 0_usize, 0_usize);
    let mut lengths = Vec::with_capacity(view.drives.len());
    for column in (0_u8..).take(view.drives.len()) {
        let mut length = None;
        match length_of(map, view, column, from).await {
            Ok((at_most, exactly)) => (longest, length) = (longest.max(at_most), exactly),
            Err(error) if error.is_lost() => lost += 1,
            Err(_) => silent += 1,
        }
        lengths.push(length);
    }
    // A stripe of which the other columns are lost may be on the silent ones alone.
    if view.may_hide(silent, lost) {
        return Err(EngineError::Unavailable { context: "a fail-over: too many drives do not answer" });
    }
    Ok((longest, lengths))
}

/// How long a file is at most, and exactly if its end can be read.
async fn length_of(
    map: &VolumeMap,
    view: &VolumeView,
    column: u8,
    from: u64,
) -> Result<(u64, Option<u64>), DriveError> {
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
    // Fewer bytes than were asked for come only from the end of a file.
    let rest = usize::try_from(high.saturating_sub(low)).unwrap_or(usize::MAX);
    let end = shard.read(low, rest).await;
    Ok((high, end.ok().map(|end| low.saturating_add(end.len() as u64))))
}

async fn has_byte(shard: &dyn ShardAccess, at: u64) -> Result<bool, DriveError> {
    Ok(!shard.read(at, 1).await?.is_empty())
}

#[cfg(test)]
#[path = "tails_tests.rs"]
mod tests;
