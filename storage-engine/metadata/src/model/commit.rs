//! A commit: what becomes true in one transaction, and the outcome each request gets.

use granary_types::{
    Attributes, BlobId, BucketId, Checksum, Epoch, Etag, ObjectKey, PartNumber, StorageClass, UnixMillis,
    UploadId, VersionId, VolumeId, WriteId,
};
use serde::{Deserialize, Serialize};

use super::event::NewEvent;
use super::lock::{EraseObject, ExpireObject, Locking};
use super::object::{Content, Extent, NewBlob, NewObject, ObjectRow, PackedLocation, VersionKind};
use super::settings::{BucketSettings, Versioning};
use super::side::{AclChange, RestoreChange, Tagging};
use super::upload::PartRow;
use super::warm_step::WarmChange;

/// Which entity tags satisfy a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagMatch {
    /// `*`: any existing object.
    Any,
    /// One of these.
    OneOf(Vec<Etag>),
}

/// Conditions on the current object of the key, decided inside the commit.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteConditions {
    /// The current object must have such a tag. No current object gives [`Outcome::NoSuchKey`].
    pub if_match: Option<TagMatch>,
    /// The current object must not have such a tag.
    pub if_none_match: Option<TagMatch>,
    /// The current object must have been modified in this second (deletes).
    pub if_modified_at: Option<UnixMillis>,
    /// The current object must have this length (deletes).
    pub if_length_bytes: Option<u64>,
}

/// Whether a new version's id is one that the bucket's versioning gives now.
pub(crate) fn fits(settings: BucketSettings, version: VersionId) -> bool {
    match settings.versioning {
        Versioning::Never => true,
        Versioning::Enabled => !version.is_null(),
        Versioning::Suspended => version.is_null(),
    }
}

/// Put one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// Decided against the current version.
    pub conditions: WriteConditions,
    /// The version. A version with the same key and version id (always so for the null version) is replaced.
    pub object: NewObject,
    /// Blobs that this version is the first to refer to.
    pub blobs: Vec<NewBlob>,
}

/// Delete one version for good, unless it ever had a retention: [`super::EraseObject`] knows when that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version; [`VersionId::NULL`] for unversioned buckets.
    pub version: VersionId,
    /// Decided against the current version.
    pub conditions: WriteConditions,
}

/// Delete a key as its bucket's versioning says: for good, or by a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveObject {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// Decided against the current version.
    pub conditions: WriteConditions,
    /// The version the delete marker gets while versioning is enabled; while it is suspended the marker is the null
    /// version, and before it ever was enabled there is none.
    pub version: VersionId,
    /// The request that deletes.
    pub write: WriteId,
    /// When.
    pub modified: UnixMillis,
}

impl RemoveObject {
    /// The delete for good where there are no delete markers.
    pub(crate) fn null(&self) -> DeleteObject {
        DeleteObject {
            bucket: self.bucket,
            key: self.key.clone(),
            version: VersionId::NULL,
            conditions: self.conditions.clone(),
        }
    }

    /// The delete marker that a bucket with these settings gets; `None` where deletes are for good.
    #[must_use]
    pub fn marker_in(&self, settings: BucketSettings) -> Option<NewObject> {
        match settings.versioning {
            Versioning::Never => None,
            Versioning::Enabled => Some(self.marker(self.version)),
            Versioning::Suspended => Some(self.marker(VersionId::NULL)),
        }
    }

    /// The delete marker with this version.
    pub(crate) fn marker(&self, version: VersionId) -> NewObject {
        NewObject {
            version,
            kind: VersionKind::DeleteMarker,
            write: self.write,
            modified: self.modified,
            length_bytes: 0,
            etag: Etag::new(""),
            storage_class: StorageClass::Standard,
            checksum: None,
            attributes: Attributes::default(),
            content: Content::Empty,
        }
    }
}

/// Begin a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUpload {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// When it began.
    pub initiated: UnixMillis,
    /// Who began it.
    pub owner: String,
    /// The class of the object to be.
    pub storage_class: StorageClass,
    /// Headers and user metadata of the object to be.
    pub attributes: Attributes,
    /// What the frontend must remember of the upload's checksum choice; opaque here.
    pub checksum: Option<(granary_types::ChecksumAlgorithm, granary_types::ChecksumKind)>,
}

/// Store or replace one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutPart {
    /// The bucket.
    pub bucket: BucketId,
    /// The key the upload is for.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// The part.
    pub number: PartNumber,
    /// The request that writes it.
    pub write: WriteId,
    /// When.
    pub modified: UnixMillis,
    /// The part's length.
    pub length_bytes: u64,
    /// The part's MD5.
    pub etag: Etag,
    /// The part's checksum.
    pub checksum: Option<Checksum>,
    /// The part's bytes; an empty part has a blob without extents.
    pub blob: NewBlob,
}

impl PutPart {
    /// The part as it is stored.
    pub(crate) fn row(&self) -> PartRow {
        PartRow {
            number: self.number,
            write: self.write,
            modified: self.modified,
            length_bytes: self.length_bytes,
            etag: self.etag.clone(),
            checksum: self.checksum.clone(),
            blob: self.blob.id,
        }
    }
}

/// Store or replace one part whose bytes are those of a blob that something else refers to already; if nothing does any more, the
/// outcome is [`Outcome::Moved`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferPart {
    /// The bucket.
    pub bucket: BucketId,
    /// The key the upload is for.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// The part.
    pub part: PartRow,
}

/// Make an object of an upload's parts. Parts not named are dropped; the upload is gone afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteUpload {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// The parts, each with the write that stored it, as the frontend checked them. If any is not there
    /// any more, or was replaced, the outcome is [`Outcome::InvalidPart`].
    pub parts: Vec<(PartNumber, WriteId)>,
    /// Decided against the current version.
    pub conditions: WriteConditions,
    /// The object; its `content` must be [`super::Content::Blobs`] of exactly these parts.
    pub object: NewObject,
}

/// Compaction moved a packed object; applied only if the version is still at `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMove {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// Where it must still be.
    pub from: PackedLocation,
    /// Where it is from now on.
    pub to: PackedLocation,
}

/// Compaction moved a blob; applied only if its extents are still `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobMove {
    /// The blob.
    pub blob: BlobId,
    /// Where it must still be.
    pub from: Vec<Extent>,
    /// Where it is from now on.
    pub to: Vec<Extent>,
}

impl BlobMove {
    /// Whether the blob only has to be where it is, for something else to be applied.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.from == self.to
    }
}

/// Give a version another storage class, and its bytes the place that goes with it. Nothing else of it changes. Applied only
/// if the version is the one that `write` made, has the class `from`, and its blobs lie where the moves say; otherwise the
/// outcome is [`Outcome::Moved`]. To the class that it has, its blobs move only as long as it has that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The write that made it.
    pub write: WriteId,
    /// The class it must still have.
    pub from: StorageClass,
    /// The class it has from now on.
    pub to: StorageClass,
    /// Where a packed object lies from now on, if not where it lay.
    pub place: Option<PackedLocation>,
    /// The blobs of a large object that lie elsewhere from now on, and those that must lie where they are.
    pub moves: Vec<BlobMove>,
}

/// A blob that a version shares with others, and the copy of its bytes that the version refers to from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobApart {
    /// The blob that the version names; who else refers to it keeps it.
    pub from: BlobId,
    /// What the version names instead. Without extents it must be there already, as others refer to it: a blob that has none
    /// never needs a copy. If it is gone, the outcome is [`Outcome::Moved`].
    pub to: NewBlob,
}

/// As [`Transition`], of a version that shares blobs: it refers to copies of them from now on, and leaves the blobs to the
/// others. Applied only if the version names each of them still; otherwise the outcome is [`Outcome::Moved`]. A class that stays
/// the same is allowed: what was copied so far counts then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionApart {
    /// The class, and the blobs that are moved because nobody shares them.
    pub transition: Transition,
    /// The blobs that are shared, each of them once, and their copies.
    pub apart: Vec<BlobApart>,
}

/// Give a version another key, in one step: nobody sees both or neither. The bytes stay where they are if the new version
/// refers to the blobs of the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameObject {
    /// The version at its new key, in the bucket of the old one.
    pub put: PutObject,
    /// How the old key is deleted, if it is still the version that was looked at; otherwise the outcome is
    /// [`Outcome::Moved`]. Its conditions are decided against the old key's current version.
    pub source: ExpireObject,
}

/// One write of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the payloads are documented")]
pub enum Write {
    Put(Box<PutObject>),
    Delete(DeleteObject),
    CreateUpload(Box<NewUpload>),
    PutPart(Box<PutPart>),
    CompleteUpload(Box<CompleteUpload>),
    AbortUpload { bucket: BucketId, key: ObjectKey, upload: UploadId },
    MoveObject(Box<ObjectMove>),
    MoveBlob(Box<BlobMove>),
    Tag(Box<Tagging>),
    Remove(Box<RemoveObject>),
    Lock(Box<Locking>),
    Erase(Box<EraseObject>),
    Expire(Box<ExpireObject>),
    Rename(Box<RenameObject>),
    Acl(Box<AclChange>),
    Event(Box<NewEvent>),
    Transition(Box<Transition>),
    Restore(Box<RestoreChange>),
    Warm(Box<WarmChange>),
    ReferPart(Box<ReferPart>),
    TransitionApart(Box<TransitionApart>),
}

/// Moves a volume's committed end forward, if the volume is still open at `epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAdvance {
    /// The volume.
    pub volume: VolumeId,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The new committed end; an end not above the stored one leaves the stored one.
    pub end: u64,
    /// Bytes that the stripes below `end` and above the previous advance take in all shard files together.
    pub stored_bytes: u64,
}

/// Everything that becomes true together. The writes are applied in their order, each against the state
/// that the earlier ones left. If one volume advance is refused, nothing is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Committed ends to advance.
    pub advances: Vec<VolumeAdvance>,
    /// The writes.
    pub writes: Vec<Write>,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied. `replaced` is the version that is gone because of it.
    Done {
        /// The version that was replaced or deleted, if there was one.
        replaced: Option<Box<ObjectRow>>,
        /// The order given to the version that was put; 0 for writes that put none.
        order: u64,
    },
    /// The key is deleted by a delete marker.
    Marked {
        /// The marker's version.
        version: VersionId,
        /// Its order.
        order: u64,
    },
    /// The version put is null though versioning is enabled, or is not though it is suspended: the writer did not
    /// know how the bucket is. Nothing was changed; the writer looks at the bucket and tries again.
    VersioningChanged,
    /// A condition did not hold.
    PreconditionFailed,
    /// `if_match` met no current object.
    NoSuchKey,
    /// The bucket is gone.
    NoSuchBucket,
    /// The upload is gone or belongs to another key.
    NoSuchUpload,
    /// A part named by a completion is gone or was replaced.
    InvalidPart(PartNumber),
    /// A move or a rename came too late: the version or blob is not where it was. Or what was to refer to blobs that are there came
    /// when one was gone.
    Moved,
    /// A retention or a legal hold forbids it.
    Locked,
}
