//! Writing a blob's extents again, to another volume: for compaction, and for uploads that met a failing drive.

use std::sync::Arc;

use granary_metadata::{BlobMove, BlobRow, Commit, Extent, Outcome, VolumeAdvance, Write};
use granary_types::{BlobId, VolumeId};

use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::layout::stripes;
use crate::record::BlobRecord;
use crate::volume::OpenVolume;
use crate::write::{BlobWriter, Finished, WrittenBlob};

const ATTEMPTS_MAX: usize = 3;

/// Extents written again.
struct Rewritten {
    extents: Vec<Extent>,
    advances: Vec<VolumeAdvance>,
    volumes: Vec<Arc<OpenVolume>>,
}

/// Moves the extents of a blob that lie in `victim`. Returns the bytes moved; 0 if none lie there any more.
pub(crate) async fn move_blob(
    inner: &Arc<Inner>,
    blob: &BlobRow,
    victim: VolumeId,
    record: Vec<u8>,
) -> Result<u64> {
    if !blob.extents.iter().any(|extent| extent.volume == victim) {
        return Ok(0);
    }
    let bytes = blob.extents.iter().filter(|e| e.volume == victim).map(|e| e.length_bytes).sum();
    let rewritten = rewrite(inner, blob.id, &blob.extents, record, |extent| extent.volume == victim).await?;
    let moved = BlobMove { blob: blob.id, from: blob.extents.clone(), to: rewritten.extents };
    let commit = Commit { advances: rewritten.advances, writes: vec![Write::MoveBlob(Box::new(moved))] };
    let committed = inner.store.commit(commit).await;
    if let Err(error) = &committed {
        inner.pool.leave_fenced(error).await;
    }
    let outcomes = committed?;
    drop(rewritten.volumes);
    match outcomes.first() {
        Some(Outcome::Done { .. }) => Ok(bytes),
        _ => Ok(0),
    }
}

/// Copies the extents that `must_move` names, one by one, and keeps the others.
async fn rewrite(
    inner: &Arc<Inner>,
    blob: BlobId,
    extents: &[Extent],
    record: Vec<u8>,
    must_move: impl Fn(&Extent) -> bool,
) -> Result<Rewritten> {
    let mut result = Rewritten { extents: Vec::new(), advances: Vec::new(), volumes: Vec::new() };
    let mut at = 0;
    for extent in extents {
        if must_move(extent) {
            let copy = copy_extent(inner, blob, extent, at, record.clone()).await?;
            result.extents.extend(copy.extents);
            result.advances.extend(copy.advances);
            result.volumes.extend(copy.volumes);
        } else {
            result.extents.push(extent.clone());
        }
        at += extent.length_bytes;
    }
    Ok(result)
}

async fn copy_extent(
    inner: &Arc<Inner>,
    blob: BlobId,
    extent: &Extent,
    base_bytes: u64,
    record: Vec<u8>,
) -> Result<WrittenBlob> {
    for _ in 0..ATTEMPTS_MAX {
        let view = inner.map.view(extent.volume).await?;
        let (pool, budget) = (inner.pool.clone(), inner.maintenance_budget.clone());
        let mut writer = BlobWriter::start_at(pool, budget, record.clone(), blob, base_bytes).await?;
        let (k, _) = view.profile_columns();
        for stripe in stripes(extent, k, 0, extent.length_bytes) {
            for bytes in inner.reader.blob_stripe(&view, stripe, (0, stripe.length_bytes), &[]).await? {
                writer.write(&bytes).await?;
            }
        }
        if let Finished::Durable(copy) = writer.finish().await? {
            return Ok(copy);
        }
    }
    Err(EngineError::Unavailable { context: "writing a blob again: drives keep failing" })
}

impl Engine {
    /// Gives a blob its full redundancy before it is committed: if a drive failed while it was written, everything is
    /// read back from the other columns and written to healthy drives.
    pub(crate) async fn make_whole(&self, finished: Finished, record: &BlobRecord) -> Result<WrittenBlob> {
        let blob = match finished {
            Finished::Durable(blob) => return Ok(blob),
            Finished::Rewrite(blob) => blob,
        };
        tracing::warn!(blob = %blob.id, "a drive failed under an upload; it is written again to healthy ones");
        let rewritten = rewrite(&self.inner, blob.id, &blob.extents, record.encode()?, |_| true).await?;
        Ok(WrittenBlob {
            id: blob.id,
            extents: rewritten.extents,
            length_bytes: blob.length_bytes,
            advances: rewritten.advances,
            volumes: rewritten.volumes,
        })
    }
}
