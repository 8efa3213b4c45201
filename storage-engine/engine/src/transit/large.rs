//! Moving large objects: blob by blob, each copied, read back on all columns, and then swapped.

use std::collections::HashMap;
use std::sync::Arc;

use granary_metadata::{BlobMove, BlobRow, Commit, Extent, NewObject, Outcome, Write};
use granary_types::{BlobId, VolumeId, crash_point};

use super::Told;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::maintain::{Rewritten, Throttle, entries_of, rewrite, verify_extent};
use crate::read::{Found, read_stripe};
use crate::tiers::Tier;
use crate::write::Recorded;

const BLOBS_PAGE: usize = 1_000;

/// A large object to be moved.
pub(super) struct Large {
    pub(super) object: NewObject,
    pub(super) told: Told,
    pub(super) tier: Tier,
}

/// Large objects in the order in which they begin in the volumes, so that disks and SSDs are read forwards. What is gone goes last.
pub(super) async fn in_order(inner: &Inner, large: Vec<Large>) -> Result<Vec<Large>> {
    let first_of = |large: &Large| large.object.content.parts().first().map(|part| part.blob);
    let mut ids: Vec<BlobId> = large.iter().filter_map(first_of).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut begins: HashMap<BlobId, (VolumeId, u64)> = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(BLOBS_PAGE) {
        for blob in inner.store.blobs(ids).await? {
            begins.extend(begin_of(&blob).map(|begin| (blob.id, begin)));
        }
    }
    let begin = |large: &Large| first_of(large).and_then(|id| begins.get(&id).copied());
    let mut ordered = large;
    ordered.sort_by_cached_key(|large| {
        let begin = begin(large);
        (begin.is_none(), begin)
    });
    Ok(ordered)
}

/// Where a blob begins.
fn begin_of(blob: &BlobRow) -> Option<(VolumeId, u64)> {
    blob.extents.first().map(|extent| (extent.volume, extent.offset))
}

/// Moves the blobs of a large object that do not lie in the tier yet, and then gives it its class.
pub(super) async fn move_large(inner: &Arc<Inner>, large: Large, throttle: &mut Throttle) -> Result<Outcome> {
    let Large { object, told: Told { record, mut transition, events }, tier } = large;
    let mut apart = Apart { inner, tier, volumes: HashMap::new() };
    let mut ids: Vec<BlobId> = object.content.parts().iter().map(|part| part.blob).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut left = Vec::new();
    for ids in ids.chunks(BLOBS_PAGE) {
        for blob in inner.store.blobs(ids).await? {
            if apart.must_move(&blob).await? {
                left.push(blob);
            }
        }
    }
    left.sort_by_key(begin_of);
    let last = left.pop();
    for blob in left {
        let Rewritten { extents, advances, volumes } = apart.copy(&blob, throttle).await?;
        let moved = BlobMove { blob: blob.id, from: blob.extents, to: extents };
        let writes = vec![Write::MoveBlob(Box::new(moved))];
        let outcome = inner.commit_one(Commit { advances, writes }).await?;
        drop(volumes);
        crash_point("tier.after_blob");
        if !matches!(outcome, Outcome::Done { .. }) {
            return Ok(outcome);
        }
    }
    let mut recorded = Recorded::default();
    if let Some(blob) = last {
        let copy = apart.copy(&blob, throttle).await?;
        transition.moves.push(BlobMove { blob: blob.id, from: blob.extents, to: copy.extents });
        (recorded.advances, recorded.volumes) = (copy.advances, copy.volumes);
    }
    crash_point("tier.after_verify_before_commit");
    recorded.writes.push(Write::Transition(Box::new(transition)));
    recorded.writes.extend(events);
    let outcome = crate::objects::first(inner.commit_recorded(record, recorded).await?)?;
    inner.wake_for_events();
    crash_point("tier.after_commit");
    Ok(outcome)
}

/// What lies in a tier, and what does not.
struct Apart<'a> {
    inner: &'a Arc<Inner>,
    tier: Tier,
    /// Whether volumes that were asked for lie there.
    volumes: HashMap<VolumeId, bool>,
}

impl Apart<'_> {
    async fn must_move(&mut self, blob: &BlobRow) -> Result<bool> {
        let mut must_move = false;
        for extent in &blob.extents {
            must_move |= !self.is_in(extent.volume).await?;
        }
        Ok(must_move)
    }

    async fn is_in(&mut self, volume: VolumeId) -> Result<bool> {
        if let Some(known) = self.volumes.get(&volume) {
            return Ok(*known);
        }
        let row = self.inner.store.volume(volume).await?;
        let is_in = row.is_some_and(|row| self.inner.pool.tiers.is_in(&row, self.tier));
        self.volumes.insert(volume, is_in);
        Ok(is_in)
    }

    /// Copies the extents of a blob that do not lie in the tier, and reads the copies back.
    async fn copy(&self, blob: &BlobRow, throttle: &mut Throttle) -> Result<Rewritten> {
        let is_in = |extent: &Extent| self.volumes.get(&extent.volume).copied().unwrap_or(false);
        let record = self.record_of(blob).await?;
        let must_move = |extent: &Extent| !is_in(extent);
        let copy = rewrite(self.inner, blob, (self.tier, record), must_move, Some(throttle)).await?;
        crash_point("tier.after_copy_before_verify");
        for extent in copy.extents.iter().filter(|extent| !blob.extents.contains(extent)) {
            verify_extent(self.inner, extent, Some(throttle)).await?;
        }
        Ok(copy)
    }

    /// The record that stands in the blocks of a blob.
    async fn record_of(&self, blob: &BlobRow) -> Result<Vec<u8>> {
        let Some(extent) = blob.extents.first() else { return Ok(Vec::new()) };
        let view = self.inner.map.view(extent.volume).await?;
        let Found::Stripe(stripe) = read_stripe(&self.inner.map, &view, extent.offset).await else {
            return Err(EngineError::Unavailable {
                context: "moving a blob: its first stripe cannot be read",
            });
        };
        let records = entries_of(&stripe, &view)?.blobs.into_iter();
        let own = records.filter(|(id, _)| *id == blob.id).map(|(_, record)| record).next();
        own.ok_or_else(|| EngineError::Unreadable { context: format!("the record of blob {}", blob.id) })
    }
}
