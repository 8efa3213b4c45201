//! The trait.

use async_trait::async_trait;
use granary_types::{
    BlobId, BucketId, BucketName, DriveId, Epoch, ObjectKey, UnixMillis, UploadId, VersionId, VolumeId,
    WriteId,
};

use crate::durable::Durable;
use crate::error::Result;
use crate::model::{
    BlobRow, Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, BucketUsage, Commit,
    DocumentQuery, DriveRow, EventPlace, IdentityChange, IdentityDocument, ListPage, ListQuery, NewBucket,
    NewVolume, ObjectRow, Outcome, PartPage, PartQuery, QueuedEvent, Restored, SealedEnd, ShardMove, Tag,
    UploadPage, UploadQuery, UploadRow, VersionPage, VersionQuery, VolumeRow, WarmAfter, WarmQuery, WarmRow,
    WarmUsage, WarmVersion,
};

/// The metadata of one store.
///
/// Every method that changes something returns only after the change is durable. Calls that wait together
/// may be committed together; their outcomes stay their own, and calls made one after the other are applied
/// in that order. Reads see every change whose call has returned, on every node.
/// Dropping a returned future may leave its change applied or not, never in part.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// Creates a bucket.
    ///
    /// # Errors
    /// [`crate::MetadataError::BucketExists`] if the name is taken.
    async fn create_bucket(&self, bucket: NewBucket) -> Result<()>;

    /// The bucket of that name.
    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>>;

    /// Buckets in the order of their names.
    async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage>;

    /// Removes a bucket that has no object version and no upload in it.
    ///
    /// # Errors
    /// [`crate::MetadataError::NoSuchBucket`], [`crate::MetadataError::BucketNotEmpty`].
    async fn delete_bucket(&self, name: &BucketName) -> Result<()>;

    /// Changes the settings of a bucket. Commits that are applied later, on whatever node, are decided by them.
    ///
    /// # Errors
    /// [`crate::MetadataError::NoSuchBucket`], [`crate::MetadataError::BucketSettings`] if those it has forbid it.
    async fn change_bucket(&self, name: &BucketName, change: BucketChange) -> Result<()>;

    /// Applies a commit whole or not at all and returns one outcome for each of its writes.
    ///
    /// # Errors
    /// [`crate::MetadataError::Fenced`] and [`crate::MetadataError::VolumeGone`] when nothing was applied because
    /// of a volume; other errors when the outcome is a failure or unknown.
    async fn commit(&self, commit: Commit) -> Result<Vec<Outcome>>;

    /// As [`Self::commit`], of bytes that are still being flushed: nothing of it is durable or visible before `durable`
    /// says that they are. A store may use the time to apply it.
    ///
    /// # Errors
    /// Those of [`Self::commit`], and [`crate::MetadataError::NotDurable`] if they never are; nothing was applied then.
    async fn commit_once_durable(&self, commit: Commit, durable: Durable) -> Result<Vec<Outcome>> {
        durable.kept().await?;
        self.commit(commit).await
    }

    /// One version of a key: the current one if `version` is `None` (a delete marker is returned as such).
    async fn object(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<Option<ObjectRow>>;

    /// The access control list of the version that `write` made; `None` if it is gone or has none of its own.
    async fn object_acl(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Option<Vec<u8>>>;

    /// Until when the version of an archive class that `write` made is readable; `None` if it is gone or was not restored.
    async fn object_restore(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<Restored>>;

    /// The tags of the version that `write` made; none if it is gone or has none.
    async fn object_tags(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Vec<Tag>>;

    /// How warm the version that `write` made is; `None` if nothing is known of that. The row may outlive its version.
    async fn object_warmth(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<WarmRow>>;

    /// Warm versions of one kind, in the order of their times.
    async fn warm_of_kind(&self, query: WarmQuery) -> Result<Vec<WarmVersion>>;

    /// Warm versions of all kinds, in the order of buckets, keys and writes, behind `after`, at most `limit`.
    async fn warm_after(&self, after: WarmAfter, limit: u32) -> Result<Vec<WarmVersion>>;

    /// What the warm versions of each kind come to; kinds without any are left out.
    async fn warm_usage(&self) -> Result<Vec<WarmUsage>>;

    /// Stores or removes a configuration. `false` if the bucket is gone.
    async fn put_bucket_document(&self, put: BucketDocument) -> Result<bool>;

    /// Configurations of a bucket, in the order of their names.
    async fn bucket_documents(&self, query: DocumentQuery) -> Result<Vec<BucketDocument>>;

    /// Counts the changes of configurations of buckets, so that who remembers one learns that it may have changed; those that
    /// tell how far background work is ([`BucketDocument::counts_as_change`]) are left out.
    async fn configuration_generation(&self) -> Result<u64>;

    /// What a bucket holds; nothing for one that is gone.
    async fn bucket_usage(&self, bucket: BucketId) -> Result<BucketUsage>;

    /// Events that are queued, in the order of their places, behind `after`, at most `limit`.
    async fn events(&self, after: Option<EventPlace>, limit: u32) -> Result<Vec<QueuedEvent>>;

    /// How many events are queued for a target; `limit` if there are so many or more.
    async fn count_events(&self, target: &str, limit: u32) -> Result<u32>;

    /// Takes events out of the queue. Those that are not there any more are no matter. At most 10,000.
    async fn finish_events(&self, places: Vec<EventPlace>) -> Result<()>;

    /// Makes a change of identities; `false` if others were made since the state it was decided from.
    async fn change_identities(&self, change: IdentityChange) -> Result<bool>;

    /// Identities with names after `after`, in the order of their names, at most `limit`.
    async fn identities(&self, after: &str, limit: u32) -> Result<Vec<IdentityDocument>>;

    /// Counts the changes of identities, for [`MetadataStore::change_identities`] and for who remembers them.
    async fn identity_generation(&self) -> Result<u64>;

    /// The blobs of these ids that exist, in no particular order. At most 10,000.
    async fn blobs(&self, ids: &[BlobId]) -> Result<Vec<BlobRow>>;

    /// How many versions and parts refer to each of these blobs, in their order, counted no further than the number that
    /// stands beside it: one blob may have millions of references. At most 10,000.
    async fn count_references(&self, limits: &[(BlobId, u32)]) -> Result<Vec<u32>>;

    /// One page of a bucket's current objects (no delete markers).
    async fn list_objects(&self, query: ListQuery) -> Result<ListPage>;

    /// One page of all versions of a bucket's keys, delete markers too.
    async fn list_versions(&self, query: VersionQuery) -> Result<VersionPage>;

    /// The upload, if it is in progress for that key.
    async fn upload(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<Option<UploadRow>>;

    /// Parts of an upload by number; empty when the upload is gone.
    async fn list_parts(&self, query: PartQuery) -> Result<PartPage>;

    /// Uploads in progress.
    async fn list_uploads(&self, query: UploadQuery) -> Result<UploadPage>;

    /// Opens a volume.
    async fn open_volume(&self, volume: NewVolume) -> Result<()>;

    /// Raises the epoch and seals the volume, whoever owns it. Sealing again changes nothing but the epoch.
    ///
    /// # Errors
    /// [`crate::MetadataError::VolumeGone`] when it does not exist or is freed.
    async fn seal_volume(&self, volume: VolumeId) -> Result<SealedEnd>;

    /// One volume.
    async fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRow>>;

    /// All volumes, freed ones too, by id, after `after`, at most `limit`.
    async fn volumes(&self, after: Option<VolumeId>, limit: u32) -> Result<Vec<VolumeRow>>;

    /// Frees a sealed volume in which nothing lives. `false` if something lives in it, it is open or gone.
    async fn free_volume(&self, volume: VolumeId, now: UnixMillis) -> Result<bool>;

    /// Forgets a freed volume whose files are gone. `false` if it is not freed.
    async fn forget_volume(&self, volume: VolumeId) -> Result<bool>;

    /// Records that a column is on another drive now. `false` if it was not on `from` any more.
    async fn move_shard(&self, shard: ShardMove) -> Result<bool>;

    /// Adds a drive or updates its row. A drive that was retired stays so.
    ///
    /// # Errors
    /// [`crate::MetadataError::DriveRetired`] if the drive was retired and the row says that it is active.
    async fn put_drive(&self, drive: DriveRow) -> Result<()>;

    /// All drives by slot.
    async fn drives(&self) -> Result<Vec<DriveRow>>;

    /// Counts what lives in each volume anew from objects, parts and blobs, repairs `live_bytes` that drifted, and
    /// returns the volumes that had; the usage of buckets is counted anew too. For operators and tests: it reads everything.
    async fn recount(&self) -> Result<Vec<(VolumeId, u64, u64)>>;

    /// Waits until nothing is being written, closes everything, makes the files complete.
    async fn close(&self) -> Result<()>;

    /// Whether the epoch is still that of an open volume; a cheap check before long work.
    async fn owns(&self, volume: VolumeId, epoch: Epoch) -> Result<bool> {
        use crate::model::VolumeState;
        Ok(self.volume(volume).await?.is_some_and(|row| row.epoch == epoch && row.state == VolumeState::Open))
    }

    /// The drives that hold a copy of the metadata, and the one that serves it, for health pages.
    async fn homes(&self) -> Result<Vec<(DriveId, bool)>> {
        Ok(Vec::new())
    }
}
