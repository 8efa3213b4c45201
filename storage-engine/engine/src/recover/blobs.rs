//! From stripes that hold bytes of a blob to the list of its extents.

use std::collections::{BTreeMap, HashSet};

use granary_metadata::Extent;
use granary_types::{BlobId, VolumeId};

use crate::layout::{BLOB_BLOCK_BYTES, BLOB_RECORDS_BYTES, full_stripe_bytes};

/// Consecutive stripes of one volume that hold consecutive bytes of one blob; all but the last are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) volume: VolumeId,
    /// Where the first begins in each shard file.
    pub(super) offset: u64,
    /// Where its bytes begin in the blob.
    pub(super) start: u64,
    pub(super) length_bytes: u64,
    /// k of the volume.
    pub(super) data_columns: u8,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length_bytes)
    }

    /// Adds a stripe that follows; `false` if it does not.
    pub(super) fn extend(&mut self, next: &Self) -> bool {
        let full = full_stripe_bytes(self.data_columns).max(1);
        let spans = (self.length_bytes / full).saturating_mul(full_span_bytes());
        let follows = self.volume == next.volume
            && self.length_bytes.is_multiple_of(full)
            && self.end() == next.start
            && self.offset.saturating_add(spans) == next.offset;
        if follows {
            self.length_bytes = self.length_bytes.saturating_add(next.length_bytes);
        }
        follows
    }

    /// The part from `at` on, which must be where a stripe begins.
    fn from(&self, at: u64) -> Option<Extent> {
        let skipped = at.checked_sub(self.start)?;
        let full = full_stripe_bytes(self.data_columns).max(1);
        if at >= self.end() || !skipped.is_multiple_of(full) {
            return None;
        }
        let offset = self.offset.checked_add((skipped / full).checked_mul(full_span_bytes())?)?;
        Some(Extent { volume: self.volume, offset, length_bytes: self.end() - at })
    }
}

fn full_span_bytes() -> u64 {
    granary_drive::block_span_bytes(BLOB_RECORDS_BYTES + BLOB_BLOCK_BYTES)
}

/// What was found of all blobs.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    segments: BTreeMap<BlobId, Vec<Segment>>,
}

impl Blobs {
    pub(super) fn add(&mut self, blob: BlobId, segment: Segment) {
        self.segments.entry(blob).or_default().push(segment);
    }

    /// The extents that hold a blob of that length; `None` if bytes of it are missing.
    pub(crate) fn extents(&self, blob: BlobId, length_bytes: u64) -> Option<Vec<Extent>> {
        if length_bytes == 0 {
            return Some(Vec::new());
        }
        chain(self.segments.get(&blob)?, length_bytes)
    }
}

/// Extents from 0 to `length_bytes`. Bytes may have been written more than once, and of what was begun and given up there
/// may be a part: of several that go on from a place the longest is tried first.
fn chain(segments: &[Segment], length_bytes: u64) -> Option<Vec<Extent>> {
    let after = |at: u64| -> Vec<Extent> {
        let mut all: Vec<Extent> = segments
            .iter()
            .filter(|segment| segment.end() <= length_bytes)
            .filter_map(|segment| segment.from(at))
            .collect();
        // The best is taken from the end; ties go by place, so that the same drives give the same list.
        all.sort_unstable_by_key(|extent| (extent.length_bytes, extent.volume, extent.offset));
        all
    };
    let mut tried = HashSet::from([0]);
    let mut path: Vec<Extent> = Vec::new();
    let mut choices = vec![after(0)];
    let mut at = 0_u64;
    while let Some(next) = choices.last_mut() {
        let Some(extent) = next.pop() else {
            choices.pop();
            at -= path.pop().map_or(0, |extent| extent.length_bytes);
            continue;
        };
        let end = at.saturating_add(extent.length_bytes);
        if end == length_bytes {
            path.push(extent);
            return Some(path);
        }
        if tried.insert(end) {
            path.push(extent);
            at = end;
            choices.push(after(at));
        }
    }
    None
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
