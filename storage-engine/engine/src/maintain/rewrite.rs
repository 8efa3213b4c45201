//! Writing a blob's extents again, to another volume: for compaction, and for uploads that met a failing drive.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::try_join_all;
use futures::stream::FuturesOrdered;
use granary_metadata::{
    BlobMove, BlobRow, Commit, Extent, Outcome, Transition, VolumeAdvance, VolumeRow, Write,
};
use granary_types::BlobId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::moves::Throttle;
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::layout::stripes;
use crate::read::{Copying, WrittenStripe, read_back};
use crate::record::BlobRecord;
use crate::tiers::{Tier, Tiers};
use crate::volume::{OpenVolume, VolumeView};
use crate::write::{BlobWriter, Finished, WrittenBlob};

const ATTEMPTS_MAX: usize = 3;
/// What is copied in one piece: so much is written once more if a drive fails under it.
const PIECE_BYTES_MAX: u64 = 256 << 20;
/// Stripes that are read back together: one long read of each disk.
const STRIPES_VERIFIED: usize = 8;

/// Extents written again.
pub(crate) struct Rewritten {
    pub(crate) extents: Vec<Extent>,
    pub(crate) advances: Vec<VolumeAdvance>,
    /// Kept until the commit is done: a held volume is not sealed.
    pub(crate) volumes: Vec<Arc<OpenVolume>>,
}

/// Moves the extents of a blob that lie in `victim`. Returns the bytes moved; 0 if none lie there any more.
pub(crate) async fn move_blob(
    inner: &Arc<Inner>,
    blob: &BlobRow,
    victim: &VolumeRow,
    record: Vec<u8>,
) -> Result<u64> {
    let mut blob = blob.clone();
    for _ in 0..ATTEMPTS_MAX {
        if let Some(bytes) = try_move_blob(inner, &blob, victim, &record).await? {
            return Ok(bytes);
        }
        // Who moved it was faster, or it belongs to another tier by now. What stays would keep the volume for longer.
        let Some(now) = inner.store.blobs(&[blob.id]).await?.pop() else { return Ok(0) };
        blob = now;
    }
    Ok(0)
}

/// `None` if what it went by is not so any more.
async fn try_move_blob(
    inner: &Arc<Inner>,
    blob: &BlobRow,
    victim: &VolumeRow,
    record: &[u8],
) -> Result<Option<u64>> {
    let is_there = |extent: &Extent| extent.volume == victim.volume.id;
    if !blob.extents.iter().any(is_there) {
        return Ok(Some(0));
    }
    let bytes = blob.extents.iter().filter(|extent| is_there(extent)).map(|extent| extent.length_bytes).sum();
    let mut wanted = destination(inner, blob.id, victim, record).await?;
    let tier = inner.pool.for_compacting(wanted.0, victim);
    let rewritten = rewrite(inner, blob, (tier, record.to_vec()), is_there, None).await?;
    // That took a while, in which others may have come to refer to it, or an upload was completed.
    if !inner.pool.tiers.is_in(victim, wanted.0) {
        let now = destination(inner, blob.id, victim, record).await?;
        if now.0 != wanted.0 {
            return Ok(None);
        }
        wanted = now;
    }
    let moved = BlobMove { blob: blob.id, from: blob.extents.clone(), to: rewritten.extents };
    let write = match wanted.1 {
        Some(owner) => Write::Transition(Box::new(Transition { moves: vec![moved], ..owner })),
        None => Write::MoveBlob(Box::new(moved)),
    };
    let outcome = inner.commit_one(Commit { advances: rewritten.advances, writes: vec![write] }).await?;
    drop(rewritten.volumes);
    Ok(matches!(outcome, Outcome::Done { .. }).then_some(bytes))
}

/// The tier that a blob belongs to, by the class of what it was written for. If that is another one than its volume's, the blob may be
/// moved only with the version, as long as that keeps its class: it may be about to get the class of the tier where the blob lies.
pub(crate) async fn destination(
    inner: &Inner,
    blob: BlobId,
    victim: &VolumeRow,
    record: &[u8],
) -> Result<(Tier, Option<Transition>)> {
    let tiers = &inner.pool.tiers;
    let stays = (tiers.of_unknown(victim), None);
    let Some(BlobRecord { bucket, key, version, part }) = BlobRecord::decode(record) else {
        return Ok(stays);
    };
    for version in [Some(version), None] {
        let found = inner.store.object(bucket, &key, version).await?.map(|row| row.object);
        let Some(object) = found else { continue };
        let named = object.content.parts().iter().filter(|part| part.blob == blob).count();
        if named == 0 {
            continue;
        }
        let tier = tiers.for_keeping(object.storage_class);
        if tiers.is_in(victim, tier) {
            return Ok((tier, None));
        }
        let owner = Transition {
            bucket,
            version: object.version,
            write: object.write,
            from: object.storage_class,
            to: object.storage_class,
            place: None,
            moves: Vec::new(),
            key,
        };
        // Others may have another class, and then it is right for one of them at the most. On the same drives it is for all.
        if tiers.class_of(victim).is_some_and(|class| Tiers::takes(tier, class)) {
            return Ok((tier, Some(owner)));
        }
        let only_this = u32::try_from(named).unwrap_or(u32::MAX - 1);
        let references = inner.store.count_references(&[(blob, only_this + 1)]).await?;
        if references.first().is_none_or(|count| *count > only_this) {
            return Ok(stays);
        }
        return Ok((tier, Some(owner)));
    }
    let Some((upload, _)) = part else { return Ok(stays) };
    let upload = inner.store.upload(bucket, &key, upload).await?;
    Ok(upload.map_or(stays, |row| (tiers.for_keeping(row.storage_class), None)))
}

/// Copies the extents that `must_move` names to a tier, and keeps the others. Those that follow each other are copied in one piece:
/// uploads at the same time share a volume and leave short extents, and each piece ends with a flush.
pub(crate) async fn rewrite(
    inner: &Arc<Inner>,
    blob: &BlobRow,
    (tier, record): (Tier, Vec<u8>),
    must_move: impl Fn(&Extent) -> bool,
    mut throttle: Option<&mut Throttle>,
) -> Result<Rewritten> {
    let mut result = Rewritten { extents: Vec::new(), advances: Vec::new(), volumes: Vec::new() };
    let mut at = 0;
    for extents in pieces(&blob.extents, &must_move) {
        let length_bytes = length_of(extents);
        if extents.first().is_some_and(&must_move) {
            let span = Span { extents, range: (0, length_bytes), at };
            let copy =
                copy_span(inner, blob.id, span, (tier, record.clone()), throttle.as_deref_mut()).await?;
            result.extents.extend(copy.extents);
            result.advances.extend(copy.advances);
            result.volumes.extend(copy.volumes);
        } else {
            result.extents.extend_from_slice(extents);
        }
        at += length_bytes;
    }
    Ok(result)
}

/// Extents that follow each other and are all to be moved, or all not: as much as is copied in one piece, or a single one.
fn pieces(extents: &[Extent], must_move: impl Fn(&Extent) -> bool) -> Vec<&[Extent]> {
    let mut pieces = Vec::new();
    for mut alike in extents.chunk_by(|one, next| must_move(one) == must_move(next)) {
        while !alike.is_empty() {
            let mut length_bytes = 0;
            let fitting = alike.iter().take_while(|extent| {
                length_bytes += extent.length_bytes;
                length_bytes <= PIECE_BYTES_MAX
            });
            let (piece, rest) = alike.split_at(fitting.count().max(1));
            pieces.push(piece);
            alike = rest;
        }
    }
    pieces
}

fn length_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.length_bytes).sum()
}

/// Bytes of a blob.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    /// Where some of the blob's bytes lie.
    pub(crate) extents: &'a [Extent],
    /// Which of these are meant (from, to).
    pub(crate) range: (u64, u64),
    /// Where in the blob the first of them is.
    pub(crate) at: u64,
}

/// Copies bytes of a blob to a tier. They are durable, and to be committed.
pub(crate) async fn copy_span(
    inner: &Arc<Inner>,
    blob: BlobId,
    span: Span<'_>,
    (tier, record): (Tier, Vec<u8>),
    mut throttle: Option<&mut Throttle>,
) -> Result<WrittenBlob> {
    for _ in 0..ATTEMPTS_MAX {
        let (pool, budget) = (inner.pool.clone(), inner.maintenance_budget.clone());
        let mut writer = BlobWriter::start_at((pool, tier), budget, record.clone(), blob, span.at).await?;
        let mut reading =
            Copying::of(&inner.reader, &inner.maintenance_reads, span.extents, span.range).await?;
        loop {
            let began = Instant::now();
            let Some(mut run) = reading.next(reads_ahead(inner, throttle.is_some())).await? else { break };
            let mut copied = 0;
            while let Some(stripe) = run.stripe().await? {
                for bytes in stripe {
                    writer.write(&bytes).await?;
                    copied += bytes.len() as u64;
                }
            }
            drop(run);
            if let Some(throttle) = &mut throttle {
                throttle.pace(began, copied).await;
            }
        }
        if let Finished::Durable(copy) = writer.finish().await? {
            return Ok(copy);
        }
    }
    Err(EngineError::Unavailable { context: "writing a blob again: drives keep failing" })
}

/// Whether more is read than is worked on. Beside clients, who is in no hurry reads nothing while it should rest.
fn reads_ahead(inner: &Inner, rests: bool) -> bool {
    !(rests && inner.is_busy())
}

/// Reads what was written of an extent on every column, each block against its hashes.
///
/// # Errors
/// [`EngineError::Unreadable`] if a block is not what was written; those of the drives.
pub(crate) async fn verify_extent(
    inner: &Inner,
    extent: &Extent,
    mut throttle: Option<&mut Throttle>,
) -> Result<()> {
    let view = inner.map.view(extent.volume).await?;
    let stripes = written_stripes(extent, view.profile_columns());
    let columns = view.drives.len() as u64;
    let longest = stripes.iter().map(|stripe| stripe.span_bytes).max().unwrap_or(0);
    let mut pieces = stripes.chunks(STRIPES_VERIFIED);
    let mut reading = FuturesOrdered::new();
    loop {
        let began = Instant::now();
        let together = if reads_ahead(inner, throttle.is_some()) { 2 } else { 1 };
        while reading.len() < together {
            let room = inner.maintenance_reads.take(STRIPES_VERIFIED as u64 * longest * columns);
            // One piece goes on in any case.
            if room.is_none() && !reading.is_empty() {
                break;
            }
            let Some(piece) = pieces.next() else { break };
            reading.push_back(verify_piece(inner, &view, piece, room));
        }
        let Some(read) = reading.next().await else { return Ok(()) };
        read?;
        if let Some(throttle) = &mut throttle {
            // What is moved was counted when it was written.
            throttle.pace(began, 0).await;
        }
    }
}

/// The stripes of an extent as they were written: with the data that there is, and all the parity.
fn written_stripes(extent: &Extent, (k, m): (u8, u8)) -> Vec<WrittenStripe> {
    let parity = (0..m).fold(0_u32, |columns, column| columns | 1 << (k + column));
    let stripes = stripes(extent, k, 0, extent.length_bytes).map(|stripe| WrittenStripe {
        offset: stripe.offset,
        span_bytes: stripe.span_bytes(),
        columns_written: stripe.blocks().fold(parity, |columns, block| columns | 1 << block.column),
    });
    stripes.collect()
}

/// Reads stripes back from all columns together. `_room` is held as long.
async fn verify_piece(
    inner: &Inner,
    view: &Arc<VolumeView>,
    piece: &[WrittenStripe],
    _room: Option<OwnedSemaphorePermit>,
) -> Result<()> {
    let columns = (0_u8..).take(view.drives.len());
    let reads = columns.map(|column| async move {
        let shard = inner.map.shard(view, column).await?;
        read_back(shard.as_ref(), (view.id, column), piece).await
    });
    try_join_all(reads).await.map(drop)
}

impl Engine {
    /// Gives a blob its full redundancy before it is committed: if a drive failed while it was written, everything is
    /// read back from the other columns and written to healthy drives.
    pub(crate) async fn make_whole(
        &self,
        finished: Finished,
        record: &BlobRecord,
        tier: Tier,
    ) -> Result<WrittenBlob> {
        let blob = match finished {
            Finished::Durable(blob) => return Ok(blob),
            Finished::Rewrite(blob) => blob,
        };
        tracing::warn!(blob = %blob.id, "a drive failed under an upload; it is written again to healthy ones");
        let row = BlobRow { id: blob.id, extents: blob.extents };
        let rewritten = rewrite(&self.inner, &row, (tier, record.encode()?), |_| true, None).await?;
        Ok(WrittenBlob {
            id: blob.id,
            extents: rewritten.extents,
            length_bytes: blob.length_bytes,
            advances: rewritten.advances,
            volumes: rewritten.volumes,
        })
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
