//! Copying large objects, piece by piece.
//!
//! A piece is read back on all its columns, and then the row of its version tells of it: whoever makes the copy goes on behind
//! it, after a restart or on another node, and nothing is copied twice. Readers are told of the copy when all of it is there. What
//! nobody goes on with is dropped after a while ([`super::keep`]). What is no longer than a piece is copied whole.

use std::collections::HashMap;
use std::sync::Arc;

use granary_metadata::{
    BlobRow, Commit, Extent, ObjectRow, Outcome, VolumeAdvance, WarmKind, WarmPlace, WarmStep, Write,
};
use granary_types::{BlobId, UnixMillis, crash_point};

use super::copy::{Made, Wish, failed};
use super::room::is_done;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::maintain::{Span, Throttle, copy_span, verify_extent};
use crate::record::BlobRecord;
use crate::tiers::Tier;
use crate::volume::OpenVolume;

/// What is lost at most when a copy is cut off. No piece is longer than a volume.
const PIECE_BYTES: u64 = 256 << 20;
/// More pieces of one object would make its row long, which is written again with each of them: they are longer instead.
const PIECES_MAX: u64 = 256;
const BLOBS_PAGE: usize = 1_000;

pub(super) async fn copy_or_tell(inner: &Arc<Inner>, wish: Wish, throttle: Option<Throttle>) -> Made {
    match Box::pin(copy_large(inner, &wish, throttle)).await {
        Ok(Some(bytes)) => Made::Copy(bytes),
        Ok(None) => Made::Changed,
        Err(error) => failed(wish, &error),
    }
}

/// Copies a large object, or what is missing of a copy that was begun. Returns the bytes of the copy, if it counts.
async fn copy_large(inner: &Arc<Inner>, wish: &Wish, throttle: Option<Throttle>) -> Result<Option<u64>> {
    let Some(blobs) = blobs_of(inner, &wish.row).await? else { return Ok(None) };
    let found = inner.store.object_warmth(wish.bucket, &wish.key, wish.row.object.write).await?;
    let lengths = blobs.iter().map(|blob| blob.extents.iter().map(|extent| extent.length_bytes).sum());
    let lengths: Vec<u64> = lengths.collect();
    let total = lengths.iter().sum();
    let begun = found.as_ref().and_then(|row| row.begun()).unwrap_or_default();
    if found.as_ref().is_some_and(|row| row.has_copy()) {
        return Ok(None);
    }
    let Some(at) = At::behind(begun, &lengths) else {
        return Err(EngineError::Internal("what was begun of a copy is not of its object"));
    };
    let record = BlobRecord {
        bucket: wish.bucket,
        key: wish.key.clone(),
        version: wish.row.object.version,
        part: None,
    };
    let record = record.encode()?;
    let mut copy = LargeCopy { inner, wish, blobs, lengths, record, throttle };
    let piece_bytes = piece_bytes(inner.options.volume_limit_bytes, total);
    let outcome = if begun.is_empty() && total <= piece_bytes {
        copy.copy_whole().await?
    } else {
        copy.go_on(at, piece_bytes, total).await?
    };
    Ok(is_done(&outcome).then_some(total))
}

/// How many bytes of an object are copied before its row tells of them.
fn piece_bytes(volume_limit_bytes: u64, total: u64) -> u64 {
    PIECE_BYTES.min(volume_limit_bytes).max(total.div_ceil(PIECES_MAX)).max(1)
}

/// The blobs of a large object, one for each of its parts; `None` if it is gone.
async fn blobs_of(inner: &Inner, row: &ObjectRow) -> Result<Option<Vec<BlobRow>>> {
    let ids: Vec<BlobId> = row.object.content.parts().iter().map(|part| part.blob).collect();
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    let mut found: HashMap<BlobId, BlobRow> = HashMap::with_capacity(once.len());
    for ids in once.chunks(BLOBS_PAGE) {
        found.extend(inner.store.blobs(ids).await?.into_iter().map(|blob| (blob.id, blob)));
    }
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct At {
    /// The part that comes next, or goes on.
    index: usize,
    /// Where in it.
    from: u64,
    /// How many bytes are there of all.
    held_bytes: u64,
}

/// Bytes of a part (from, to).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    index: usize,
    from: u64,
    to: u64,
}

impl At {
    /// Behind what was begun of parts of these lengths; `None` if it cannot be of them.
    fn behind(begun: &[Vec<Extent>], lengths: &[u64]) -> Option<Self> {
        let mut at = Self::default();
        for (index, part) in begun.iter().enumerate() {
            // Only the last of them may be short.
            if at.index != index {
                return None;
            }
            let held: u64 = part.iter().map(|extent| extent.length_bytes).sum();
            let slice = Slice { index, from: 0, to: held };
            at = at.after(slice, *lengths.get(index).filter(|length| held <= **length)?);
        }
        Some(at)
    }

    /// Behind bytes of a part of that length.
    fn after(self, slice: Slice, length_bytes: u64) -> Self {
        let held_bytes = self.held_bytes + (slice.to - slice.from);
        let is_whole = slice.to == length_bytes;
        let (index, from) = if is_whole { (slice.index + 1, 0) } else { (slice.index, slice.to) };
        Self { index, from, held_bytes }
    }

    /// The next piece of parts of these lengths; nothing at their end.
    fn piece(self, lengths: &[u64], piece_bytes: u64) -> Vec<Slice> {
        let (mut slices, mut from, mut left) = (Vec::new(), self.from, piece_bytes);
        for (index, length) in lengths.iter().enumerate().skip(self.index) {
            if left == 0 {
                break;
            }
            let to = from.saturating_add(left).min(*length);
            slices.push(Slice { index, from, to });
            left -= to.saturating_sub(from);
            from = 0;
        }
        slices
    }
}

/// What was copied and is durable, and not committed yet.
#[derive(Default)]
struct Copied {
    /// Of each slice.
    places: Vec<(Slice, Vec<Extent>)>,
    advances: Vec<VolumeAdvance>,
    /// Kept until the commit is done: a held volume is not sealed.
    volumes: Vec<Arc<OpenVolume>>,
}

/// A copy that is being made.
struct LargeCopy<'a> {
    inner: &'a Arc<Inner>,
    wish: &'a Wish,
    blobs: Vec<BlobRow>,
    /// Of each of the blobs.
    lengths: Vec<u64>,
    record: Vec<u8>,
    throttle: Option<Throttle>,
}

impl LargeCopy<'_> {
    /// Copies it in one go.
    async fn copy_whole(&mut self) -> Result<Outcome> {
        let slices = At::default().piece(&self.lengths, u64::MAX);
        let Copied { places, advances, volumes } = self.copy(slices).await?;
        let place = WarmPlace::Parts(places.into_iter().map(|(_, extents)| extents).collect());
        let outcome = self.commit_last(Write::Warm(Box::new(self.wish.place(place))), advances).await?;
        drop(volumes);
        Ok(outcome)
    }

    /// Copies what is missing, piece by piece.
    async fn go_on(&mut self, mut at: At, piece_bytes: u64, total: u64) -> Result<Outcome> {
        count("resumed", at.held_bytes);
        self.wish.note_written(at.held_bytes);
        loop {
            let slices = at.piece(&self.lengths, piece_bytes);
            if slices.is_empty() {
                break;
            }
            // A restore is the work of one node for all, and that may be another one by now.
            if self.wish.kind == WarmKind::Restored && !self.inner.does_shared_work() {
                return Err(EngineError::Unavailable { context: "a restore: another node goes on with it" });
            }
            let Copied { places, advances, volumes } = self.copy(slices).await?;
            let (begun, mut parts) = (at, Vec::with_capacity(places.len()));
            for (slice, extents) in places {
                parts.push(extents);
                at = at.after(slice, self.lengths.get(slice.index).copied().unwrap_or_default());
            }
            let added = self.added(begun, parts)?;
            crash_point("warm.after_part_before_commit");
            let outcome = self.inner.commit_one(Commit { advances, writes: vec![added] }).await?;
            drop(volumes);
            crash_point("warm.after_part");
            // Somebody else is at work on it, or its version is gone.
            if !is_done(&outcome) {
                return Ok(outcome);
            }
            count("copied", at.held_bytes - begun.held_bytes);
            self.wish.note_written(at.held_bytes - begun.held_bytes);
        }
        let parts = part_number(self.lengths.len())?;
        let (kind, at) = (self.wish.kind, self.wish.at);
        let finish = WarmStep::Finish { parts, length_bytes: total, kind, at };
        self.commit_last(Write::Warm(Box::new(self.wish.change(finish))), Vec::new()).await
    }

    /// What tells of a piece, of all its parts at once: the row is written again with each write that adds to it.
    fn added(&self, at: At, parts: Vec<Vec<Extent>>) -> Result<Write> {
        let (index, behind_bytes) = (part_number(at.index)?, at.held_bytes);
        let step = WarmStep::AddParts { index, behind_bytes, parts, at: UnixMillis::now() };
        Ok(Write::Warm(Box::new(self.wish.change(step))))
    }

    /// Copies slices, and reads the copies back.
    async fn copy(&mut self, slices: Vec<Slice>) -> Result<Copied> {
        let mut copied = Copied::default();
        for slice in slices {
            let blob = self.blobs.get(slice.index).ok_or(EngineError::Internal("a part without its blob"))?;
            if slice.from == slice.to {
                copied.places.push((slice, Vec::new()));
                continue;
            }
            let span = Span { extents: &blob.extents, range: (slice.from, slice.to), at: slice.from };
            let to = (Tier::Warm, self.record.clone());
            let written = copy_span(self.inner, blob.id, span, to, self.throttle.as_mut()).await?;
            for extent in &written.extents {
                verify_extent(self.inner, extent, self.throttle.as_mut()).await?;
            }
            copied.places.push((slice, written.extents));
            copied.advances.extend(written.advances);
            copied.volumes.extend(written.volumes);
        }
        Ok(copied)
    }

    /// Commits what makes the copy one that is read, and what becomes true with it.
    async fn commit_last(&self, last: Write, advances: Vec<VolumeAdvance>) -> Result<Outcome> {
        let mut writes = vec![last];
        writes.extend(self.wish.behind.iter().cloned());
        crash_point("warm.after_copy_before_commit");
        self.wish.let_go_of_room();
        let outcome = self.inner.commit_one(Commit { advances, writes }).await?;
        crash_point("warm.after_commit");
        Ok(outcome)
    }
}

fn part_number(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|_| EngineError::Internal("an object of too many parts"))
}

/// Counts bytes of copies that are made in pieces.
fn count(outcome: &'static str, length_bytes: u64) {
    metrics::counter!("granary_warm_piece_bytes_total", "outcome" => outcome).increment(length_bytes);
}

#[cfg(test)]
#[path = "large_tests.rs"]
mod tests;
