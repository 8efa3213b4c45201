//! Making late writes true again, key by key, each by comparison with what the metadata knows now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use granary_metadata::{
    Bucket, Commit, Loss, LossKind, MetadataError, NewBlob, NewObject, ObjectLock, ObjectMove, Outcome,
    PackedLocation, PutObject, Tag, Timeline, Write, WriteConditions,
};
use granary_types::{BlobId, BucketId, BucketName, ObjectKey, UnixMillis, VersionId, WriteId, crash_point};
use tokio::sync::Mutex;

use super::decide::{Decision, Refusal, Rows, decide_put, is_undone};
use super::tails::Tails;
use crate::acls::acl_write;
use crate::engine::Inner;
use crate::error::Result;
use crate::locks::lock_write;
use crate::recover::{Late, LateDeed, stored_length};
use crate::tags::tag_write;

/// Keys at the same time.
const KEYS_IN_FLIGHT: usize = 64;
/// How often a key is looked at again that others write to meanwhile.
const TRIES_MAX: u32 = 5;
/// Blobs that are looked up at a time.
const BLOBS_PER_QUERY: usize = 1000;

/// What became of late writes.
#[derive(Debug, Default)]
pub(super) struct Recommitted {
    pub(super) writes: u64,
    pub(super) losses: Vec<Loss>,
}

impl Recommitted {
    fn add(&mut self, other: Self) {
        self.writes = self.writes.saturating_add(other.writes);
        self.losses.extend(other.losses);
    }
}

/// What is needed to make writes true again.
pub(super) struct Recommit<'r> {
    pub(super) inner: &'r Arc<Inner>,
    /// Where the late writes lie, and bytes of large objects.
    pub(super) tails: Mutex<Tails>,
    pub(super) timeline: Option<Timeline>,
}

impl Recommit<'_> {
    /// Makes the writes true again, as far as they can be.
    ///
    /// # Errors
    /// When the metadata cannot be asked; what was made true stays so, and the call may be made again.
    pub(super) async fn all(&self, late: Vec<Late>) -> Result<Recommitted> {
        let mut done = Recommitted::default();
        let mut keys: BTreeMap<(BucketId, ObjectKey), Vec<Late>> = BTreeMap::new();
        let (of_buckets, of_keys): (Vec<Late>, Vec<Late>) = late
            .into_iter()
            .partition(|late| matches!(late.deed, LateDeed::Bucket(_) | LateDeed::BucketGone));
        let gone: BTreeSet<BucketId> = of_buckets
            .iter()
            .filter(|late| late.deed == LateDeed::BucketGone)
            .map(|late| late.bucket)
            .collect();
        for late in of_buckets {
            done.losses.extend(self.bucket(&late, &gone).await?);
        }
        for late in of_keys {
            keys.entry((late.bucket, late.key.clone())).or_default().push(late);
        }
        let keys = keys.into_values().map(|late| self.key(late));
        let mut keys = futures::stream::iter(keys).buffer_unordered(KEYS_IN_FLIGHT);
        while let Some(key) = keys.next().await {
            done.add(key?);
        }
        Ok(done)
    }

    /// Makes a bucket again that is not there; what else became of buckets is reported.
    async fn bucket(&self, late: &Late, gone: &BTreeSet<BucketId>) -> Result<Option<Loss>> {
        let Ok(name) = BucketName::new(late.key.as_str()) else { return Ok(None) };
        let row = self.inner.store.bucket(&name).await?;
        let lost = |detail: &str| Ok(Some(self.loss(late, LossKind::Bucket, detail)));
        match (&late.deed, row) {
            (LateDeed::BucketGone, Some(row)) if row.id == late.bucket => {
                lost("the bucket was deleted, and is there again")
            }
            (LateDeed::Bucket(bucket), None) if !gone.contains(&bucket.id) => {
                crash_point("fail_over.before_bucket");
                match self.inner.store.create_bucket(Bucket::clone(bucket)).await {
                    Ok(()) | Err(MetadataError::BucketExists(_)) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            (LateDeed::Bucket(bucket), Some(row)) if row.id != bucket.id => {
                lost("another bucket of the same name was made meanwhile")
            }
            (LateDeed::Bucket(bucket), Some(row)) if row.settings != bucket.settings => {
                lost("the versioning or the object lock of the bucket was changed, and is as before")
            }
            _ => Ok(None),
        }
    }

    /// Makes the writes to one key true again, in their order.
    async fn key(&self, late: Vec<Late>) -> Result<Recommitted> {
        let mut done = Recommitted::default();
        // Deletes that are undone, by version, until the version is put again.
        let mut undone: BTreeMap<VersionId, Late> = BTreeMap::new();
        for (place, write) in late.iter().enumerate() {
            match &write.deed {
                LateDeed::Erase { version, .. } => {
                    let same = self.row(write, Some(*version)).await?;
                    if is_undone(same.as_ref(), write.stamp) {
                        undone.insert(*version, write.clone());
                    }
                }
                LateDeed::Put { object, .. } => {
                    // What was deleted afterwards does not come back.
                    let later = late.get(place..).unwrap_or_default().iter();
                    let is_erased = |later: &Late| matches!(&later.deed, LateDeed::Erase { version, .. } if *version == object.version);
                    if later.clone().any(is_erased) {
                        continue;
                    }
                    match self.put(write, undone.contains_key(&object.version)).await? {
                        Made::Again => {
                            undone.remove(&object.version);
                            done.writes = done.writes.saturating_add(1);
                        }
                        Made::Nothing => drop(undone.remove(&object.version)),
                        Made::Lost(kind, detail) => done.losses.push(self.loss(write, kind, detail)),
                    }
                }
                LateDeed::Bucket(_) | LateDeed::BucketGone => {}
            }
        }
        let deletes = undone.into_values();
        let deletes =
            deletes.map(|late| self.loss(&late, LossKind::Delete, "it was deleted, and is there again"));
        done.losses.extend(deletes);
        Ok(done)
    }

    async fn row(&self, late: &Late, version: Option<VersionId>) -> Result<Option<NewObject>> {
        let row = self.inner.store.object(late.bucket, &late.key, version).await?;
        Ok(row.map(|row| row.object))
    }

    async fn put(&self, late: &Late, is_undone: bool) -> Result<Made> {
        let LateDeed::Put { object, conditions, tags, lock, acl, is_lost, novelty } = &late.deed else {
            return Ok(Made::Nothing);
        };
        for _ in 0..TRIES_MAX {
            let current = self.row(late, None).await?;
            let same = self.row(late, Some(object.version)).await?;
            let rows = Rows { current: current.as_ref(), same: same.as_ref(), is_undone };
            let write = match decide_put(object, (conditions.as_ref(), *novelty), late.stamp, rows) {
                Decision::Done => return Ok(Made::Nothing),
                Decision::Refused(refusal) => return Ok(refused(refusal)),
                _ if *is_lost => return Ok(Made::Lost(LossKind::Bytes, "its record is not whole")),
                Decision::Move(from) => match object.content.packed() {
                    Some(to) if self.is_its_tier(object, to).await? => {
                        vec![Write::MoveObject(Box::new(ObjectMove {
                            bucket: late.bucket,
                            key: late.key.clone(),
                            version: object.version,
                            from,
                            to: to.clone(),
                        }))]
                    }
                    _ => return Ok(Made::Nothing),
                },
                Decision::Put(compare) => {
                    let Some(blobs) = self.blobs_of(object).await? else {
                        return Ok(Made::Lost(LossKind::Bytes, "bytes of it were not found"));
                    };
                    self.writes(late, object, (compare, blobs), (tags, *lock, acl))
                }
            };
            crash_point("fail_over.before_recommit");
            let outcomes = self.inner.store.commit(Commit { advances: Vec::new(), writes: write }).await;
            let outcomes = match outcomes {
                Ok(outcomes) => outcomes,
                // Its volume was freed: nothing that was answered lay there.
                Err(MetadataError::VolumeGone(_)) => {
                    return Ok(Made::Lost(LossKind::Bytes, "its volume is gone"));
                }
                Err(error) => return Err(error.into()),
            };
            match outcomes.first() {
                Some(Outcome::Done { .. } | Outcome::Marked { .. }) => return Ok(Made::Again),
                Some(Outcome::PreconditionFailed | Outcome::NoSuchKey | Outcome::Moved) => {}
                Some(Outcome::NoSuchBucket) => {
                    return Ok(Made::Lost(LossKind::Bucket, "its bucket is not there"));
                }
                Some(Outcome::Locked) => return Ok(Made::Lost(LossKind::Refused, "what is there is locked")),
                _ => return Ok(Made::Lost(LossKind::Refused, "the versioning of the bucket is another now")),
            }
        }
        Ok(Made::Lost(LossKind::Conflict, "others wrote to the key all the time"))
    }

    /// Whether a place is in the tier where the object belongs: another one is that of a copy, which goes again.
    async fn is_its_tier(&self, object: &NewObject, place: &PackedLocation) -> Result<bool> {
        let tiers = &self.inner.pool.tiers;
        let row = self.inner.store.volume(place.volume).await?;
        let tier = tiers.for_keeping(object.storage_class);
        Ok(row.is_some_and(|row| tiers.of_volume(&row).contains(&tier)))
    }

    /// The blobs that the object is the first to refer to; `None` if bytes of one are not to be found.
    async fn blobs_of(&self, object: &NewObject) -> Result<Option<Vec<NewBlob>>> {
        let ids: BTreeSet<BlobId> = object.content.parts().iter().map(|part| part.blob).collect();
        let ids: Vec<BlobId> = ids.into_iter().collect();
        let mut known = BTreeSet::new();
        for ids in ids.chunks(BLOBS_PER_QUERY) {
            known.extend(self.inner.store.blobs(ids).await?.into_iter().map(|blob| blob.id));
        }
        let mut new = BTreeMap::new();
        for part in object.content.parts().iter().filter(|part| !known.contains(&part.blob)) {
            let length = stored_length(&object.content, part);
            let found = self.tails.lock().await.extents(self.inner, part.blob, length).await?;
            match found {
                Some(extents) => drop(new.insert(part.blob, NewBlob { id: part.blob, extents })),
                None => return Ok(None),
            }
        }
        Ok(Some(new.into_values().collect()))
    }

    fn writes(
        &self,
        late: &Late,
        object: &NewObject,
        (conditions, blobs): (WriteConditions, Vec<NewBlob>),
        (tags, lock, acl): (&[Tag], ObjectLock, &Option<String>),
    ) -> Vec<Write> {
        let (bucket, key) = (late.bucket, &late.key);
        let put = PutObject { bucket, key: key.clone(), conditions, object: object.clone(), blobs };
        let mut writes = vec![Write::Put(Box::new(put))];
        writes.extend(tag_write(bucket, key, object, tags.to_vec()));
        writes.extend(lock_write(bucket, key, object, lock));
        writes.extend(acl_write(bucket, key, object, acl.clone()));
        writes
    }

    fn loss(&self, late: &Late, kind: LossKind, detail: &str) -> Loss {
        let (version, write): (Option<VersionId>, Option<WriteId>) = match &late.deed {
            LateDeed::Put { object, .. } => (Some(object.version), Some(object.write)),
            LateDeed::Erase { version, write } => (Some(*version), Some(*write)),
            LateDeed::Bucket(_) | LateDeed::BucketGone => (None, None),
        };
        let is_key = version.is_some();
        Loss {
            kind,
            timeline: self.timeline.map_or(0, |timeline| timeline.0),
            found: UnixMillis::now(),
            bucket: late.name.clone().unwrap_or_else(|| late.bucket.to_string()),
            key: is_key.then(|| late.key.clone()),
            version,
            write,
            detail: detail.to_owned(),
        }
    }
}

/// What became of a put.
enum Made {
    Again,
    /// There was nothing to do.
    Nothing,
    Lost(LossKind, &'static str),
}

fn refused(refusal: Refusal) -> Made {
    match refusal {
        Refusal::Condition => {
            Made::Lost(LossKind::Condition, "it was put on a condition that does not hold any more")
        }
        Refusal::Conflict => {
            Made::Lost(LossKind::Conflict, "another write came at about the same time, and is what is there")
        }
        Refusal::Covered => {
            Made::Lost(LossKind::Conflict, "a newer version was put before it could be put again")
        }
    }
}

#[cfg(test)]
#[path = "recommit_tests.rs"]
mod tests;
