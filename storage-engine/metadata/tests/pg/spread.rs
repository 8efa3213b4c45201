//! Several nodes' stores as one: each call goes to the next node, as a load balancer would send it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use granary_metadata::postgres::PostgresStore;
use granary_metadata::{
    BlobRow, Bucket, BucketPage, BucketQuery, Commit, DriveRow, ListPage, ListQuery, MetadataStore,
    NewBucket, NewVolume, ObjectRow, Outcome, PartPage, PartQuery, Result, SealedEnd, ShardMove, UploadPage,
    UploadQuery, UploadRow, VolumeRow,
};
use granary_types::{BlobId, BucketId, BucketName, ObjectKey, UnixMillis, UploadId, VersionId, VolumeId};

/// The nodes, in turn.
pub struct Spread {
    stores: Vec<Arc<PostgresStore>>,
    next: AtomicUsize,
}

impl Spread {
    pub fn new(stores: Vec<Arc<PostgresStore>>) -> Self {
        Self { stores, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &PostgresStore {
        &self.stores[self.next.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl MetadataStore for Spread {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                self.next().$name($($argument),*).await
            })+

            async fn close(&self) -> Result<()> {
                for store in &self.stores {
                    store.close().await?;
                }
                Ok(())
            }
        }
    };
}

forward! {
    create_bucket(bucket: NewBucket) -> ();
    bucket(name: &BucketName) -> Option<Bucket>;
    list_buckets(query: BucketQuery) -> BucketPage;
    delete_bucket(name: &BucketName) -> ();
    commit(commit: Commit) -> Vec<Outcome>;
    object(bucket: BucketId, key: &ObjectKey, version: Option<VersionId>) -> Option<ObjectRow>;
    blobs(ids: &[BlobId]) -> Vec<BlobRow>;
    list_objects(query: ListQuery) -> ListPage;
    upload(bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Option<UploadRow>;
    list_parts(query: PartQuery) -> PartPage;
    list_uploads(query: UploadQuery) -> UploadPage;
    open_volume(volume: NewVolume) -> ();
    seal_volume(volume: VolumeId) -> SealedEnd;
    volume(volume: VolumeId) -> Option<VolumeRow>;
    volumes(after: Option<VolumeId>, limit: u32) -> Vec<VolumeRow>;
    free_volume(volume: VolumeId, now: UnixMillis) -> bool;
    forget_volume(volume: VolumeId) -> bool;
    move_shard(shard: ShardMove) -> bool;
    put_drive(drive: DriveRow) -> ();
    drives() -> Vec<DriveRow>;
    recount() -> Vec<(VolumeId, u64, u64)>;
}
