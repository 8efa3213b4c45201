//! The commits of one transaction.
//!
//! A batch locks and loads every row its writes can touch, applies the writes in their order to what it loaded, and
//! stores what changed with one statement for each kind of change. Rows are locked in one order by everyone (buckets,
//! volumes, keys, uploads, blobs, each by primary key), so batches of several nodes wait for each other but seldom
//! deadlock. What is not there cannot be locked: if another writer makes the same key meanwhile, the insert finds it, the
//! transaction is rolled back, and the batch is tried again from its beginning, this time seeing that key.
//!
//! A batch of new keys in volumes of its writer's own is not even loaded: see `foreseen`.
//!
//! Refused commits leave no trace: everything that can refuse one whole is checked before it changes anything.

mod blobs;
mod flush;
pub(super) mod foreseen;
mod load;
mod locks;
mod objects;
mod rename;
pub(super) mod side;
pub(super) mod store_objects;
mod transition;
mod uploads;
mod volumes;
pub(super) mod warm;

use std::collections::{BTreeMap, HashMap};

use granary_types::{BlobId, BucketId, Epoch, ObjectKey, UploadId, VolumeId, WriteId};

use crate::error::MetadataError;
use crate::model::{
    BucketSettings, Causes, Commit, EraseTerms, Extent, NewUpload, Outcome, PartRow, QueuedEvent, Restored,
    Tag, UsageDeltas, VolumeState, Write, event_outcome,
};
use crate::sqlite::apply::blobs::Referrer;
use crate::sqlite::apply::commit::new_places;
use crate::sqlite::codec::{RowHash, StoredObject};

/// A key of a bucket.
type Key = (BucketId, ObjectKey);

/// What a batch knows of the rows it may touch.
#[derive(Default)]
pub(super) struct Batch {
    /// The buckets that exist.
    buckets: HashMap<BucketId, KnownBucket>,
    volumes: HashMap<VolumeId, Volume>,
    /// Bytes and items added to what lives in volumes.
    deltas: BTreeMap<VolumeId, (i64, i64)>,
    keys: BTreeMap<Key, KeyState>,
    uploads: BTreeMap<(BucketId, UploadId), UploadState>,
    parts: BTreeMap<(BucketId, UploadId, u16), PartState>,
    blobs: BTreeMap<BlobId, BlobState>,
    references: BTreeMap<(BlobId, Referrer), Presence>,
    /// Versions whose tags are others now, or gone.
    tags: BTreeMap<(BucketId, ObjectKey, WriteId), Vec<Tag>>,
    /// Versions whose access control lists are others now, or gone.
    acls: BTreeMap<(BucketId, ObjectKey, WriteId), Option<Vec<u8>>>,
    /// What changed of what buckets hold.
    used: UsageDeltas,
    /// Events to queue.
    events: Vec<QueuedEvent>,
    /// Versions that are restored now, or not any more.
    restores: BTreeMap<(BucketId, ObjectKey, WriteId), Option<Restored>>,
    /// Versions whose warmth the batch may change.
    warmth: BTreeMap<(BucketId, ObjectKey, WriteId), warm::WarmState>,
}

/// A bucket's row that is locked.
#[derive(Debug, Clone, Copy)]
struct KnownBucket {
    row_hash: RowHash,
    settings: BucketSettings,
}

/// A volume's row that is locked.
#[derive(Debug, Clone, Copy)]
struct Volume {
    state: VolumeState,
    epoch: Epoch,
    data_columns: u8,
    committed_end: u64,
    stored_bytes: u64,
    changed: bool,
}

/// A key's versions, as far as they matter.
#[derive(Default)]
struct KeyState {
    /// Whether the key was there.
    found: bool,
    changed: bool,
    current: Option<StoredObject>,
    older_count: i64,
    /// By order. All that the batch names, and enough of the newest.
    older: BTreeMap<u64, OlderState>,
}

struct OlderState {
    found: bool,
    changed: bool,
    /// `None` if it is gone now.
    row: Option<StoredObject>,
}

struct UploadState {
    found: bool,
    row: Option<NewUpload>,
}

struct PartState {
    changed: bool,
    row: Option<PartRow>,
    /// What wrote it, encoded, if it has to be stored.
    record: Vec<u8>,
}

#[derive(Default)]
struct BlobState {
    found: bool,
    changed: bool,
    extents: Option<Vec<Extent>>,
    /// Counted no further than to one more than the batch can drop.
    references: i64,
}

/// Whether a row was there and whether it shall be.
#[derive(Default)]
struct Presence {
    found: bool,
    wanted: bool,
}

/// Which transaction a batch is stored by.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchName {
    pub(super) writer: WriteId,
    pub(super) number: u64,
}

impl Batch {
    /// Applies one commit to what was loaded.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Outcome>, MetadataError> {
        for advance in &commit.advances {
            self.check_advance(advance)?;
        }
        for write in &commit.writes {
            new_places(write, &mut |place| self.check_place(&commit.advances, place))?;
        }
        for advance in &commit.advances {
            self.advance(advance);
        }
        let mut causes = Causes::default();
        let mut outcomes = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            let outcome = if let Write::Event(event) = write {
                let queued = causes.queued(event);
                let is_queued = queued.is_some();
                self.events.extend(queued);
                event_outcome(is_queued)
            } else {
                let outcome = self.write(write);
                causes.saw(write, &outcome);
                outcome
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn write(&mut self, write: &Write) -> Outcome {
        let (bucket, _) = match touched(write) {
            Some(place) => place,
            None => match write {
                Write::MoveBlob(moved) => return self.move_blob(moved),
                _ => return Outcome::Moved,
            },
        };
        // What is left behind by a bucket that is gone is moved and dropped all the same.
        let moves = matches!(
            write,
            Write::MoveObject(_) | Write::Transition(_) | Write::TransitionApart(_) | Write::Warm(_)
        );
        if !moves && !self.buckets.contains_key(&bucket) {
            return Outcome::NoSuchBucket;
        }
        match write {
            Write::Put(put) => self.put_object(put),
            Write::Delete(delete) => self.delete_object(delete, &EraseTerms::strict()),
            Write::Erase(erase) => self.delete_object(&erase.delete, &erase.terms),
            Write::Expire(expire) => self.expire_object(expire),
            Write::Lock(locking) => self.lock_object(locking),
            Write::CreateUpload(upload) => self.create_upload(upload),
            Write::PutPart(part) => self.put_part(part),
            Write::CompleteUpload(complete) => self.complete_upload(complete),
            Write::AbortUpload { bucket, key, upload } => self.abort_upload(*bucket, key, *upload),
            Write::MoveObject(moved) => self.move_object(moved),
            Write::MoveBlob(moved) => self.move_blob(moved),
            Write::Tag(tagging) => self.tag_object(tagging),
            Write::Acl(change) => self.change_acl(change),
            Write::Remove(remove) => self.remove_object(remove),
            Write::Rename(rename) => self.rename_object(rename),
            // Whether it is queued depends on the writes before it.
            Write::Event(_) => event_outcome(false),
            Write::Transition(transition) => self.transition_object(transition, &[]),
            Write::TransitionApart(apart) => self.transition_object(&apart.transition, &apart.apart),
            Write::Restore(change) => self.restore_object(change),
            Write::Warm(change) => self.warm_object(change),
            Write::ReferPart(refer) => self.refer_part(refer),
        }
    }

    fn settings(&self, bucket: BucketId) -> BucketSettings {
        self.buckets.get(&bucket).map(|bucket| bucket.settings).unwrap_or_default()
    }
}

/// The bucket and key a write is for; blobs belong to none.
fn touched(write: &Write) -> Option<(BucketId, &ObjectKey)> {
    match write {
        Write::Put(put) => Some((put.bucket, &put.key)),
        Write::Delete(delete) => Some((delete.bucket, &delete.key)),
        Write::CreateUpload(upload) => Some((upload.bucket, &upload.key)),
        Write::PutPart(part) => Some((part.bucket, &part.key)),
        Write::CompleteUpload(complete) => Some((complete.bucket, &complete.key)),
        Write::AbortUpload { bucket, key, .. } => Some((*bucket, key)),
        Write::MoveObject(moved) => Some((moved.bucket, &moved.key)),
        Write::Tag(tagging) => Some((tagging.bucket, &tagging.key)),
        Write::Acl(change) => Some((change.bucket, &change.key)),
        Write::Remove(remove) => Some((remove.bucket, &remove.key)),
        Write::Lock(locking) => Some((locking.bucket, &locking.key)),
        Write::Erase(erase) => Some((erase.delete.bucket, &erase.delete.key)),
        Write::Expire(expire) => Some((expire.remove.bucket, &expire.remove.key)),
        Write::Rename(rename) => Some((rename.put.bucket, &rename.put.key)),
        Write::Transition(transition) => Some((transition.bucket, &transition.key)),
        Write::TransitionApart(apart) => Some((apart.transition.bucket, &apart.transition.key)),
        Write::Restore(change) => Some((change.bucket, &change.key)),
        Write::Warm(change) => Some((change.bucket, &change.key)),
        Write::ReferPart(refer) => Some((refer.bucket, &refer.key)),
        Write::MoveBlob(_) | Write::Event(_) => None,
    }
}
