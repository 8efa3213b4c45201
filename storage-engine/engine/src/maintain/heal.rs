//! Healing: every column of every volume back on a drive, every block right.
//!
//! A damaged or lost column is rebuilt whole into a new file, block by block from the others, checked, flushed
//! and put in the place of the old one; then, if it went to another drive, the metadata learns of it. A volume
//! that is being written is sealed first. Crashes leave the old file or the new one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_cluster::access::{DriveAccess, ReplacementAccess, ShardAccess};
use granary_drive::{
    BLOCK_HEADER_LENGTH_BYTES, BlobRecords, BlockHeader, BlockKind, PackedRecords, ShardName, aligned_buffer,
};
use granary_metadata::{ShardMove, VolumeRow, VolumeState};
use granary_types::{DriveId, VolumeId, crash_point};

use super::walk::{Step, Walk};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::{Claim, volume_lease};
use crate::read::{Stripe, VerifiedBlock, verify_body};
use crate::volume::{VolumeView, has_room};

/// How long a heal waits for uploads that still write to the volume.
const SEAL_PATIENCE: Duration = Duration::from_secs(10);

/// What an examination of a volume found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Columns with at least one unreadable or wrong block, or without a file.
    pub damaged: BTreeSet<u8>,
    /// Stripes of which too few columns are left to rebuild the rest.
    pub lost_stripes: u64,
    /// Bytes read.
    pub read_bytes: u64,
}

/// Reads all of a volume and says what is wrong. Bytes read are reported as they are.
pub(crate) async fn examine(
    inner: &Inner,
    row: &VolumeRow,
    mut progress: impl FnMut(u64),
) -> Result<Findings> {
    let view = Arc::new(VolumeView::of(row)?);
    let mut findings = Findings::default();
    let mut away = None;
    for column in (0_u8..).take(view.drives.len()) {
        match inner.map.shard(&view, column).await {
            Ok(_) => {}
            Err(error) if error.is_lost() => {
                findings.damaged.insert(column);
            }
            Err(error) => away = away.or(Some(error)),
        }
    }
    if let Some(away) = away {
        // What is lost is healed when the rest can be read again, whether anybody reads it then or not.
        findings.damaged.iter().for_each(|column| inner.damage.report(row.volume.id, *column));
        return Err(away.into());
    }
    let mut walk = Walk::new(Arc::clone(&view), row.committed_end);
    while let Some(step) = walk.next(&inner.map).await? {
        match step {
            Step::Stripe(stripe) => {
                let lost: Vec<u8> = stripe.lost().collect();
                let parity = view.codec.profile().parity();
                findings.lost_stripes += u64::from(lost.len() > parity);
                findings.damaged.extend(lost);
                let bytes = stripe.span_bytes() * u64::from(stripe.header.columns_written.count_ones());
                findings.read_bytes += bytes;
                progress(bytes);
            }
            Step::Gap { from, to } => {
                tracing::error!(volume = %row.volume.id, from, to, "no column of a stripe is readable");
                findings.lost_stripes += 1;
            }
        }
    }
    Ok(findings)
}

/// Heals what readers reported. A volume that could not be healed whole is left alone for a while: examining it again
/// would find the same.
pub(crate) async fn heal_reported(inner: &Arc<Inner>) -> Result<()> {
    let mut volumes: BTreeMap<VolumeId, Vec<u8>> = BTreeMap::new();
    for (volume, column) in inner.damage.take_due() {
        volumes.entry(volume).or_default().push(column);
    }
    let mut failure = None;
    for (id, columns) in volumes {
        match heal_if_possible(inner, id, &columns).await {
            Ok(Healed { unplaced: 0, lost_stripes: 0, is_elsewhere: false, healed }) => {
                inner.damage.finish(id);
                tracing::info!(volume = %id, columns = healed, "healed what a reader found damaged");
            }
            Ok(_) => inner.damage.pause(id, &columns),
            Err(error) => {
                inner.damage.pause(id, &columns);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn heal_if_possible(inner: &Arc<Inner>, id: VolumeId, columns: &[u8]) -> Result<Healed> {
    let Some(row) = inner.store.volume(id).await? else { return Ok(Healed::default()) };
    if columns.iter().all(|column| target_drive(inner, &row, *column).is_none()) {
        return Ok(Healed { unplaced: columns.len() as u64, ..Healed::default() });
    }
    heal_volume(inner, row, |_| {}).await
}

/// What became of a volume's damage.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Healed {
    pub healed: u64,
    /// Columns that no drive can take now.
    pub unplaced: u64,
    pub lost_stripes: u64,
    /// Another node is at work on the volume; nothing was done.
    pub is_elsewhere: bool,
}

/// Examines a volume and rebuilds its damaged columns.
pub(crate) async fn heal_volume(
    inner: &Arc<Inner>,
    row: VolumeRow,
    progress: impl FnMut(u64),
) -> Result<Healed> {
    // A column that is rebuilt ends where the metadata says, and what lies behind may be what a fail-over lost.
    if inner.fail_over.is_unsettled() {
        return Err(EngineError::Unavailable { context: "healing: the database failed over just now" });
    }
    // Two heals of one column would read everything twice; the row may have changed while this one waited.
    let _turn = inner.heal_turn.lock().await;
    let Some(claim) = inner.claim(&volume_lease(row.volume.id)).await? else {
        return Ok(Healed { is_elsewhere: true, ..Healed::default() });
    };
    let row = match inner.store.volume(row.volume.id).await? {
        Some(row) if row.state != VolumeState::Freed => seal_if_open(inner, row).await?,
        _ => return Ok(Healed::default()),
    };
    inner.map.forget(row.volume.id);
    let findings = examine(inner, &row, progress).await?;
    let mut healed = Healed { lost_stripes: findings.lost_stripes, ..Healed::default() };
    let mut row = row;
    for column in findings.damaged {
        let Some(target) = target_drive(inner, &row, column) else {
            healed.unplaced += 1;
            continue;
        };
        if !rebuild_column(inner, &claim, &row, column, &target).await? {
            healed.unplaced += 1;
            continue;
        }
        crash_point("heal.after_install_before_move");
        claim.check()?;
        let slot = row.volume.drives.get_mut(usize::from(column));
        let from = slot.ok_or(EngineError::Internal("a column without a drive"))?;
        if *from != target.id() {
            let shard = ShardMove { volume: row.volume.id, column, from: *from, to: target.id() };
            if !inner.store.move_shard(shard).await? {
                return Err(EngineError::Unavailable { context: "healing: the volume changed meanwhile" });
            }
            *from = target.id();
        }
        inner.map.forget(row.volume.id);
        metrics::counter!("granary_shards_healed_total").increment(1);
        healed.healed += 1;
    }
    Ok(healed)
}

async fn seal_if_open(inner: &Arc<Inner>, row: VolumeRow) -> Result<VolumeRow> {
    if row.state != VolumeState::Open {
        return Ok(row);
    }
    let id = row.volume.id;
    inner.pool.retire(id).await;
    let deadline = Instant::now() + SEAL_PATIENCE;
    while inner.pool.holds(id).await {
        inner.pool.seal_retired().await?;
        if Instant::now() > deadline {
            return Err(EngineError::Unavailable {
                context: "healing: an upload still writes to the volume",
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let row = inner.store.volume(id).await?;
    let row = row.ok_or_else(|| EngineError::Unreadable { context: format!("volume {id} is gone") })?;
    if row.state == VolumeState::Open && inner.nodes.is_some() {
        // Its node seals it when a drive fails, and if that node is dead the one that does the background work does.
        return Err(EngineError::Unavailable { context: "healing: another node writes to the volume" });
    }
    Ok(row)
}

/// Where a damaged column goes: to its own drive if that is in use, to the drive that took its place, or to any
/// usable drive without a column of the volume.
fn target_drive(inner: &Inner, row: &VolumeRow, column: u8) -> Option<Arc<dyn DriveAccess>> {
    let own = *row.volume.drives.get(usize::from(column))?;
    if let Some(drive) = inner.drives.get(own) {
        return drive.is_usable().then_some(drive);
    }
    if inner.drives.is_away(own) {
        return None;
    }
    let taken: HashSet<DriveId> = row.volume.drives.iter().copied().collect();
    let mut free: Vec<Arc<dyn DriveAccess>> =
        inner.drives.usable().into_iter().filter(|drive| !taken.contains(&drive.id())).collect();
    let heir = inner.nodes.as_ref().and_then(|nodes| nodes.heir(own));
    free.retain(|drive| {
        let (free_bytes, total_bytes) = drive.space_bytes();
        has_room(free_bytes.saturating_sub(row.committed_end), total_bytes)
    });
    let nodes: Vec<_> = row.volume.drives.iter().map(|drive| inner.drives.site(*drive).node).collect();
    let beside = |drive: &Arc<dyn DriveAccess>| {
        let node = inner.drives.site(drive.id()).node;
        nodes.iter().filter(|other| **other == node).count()
    };
    let is_heir = |drive: &Arc<dyn DriveAccess>| Some(drive.id()) == heir;
    // Another class is better than less redundancy, but only just.
    let is_other = |drive: &Arc<dyn DriveAccess>| {
        inner.pool.tiers.is_tiered() && inner.drives.class(drive.id()) != inner.drives.class(own)
    };
    free.sort_by_key(|drive| {
        let room = std::cmp::Reverse(drive.space_bytes().0);
        (!is_heir(drive), is_other(drive), beside(drive), room)
    });
    free.into_iter().next()
}

/// Rebuilds a column on `target`. What cannot be rebuilt is copied as it is if the column stays on its drive, so that
/// no readable unit is lost; a column that would move with holes is not moved, and `false` comes back.
async fn rebuild_column(
    inner: &Arc<Inner>,
    claim: &Claim,
    row: &VolumeRow,
    column: u8,
    target: &Arc<dyn DriveAccess>,
) -> Result<bool> {
    let view = Arc::new(VolumeView::of(row)?);
    let name = ShardName { volume: row.volume.id, column };
    let codes = view.profile_columns();
    let old = inner.map.shard(&view, column).await.ok();
    let replacement = target.create_replacement(name, codes).await?;
    let moves = row.volume.drives.get(usize::from(column)) != Some(&target.id());
    let mut walk = Walk::new(Arc::clone(&view), row.committed_end);
    while let Some(step) = walk.next(&inner.map).await? {
        let (from, to, block) = match &step {
            Step::Stripe(stripe) if !stripe.is_written(column) => continue,
            Step::Stripe(stripe) => {
                let from = stripe.header.stripe_offset;
                (from, from + stripe.span_bytes(), block_of(stripe, &view, column)?)
            }
            Step::Gap { from, to } => (*from, *to, None),
        };
        match (block, &old) {
            (Some(block), _) => write_block(replacement.as_ref(), from, &block).await?,
            (None, _) if moves => return Ok(false),
            (None, Some(old)) => copy_raw(replacement.as_ref(), old.as_ref(), from, to).await?,
            (None, None) => {}
        }
    }
    // Whoever holds the lease now may have put a better file there.
    claim.check()?;
    replacement.install().await?;
    Ok(true)
}

async fn copy_raw(
    replacement: &dyn ReplacementAccess,
    old: &dyn ShardAccess,
    from: u64,
    to: u64,
) -> Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut at = from;
    while at < to {
        let length = usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0);
        let bytes = old.read(at, length).await?;
        if bytes.is_empty() {
            break;
        }
        let offset = at;
        at += bytes.len() as u64;
        replacement.write(offset, bytes).await?;
    }
    Ok(())
}

/// The block as it should be on the drive; `None` if too little of the stripe is left.
pub(crate) fn block_of(stripe: &Stripe, view: &VolumeView, column: u8) -> Result<Option<VerifiedBlock>> {
    if let Some(Some(block)) = stripe.blocks.get(usize::from(column)) {
        return Ok(Some(block.clone()));
    }
    let rebuilt = match stripe.rebuild(view, &[column]) {
        Ok(mut bodies) => bodies.pop(),
        Err(EngineError::Unreadable { context }) => {
            tracing::error!(%context, "a stripe cannot be rebuilt");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let body = rebuilt.ok_or(EngineError::Internal("nothing was rebuilt"))?;
    let header = header_for(stripe, column, &body);
    let block = header.and_then(|header| verify_body(header, body));
    block.map(Some).ok_or_else(|| EngineError::Unreadable {
        context: format!(
            "column {column} of stripe {} of volume {} as rebuilt",
            stripe.header.stripe, view.id
        ),
    })
}

/// The header of a rebuilt block: of the stripe, with what the body says of itself.
fn header_for(stripe: &Stripe, column: u8, body: &Bytes) -> Option<BlockHeader> {
    let mut header =
        BlockHeader { column, records_length_bytes: 0, data_length_bytes: 0, ..stripe.header.clone() };
    if header.is_parity() {
        header.hash = *blake3::hash(body).as_bytes();
        return Some(header);
    }
    match header.kind {
        BlockKind::Packed => {
            let (records, length) = PackedRecords::decode_with_length(body)?;
            header.records_length_bytes = u32::try_from(length).ok()?;
            header.data_length_bytes = records.entries.iter().map(|entry| entry.length_bytes).sum();
        }
        BlockKind::Blob => {
            header.records_length_bytes = crate::layout::BLOB_RECORDS_BYTES;
            header.data_length_bytes = BlobRecords::decode(body)?.length_bytes;
        }
    }
    header.hash = *blake3::hash(body.get(..header.records_length_bytes as usize)?).as_bytes();
    Some(header)
}

async fn write_block(replacement: &dyn ReplacementAccess, offset: u64, block: &VerifiedBlock) -> Result<()> {
    let mut bytes = aligned_buffer(BLOCK_HEADER_LENGTH_BYTES + block.body.len());
    bytes.resize(BLOCK_HEADER_LENGTH_BYTES, 0);
    if !block.header.write(&mut bytes) {
        return Err(EngineError::Internal("a block's header does not fit"));
    }
    bytes.extend_from_slice(&block.body);
    Ok(replacement.write(offset, bytes.freeze()).await?)
}
