//! Moving versions to other storage classes.
//!
//! The bytes are copied to volumes of the tier that the class belongs to, and one commit gives the version its class and its
//! new place, if it is still the version that was looked at. Where class and tier are those of drives alike, only the class
//! changes. What is packed is read stripe by stripe in the order of the volumes, and packed together again. A large object's
//! copy is read back on all its columns before it counts; the blobs of one of several parts move one after the other, so
//! that little is lost of the work when it is cut off. What is left behind is garbage like any other, freed after the grace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use granary_metadata::{
    BlobMove, BlobRow, Commit, Extent, ObjectRow, Outcome, PackedLocation, PartRef, Transition,
    VolumeAdvance, Write,
};
use granary_types::{BlobId, BucketId, ObjectKey, StorageClass, VolumeId, crash_point};

use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::events::without_events;
use crate::layout::stripes;
use crate::maintain::{Rewritten, Throttle, entries_of, rewrite};
use crate::read::{Found, read_stripe};
use crate::record::ObjectRecord;
use crate::tiers::Tier;
use crate::write::PackWrite;

/// Stripes of packed objects that are read, and packed again, together.
const STRIPES_TOGETHER: usize = 16;
const BLOBS_PAGE: usize = 1_000;

/// A version that is to have another class.
pub(crate) struct Due {
    pub(crate) bucket: BucketId,
    pub(crate) key: ObjectKey,
    pub(crate) row: ObjectRow,
    pub(crate) to: StorageClass,
    /// What is committed behind it.
    pub(crate) events: Vec<Write>,
}

/// A packed object to be moved.
struct Packed {
    at: PackedLocation,
    transition: Transition,
    tier: Tier,
    events: Vec<Write>,
}

/// What is to be done, by how it is done.
#[derive(Default)]
struct Work {
    labels: Vec<Write>,
    /// By volume and stripe.
    packed: BTreeMap<(VolumeId, u64), Vec<Packed>>,
    large: Vec<(Vec<PartRef>, Transition, Tier, Vec<Write>)>,
}

impl Work {
    fn add(&mut self, inner: &Inner, due: Due) {
        let tiers = &inner.pool.tiers;
        let Due { bucket, key, row, to, events } = due;
        let tier = match tiers.for_writing(to) {
            Ok(tier) => tier,
            Err(error) => {
                count("no_drives");
                tracing::warn!(%key, %error, "a lifecycle cannot move an object");
                return;
            }
        };
        let object = row.object;
        let (version, write, from) = (object.version, object.write, object.storage_class);
        let moves = Vec::new();
        let transition = Transition { bucket, key, version, write, from, to, place: None, moves };
        let stays = tiers.for_keeping(from) == tier;
        match (object.content.packed(), object.content.parts()) {
            (Some(at), _) if !stays => {
                let packed = Packed { at: at.clone(), transition, tier, events };
                self.packed.entry((at.volume, at.stripe_offset)).or_default().push(packed);
            }
            (None, parts) if !stays && !parts.is_empty() => {
                self.large.push((parts.to_vec(), transition, tier, events));
            }
            _ => {
                self.labels.push(Write::Transition(Box::new(transition)));
                self.labels.extend(events);
            }
        }
    }
}

/// Moves versions to their new classes. What cannot be moved now is counted, and stays what it was.
///
/// # Errors
/// When the metadata fails.
pub(crate) async fn transit(inner: &Arc<Inner>, dues: Vec<Due>) -> Result<()> {
    let mut work = Work::default();
    dues.into_iter().for_each(|due| work.add(inner, due));
    if !work.labels.is_empty() {
        let outcomes = commit(inner, Vec::new(), work.labels.clone()).await?;
        without_events(&work.labels, outcomes).iter().for_each(count_outcome);
        inner.wake_for_events();
    }
    let mut throttle = Throttle::new(inner);
    let mut groups = work.packed.into_iter().peekable();
    while groups.peek().is_some() {
        let began = throttle.begin();
        let together: Vec<_> = groups.by_ref().take(STRIPES_TOGETHER).collect();
        let moves = together.into_iter().map(|((volume, offset), objects)| {
            let inner = Arc::clone(inner);
            async move { move_packed(&inner, volume, offset, objects).await }
        });
        let moved: Vec<u64> = stream::iter(moves).buffer_unordered(STRIPES_TOGETHER).collect().await;
        throttle.pace(began, moved.into_iter().sum()).await;
    }
    for (parts, transition, tier, events) in work.large {
        if !inner.does_shared_work() {
            return Ok(());
        }
        let key = transition.key.clone();
        match move_large(inner, &parts, (transition, events), tier, &mut throttle).await {
            Ok(outcome) => count_outcome(&outcome),
            Err(error) => {
                count("failed");
                tracing::warn!(%key, %error, "an object could not be moved to its class and will be tried again");
            }
        }
    }
    Ok(())
}

/// Moves the objects of one stripe. Returns the bytes moved.
async fn move_packed(inner: &Arc<Inner>, volume: VolumeId, offset: u64, objects: Vec<Packed>) -> u64 {
    let waiting = objects.len();
    match pack_again(inner, volume, offset, objects).await {
        Ok((moved, bytes)) => {
            (moved..waiting).for_each(|_| count("changed"));
            bytes
        }
        Err(error) => {
            (0..waiting).for_each(|_| count("failed"));
            tracing::warn!(%volume, offset, %error, "packed objects could not be moved to their class and will be tried again");
            0
        }
    }
}

/// Reads a stripe and packs these of its objects in the volumes of their new tiers. Returns how many were there, and the
/// bytes of those that moved.
async fn pack_again(
    inner: &Arc<Inner>,
    volume: VolumeId,
    offset: u64,
    objects: Vec<Packed>,
) -> Result<(usize, u64)> {
    let view = inner.map.view(volume).await?;
    let Found::Stripe(stripe) = read_stripe(&inner.map, &view, offset).await else {
        return Err(EngineError::Unavailable {
            context: "moving packed objects: their stripe cannot be read",
        });
    };
    let mut wanted: HashMap<PackedLocation, Packed> =
        objects.into_iter().map(|packed| (packed.at.clone(), packed)).collect();
    let mut writes = Vec::new();
    for (at, entry, bytes) in entries_of(&stripe, &view)?.packed {
        let Some(Packed { transition, tier, events, .. }) = wanted.remove(&at) else { continue };
        if *blake3::hash(&bytes).as_bytes() != at.hash {
            return Err(EngineError::Unreadable { context: format!("an object packed in volume {volume}") });
        }
        let record = ObjectRecord::with_class(&entry.record, transition.to)
            .ok_or_else(|| EngineError::Unreadable { context: format!("a record in volume {volume}") })?;
        let length_bytes = u64::from(at.length_bytes);
        writes.push(async move {
            crash_point("tier.after_verify_before_commit");
            let write = PackWrite::Transition(Box::new(transition), events);
            inner.packer.write(tier, bytes, record, write).await.map(|outcome| (outcome, length_bytes))
        });
    }
    let (found, mut moved_bytes) = (writes.len(), 0);
    for result in join_all(writes).await {
        let (outcome, length_bytes) = result?;
        count_outcome(&outcome);
        if matches!(outcome, Outcome::Done { .. }) {
            moved_bytes += length_bytes;
        }
    }
    inner.wake_for_events();
    crash_point("tier.after_commit");
    Ok((found, moved_bytes))
}

/// Moves the blobs of a large object that do not lie in the tier yet, and then gives it its class.
async fn move_large(
    inner: &Arc<Inner>,
    parts: &[PartRef],
    (mut transition, events): (Transition, Vec<Write>),
    tier: Tier,
    throttle: &mut Throttle,
) -> Result<Outcome> {
    let mut apart = Apart { inner, tier, volumes: HashMap::new() };
    let mut ids: Vec<BlobId> = parts.iter().map(|part| part.blob).collect();
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
    let last = left.pop();
    for blob in left {
        let Rewritten { extents, advances, volumes } = apart.copy(&blob, throttle).await?;
        let moved = BlobMove { blob: blob.id, from: blob.extents, to: extents };
        let outcome = commit_one(inner, advances, Write::MoveBlob(Box::new(moved))).await?;
        drop(volumes);
        crash_point("tier.after_blob");
        if !matches!(outcome, Outcome::Done { .. }) {
            return Ok(outcome);
        }
    }
    let (mut advances, mut volumes) = (Vec::new(), Vec::new());
    if let Some(blob) = last {
        let copy = apart.copy(&blob, throttle).await?;
        transition.moves.push(BlobMove { blob: blob.id, from: blob.extents, to: copy.extents });
        (advances, volumes) = (copy.advances, copy.volumes);
    }
    crash_point("tier.after_verify_before_commit");
    let mut writes = vec![Write::Transition(Box::new(transition))];
    writes.extend(events);
    let outcome = crate::objects::first(commit(inner, advances, writes).await?)?;
    inner.wake_for_events();
    drop(volumes);
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
            self.verify(extent, throttle).await?;
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

    /// Reads what was written on every column, each against its hashes.
    async fn verify(&self, extent: &Extent, throttle: &mut Throttle) -> Result<()> {
        let view = self.inner.map.view(extent.volume).await?;
        let (k, _) = view.profile_columns();
        for stripe in stripes(extent, k, 0, extent.length_bytes) {
            let began = throttle.begin();
            let found = read_stripe(&self.inner.map, &view, stripe.offset).await;
            let is_whole = matches!(&found, Found::Stripe(read) if read.lost().next().is_none());
            if !is_whole {
                return Err(EngineError::Unavailable {
                    context: "moving a blob: its copy cannot be read back whole",
                });
            }
            throttle.pace(began, stripe.length_bytes).await;
        }
        Ok(())
    }
}

async fn commit(
    inner: &Arc<Inner>,
    advances: Vec<VolumeAdvance>,
    writes: Vec<Write>,
) -> Result<Vec<Outcome>> {
    let committed = inner.store.commit(Commit { advances, writes }).await;
    if let Err(error) = &committed {
        inner.pool.leave_fenced(error).await;
    }
    Ok(committed?)
}

async fn commit_one(inner: &Arc<Inner>, advances: Vec<VolumeAdvance>, write: Write) -> Result<Outcome> {
    crate::objects::first(commit(inner, advances, vec![write]).await?)
}

fn count_outcome(outcome: &Outcome) {
    // What changed since it was looked at is looked at again by the next walk.
    count(if matches!(outcome, Outcome::Done { .. }) { "transitioned" } else { "changed" });
}

fn count(outcome: &'static str) {
    metrics::counter!("granary_lifecycle_total", "outcome" => outcome).increment(1);
}
