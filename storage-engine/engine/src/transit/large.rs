//! Moving large objects: blob by blob, each copied, read back on all columns, and then swapped. Shared ones are left to the others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granary_metadata::{
    BlobApart, BlobMove, BlobRow, Bucket, Commit, Content, Extent, NewBlob, NewObject, Outcome, Transition,
    TransitionApart, Write,
};
use granary_types::{BlobId, StorageClass, VolumeId, crash_point};

use super::Told;
use super::copies::{Copied, Copies};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::maintain::{Rewritten, Throttle, rewrite, verify_extent};
use crate::record::{BlobRecord, ObjectRecord};
use crate::tiers::Tier;
use crate::write::Recorded;

const BLOBS_PAGE: usize = 1_000;
/// Copies of shared blobs count when there is so much of them, or as much as a volume takes: no more is lost of the work when it is cut
/// off, and no more waits for its commit.
const STEP_BYTES: u64 = 4 << 30;
/// Extents that an object's new class depends on, beside those that move with it: some megabytes in the commit. What was moved lies in
/// long extents, so that more are in place only where a full tier's writes went elsewhere; the rest is then taken to lie there still.
const EXTENTS_HELD_MAX: usize = 50_000;

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

/// Moves the blobs of a large object that do not lie in the tier yet, and then gives it its class. What others refer to as well
/// stays where it is for them: the object gets copies. If others refer to a blob only since it was looked at, or a blob that was
/// in place is no more, the object has to be looked at again.
pub(super) async fn move_large(
    inner: &Arc<Inner>,
    bucket: &Bucket,
    large: Large,
    copies: &Copies,
    throttle: &mut Throttle,
) -> Result<Outcome> {
    let Large { object, told: Told { record, mut transition, events }, tier } = large;
    let key = transition.key.clone();
    let tells = BlobRecord { bucket: bucket.id, key, version: object.version, part: None }.encode()?;
    let named = named(&object.content);
    let mut apart = Apart {
        inner,
        tier,
        record: tells,
        copies,
        named,
        volumes: HashMap::new(),
        in_place: HashMap::new(),
    };
    let (mut own, shared) = apart.out_of_place(&object.content).await?;
    let last = if shared.is_empty() { own.pop() } else { None };
    for blob in own {
        let outcome = apart.move_own(blob.id, throttle).await?;
        crash_point("tier.after_blob");
        if !matches!(outcome, Outcome::Done { .. }) {
            return Ok(outcome);
        }
    }
    if !shared.is_empty() {
        let copying = Copying { bucket, object, transition, made: Made::default() };
        return copying.copy_all(&mut apart, shared, events, throttle).await;
    }
    let mut recorded = Recorded::default();
    if let Some(blob) = last {
        let Some((moved, copy)) = apart.copy_own(blob.id, throttle).await? else {
            return Ok(Outcome::Moved);
        };
        transition.moves.push(moved);
        (recorded.advances, recorded.volumes) = (copy.advances, copy.volumes);
    }
    transition.moves.extend(apart.stays());
    recorded.writes.push(Write::Transition(Box::new(transition)));
    recorded.writes.extend(events);
    crash_point("tier.after_verify_before_commit");
    let outcome = crate::objects::first(inner.commit_recorded(record, recorded).await?)?;
    inner.wake_for_events();
    crash_point("tier.after_commit");
    Ok(outcome)
}

/// An object that gets copies of the blobs that it shares.
struct Copying<'a> {
    bucket: &'a Bucket,
    /// As it is when the copies that were made count.
    object: NewObject,
    transition: Transition,
    made: Made,
}

/// Copies that are durable, and that the object is to refer to.
#[derive(Default)]
struct Made {
    apart: Vec<BlobApart>,
    bytes: u64,
    recorded: Recorded,
}

impl Copying<'_> {
    /// Copies the blobs, and lets the object refer to the copies: now and then to those that were made, and with the last of
    /// them it gets its class.
    async fn copy_all(
        mut self,
        apart: &mut Apart<'_>,
        shared: Vec<BlobRow>,
        events: Vec<Write>,
        throttle: &mut Throttle,
    ) -> Result<Outcome> {
        let copies = apart.copies;
        let _turn = copies.turn.lock().await;
        let step_bytes = STEP_BYTES.min(apart.inner.options.volume_limit_bytes);
        for blob in shared {
            if self.made.bytes >= step_bytes {
                let outcome = self.commit(apart, self.transition.from, Vec::new()).await?;
                crash_point("tier.after_blob");
                if !matches!(outcome, Outcome::Done { .. }) {
                    return Ok(outcome);
                }
            }
            if !self.copy(apart, blob.id, throttle).await? {
                return Ok(Outcome::Moved);
            }
        }
        crash_point("tier.after_verify_before_commit");
        self.transition.moves.extend(apart.stays());
        let outcome = self.commit(apart, self.transition.to, events).await?;
        apart.inner.wake_for_events();
        crash_point("tier.after_commit");
        Ok(outcome)
    }

    /// Copies a blob whole to another one, unless another version has done that; `false` if it is gone.
    async fn copy(&mut self, apart: &mut Apart<'_>, from: BlobId, throttle: &mut Throttle) -> Result<bool> {
        let to = match apart.copy_of(from).await? {
            Some(copy) => copy,
            None => {
                let Some(blob) = apart.now(from).await? else { return Ok(false) };
                let id = BlobId::random().map_err(EngineError::drawing)?;
                let copied = BlobRow { id, ..blob };
                let copy = apart.copy_extents(&copied, |_| true, throttle).await?;
                self.made.bytes += copy.extents.iter().map(|extent| extent.length_bytes).sum::<u64>();
                self.made.recorded.advances.extend(copy.advances);
                self.made.recorded.volumes.extend(copy.volumes);
                NewBlob { id, extents: copy.extents }
            }
        };
        let parts = self.object.content.parts_mut().iter_mut();
        parts.filter(|part| part.blob == from).for_each(|part| part.blob = to.id);
        self.made.apart.push(BlobApart { from, to });
        Ok(true)
    }

    /// Lets the object refer to the copies that were made, and have a class.
    async fn commit(
        &mut self,
        apart: &mut Apart<'_>,
        class: StorageClass,
        events: Vec<Write>,
    ) -> Result<Outcome> {
        let copied: Vec<Copied> = self.made.apart.iter().map(|apart| (apart.from, apart.to.id)).collect();
        let made = self.made.apart.iter().map(|apart| &apart.to).filter(|to| !to.extents.is_empty());
        apart.in_place.extend(made.map(|to| (to.id, to.extents.clone())));
        let (record, mut recorded) = self.so_far(class)?;
        recorded.writes.extend(events);
        let outcome = apart.commit(record, recorded).await?;
        apart.copies.learn(apart.tier, &copied, &outcome);
        Ok(outcome)
    }

    /// What makes the copies count that were made: the record, which tells of them, and what is to be committed.
    fn so_far(&mut self, class: StorageClass) -> Result<(Vec<Vec<u8>>, Recorded)> {
        let Made { apart, mut recorded, .. } = std::mem::take(&mut self.made);
        let transition = Transition { to: class, ..self.transition.clone() };
        let key = &transition.key;
        let record = ObjectRecord::of_class_and_blobs(self.bucket, key, &self.object, class)?;
        recorded.writes.push(Write::TransitionApart(Box::new(TransitionApart { transition, apart })));
        Ok((record, recorded))
    }
}

/// How often the parts of an object name each of its blobs. Nothing of one whose blobs cannot be read under other ids: those of an
/// encrypted upload, as the key of each part is made of its blob's id. They are moved for all who refer to them.
fn named(content: &Content) -> HashMap<BlobId, u32> {
    let is_bound = content.seal().is_some() && content.blobs().is_some_and(|(_, multipart)| multipart);
    let mut named = HashMap::new();
    for part in content.parts().iter().filter(|_| !is_bound) {
        *named.entry(part.blob).or_default() += 1;
    }
    named
}

/// What lies in a tier and what does not, of the blobs of an object.
struct Apart<'a> {
    inner: &'a Arc<Inner>,
    tier: Tier,
    /// What is copied tells of the version that moves: what it was written for may be gone, and compaction asks for its class.
    record: Vec<u8>,
    copies: &'a Copies,
    /// How often the object names blobs that it can leave to others.
    named: HashMap<BlobId, u32>,
    /// Whether volumes that were asked for lie there.
    volumes: HashMap<VolumeId, bool>,
    /// The blobs of the object that need not move, or not any more, with the extents in which they were found or put.
    in_place: HashMap<BlobId, Vec<Extent>>,
}

impl Apart<'_> {
    /// The blobs that do not lie in the tier, in the order in which they begin in the volumes: those of the object alone, and
    /// those that others refer to as well, or did until they took the copy that there is.
    async fn out_of_place(&mut self, content: &Content) -> Result<(Vec<BlobRow>, Vec<BlobRow>)> {
        let mut ids: Vec<BlobId> = content.parts().iter().map(|part| part.blob).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut left = Vec::new();
        for ids in ids.chunks(BLOBS_PAGE) {
            for blob in self.inner.store.blobs(ids).await? {
                if self.must_move(&blob).await? {
                    left.push(blob);
                } else {
                    self.in_place.insert(blob.id, blob.extents);
                }
            }
        }
        left.sort_by_key(begin_of);
        let shared = self.shared_of(left.iter().map(|blob| blob.id)).await?;
        Ok(left.into_iter().partition(|blob| !shared.contains(&blob.id) && !self.has_copy(blob)))
    }

    /// Moves of what is in place to where it is: with them the object gets its class only if all of it lies there still. Compaction puts
    /// a blob back to the tier of the class that the object had before.
    fn stays(&mut self) -> impl Iterator<Item = BlobMove> + use<> {
        let in_place = std::mem::take(&mut self.in_place).into_iter();
        let mut room = EXTENTS_HELD_MAX;
        in_place.filter_map(move |(blob, extents)| {
            room = room.checked_sub(extents.len())?;
            Some(BlobMove { blob, from: extents.clone(), to: extents })
        })
    }

    fn has_copy(&self, blob: &BlobRow) -> bool {
        self.named.contains_key(&blob.id) && self.copies.of(self.tier, blob.id).is_some()
    }

    /// The copy of a blob that another version took, if it lies in the tier still: that version may have another class yet, for which
    /// compaction put it elsewhere.
    async fn copy_of(&mut self, blob: BlobId) -> Result<Option<NewBlob>> {
        let Some(id) = self.copies.of(self.tier, blob) else { return Ok(None) };
        if let Some(copy) = self.now(id).await?
            && !self.must_move(&copy).await?
        {
            self.in_place.insert(id, copy.extents);
            return Ok(Some(NewBlob { id, extents: Vec::new() }));
        }
        self.copies.forget(self.tier, blob);
        Ok(None)
    }

    /// Those of these blobs that others refer to as well, and that the object can leave to them: those with one reference more
    /// than the object holds.
    async fn shared_of(&self, blobs: impl Iterator<Item = BlobId>) -> Result<HashSet<BlobId>> {
        let limit = |id| self.named.get(&id).map(|named| (id, named.saturating_add(1)));
        let limits: Vec<(BlobId, u32)> = blobs.filter_map(limit).collect();
        let mut shared = HashSet::new();
        for limits in limits.chunks(BLOBS_PAGE) {
            let counts = self.inner.store.count_references(limits).await?;
            let counted = limits.iter().zip(counts);
            shared.extend(counted.filter(|((_, limit), count)| count >= limit).map(|((id, _), _)| *id));
        }
        Ok(shared)
    }

    /// Asked when a blob was copied, which may take long.
    async fn is_shared_by_now(&self, blob: BlobId) -> Result<bool> {
        Ok(self.shared_of(std::iter::once(blob)).await?.contains(&blob))
    }

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

    /// Lets an object refer to copies. Their record goes where they found room, and without it nothing changes: from blocks that
    /// tell of the shared blobs alone, which may be freed by then, the object could not be rebuilt.
    async fn commit(&self, record: Vec<Vec<u8>>, recorded: Recorded) -> Result<Outcome> {
        crate::objects::first(self.inner.packer.record_in(self.tier, record, recorded).await?)
    }

    /// A blob as it is now: since the object was looked at others had their turn, for hours maybe, and compaction too. `None` if
    /// it is gone.
    async fn now(&self, blob: BlobId) -> Result<Option<BlobRow>> {
        Ok(self.inner.store.blobs(&[blob]).await?.pop())
    }

    /// Moves a blob that nobody shares.
    async fn move_own(&mut self, blob: BlobId, throttle: &mut Throttle) -> Result<Outcome> {
        let Some((moved, copy)) = self.copy_own(blob, throttle).await? else { return Ok(Outcome::Moved) };
        let Rewritten { advances, volumes, .. } = copy;
        self.in_place.insert(moved.blob, moved.to.clone());
        let writes = vec![Write::MoveBlob(Box::new(moved))];
        let outcome = self.inner.commit_one(Commit { advances, writes }).await?;
        drop(volumes);
        Ok(outcome)
    }

    /// Copies the extents of a blob that do not lie in the tier, and reads the copies back; `None` if it is gone by now, or others
    /// refer to it as well.
    async fn copy_own(
        &mut self,
        blob: BlobId,
        throttle: &mut Throttle,
    ) -> Result<Option<(BlobMove, Rewritten)>> {
        let Some(blob) = self.now(blob).await? else { return Ok(None) };
        let mut in_place = HashSet::new();
        for extent in &blob.extents {
            if self.is_in(extent.volume).await? {
                in_place.insert(extent.volume);
            }
        }
        let copy = self.copy_extents(&blob, |extent| !in_place.contains(&extent.volume), throttle).await?;
        if self.is_shared_by_now(blob.id).await? {
            return Ok(None);
        }
        Ok(Some((BlobMove { blob: blob.id, from: blob.extents, to: copy.extents.clone() }, copy)))
    }

    async fn copy_extents(
        &self,
        blob: &BlobRow,
        must_move: impl Fn(&Extent) -> bool,
        throttle: &mut Throttle,
    ) -> Result<Rewritten> {
        let to = (self.tier, self.record.clone());
        let copy = rewrite(self.inner, blob, to, must_move, Some(throttle)).await?;
        crash_point("tier.after_copy_before_verify");
        for extent in copy.extents.iter().filter(|extent| !blob.extents.contains(extent)) {
            verify_extent(self.inner, extent, Some(throttle)).await?;
        }
        Ok(copy)
    }
}

#[cfg(test)]
#[path = "large_tests.rs"]
mod tests;
