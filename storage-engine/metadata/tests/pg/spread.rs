//! Several nodes' stores as one: each call goes to the next node, as a load balancer would send it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use granary_metadata::postgres::PostgresStore;
use granary_metadata::{
    BlobRow, Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, BucketUsage, Commit,
    DocumentQuery, DriveRow, EventPlace, IdentityChange, IdentityDocument, ListPage, ListQuery,
    MetadataStore, NewBucket, NewVolume, ObjectRow, Outcome, PartPage, PartQuery, QueuedEvent, Restored,
    Result, SealedEnd, ShardMove, Tag, UploadPage, UploadQuery, UploadRow, VersionPage, VersionQuery,
    VolumeRow, WarmAfter, WarmQuery, WarmRow, WarmUsage, WarmVersion,
};
use granary_types::{
    BlobId, BucketId, BucketName, ObjectKey, UnixMillis, UploadId, VersionId, VolumeId, WriteId,
};

/// The nodes, in turn.
pub struct Spread {
    stores: Vec<Arc<PostgresStore>>,
    next: AtomicUsize,
    /// Calls whose caller went away while a node was still at them.
    abandoned: Arc<AtomicUsize>,
}

/// Counts a call as abandoned from when its caller goes away.
struct Watch {
    abandoned: Arc<AtomicUsize>,
    call: Option<tokio::task::JoinHandle<Result<Vec<Outcome>>>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let abandoned = Arc::clone(&self.abandoned);
        abandoned.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let _ = call.await;
            abandoned.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Spread {
    pub fn new(stores: Vec<Arc<PostgresStore>>) -> Self {
        Self { stores, next: AtomicUsize::new(0), abandoned: Arc::default() }
    }

    fn next(&self) -> &Arc<PostgresStore> {
        &self.stores[self.next.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }

    /// One node applies an abandoned call before a later one; of two nodes nothing orders them, so it is waited for.
    async fn commit_in_order(&self, commit: Commit) -> Result<Vec<Outcome>> {
        while self.abandoned.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let store = Arc::clone(self.next());
        let call = tokio::spawn(async move { store.commit(commit).await });
        let mut watch = Watch { abandoned: Arc::clone(&self.abandoned), call: Some(call) };
        let call = watch.call.as_mut().expect("it has just been begun");
        let result = call.await.expect("a commit does not panic");
        watch.call = None;
        result
    }
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl MetadataStore for Spread {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                self.next().$name($($argument),*).await
            })+

            async fn commit(&self, commit: Commit) -> Result<Vec<Outcome>> {
                self.commit_in_order(commit).await
            }

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
    change_bucket(name: &BucketName, change: BucketChange) -> ();
    list_versions(query: VersionQuery) -> VersionPage;
    delete_bucket(name: &BucketName) -> ();
    object(bucket: BucketId, key: &ObjectKey, version: Option<VersionId>) -> Option<ObjectRow>;
    blobs(ids: &[BlobId]) -> Vec<BlobRow>;
    count_references(limits: &[(BlobId, u32)]) -> Vec<u32>;
    bucket_usage(bucket: BucketId) -> BucketUsage;
    events(after: Option<EventPlace>, limit: u32) -> Vec<QueuedEvent>;
    count_events(target: &str, limit: u32) -> u32;
    finish_events(places: Vec<EventPlace>) -> ();
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
    object_tags(bucket: BucketId, key: &ObjectKey, write: WriteId) -> Vec<Tag>;
    object_acl(bucket: BucketId, key: &ObjectKey, write: WriteId) -> Option<Vec<u8>>;
    object_restore(bucket: BucketId, key: &ObjectKey, write: WriteId) -> Option<Restored>;
    object_warmth(bucket: BucketId, key: &ObjectKey, write: WriteId) -> Option<WarmRow>;
    warm_of_kind(query: WarmQuery) -> Vec<WarmVersion>;
    warm_after(after: WarmAfter, limit: u32) -> Vec<WarmVersion>;
    warm_usage() -> Vec<WarmUsage>;
    put_bucket_document(put: BucketDocument) -> bool;
    bucket_documents(query: DocumentQuery) -> Vec<BucketDocument>;
    configuration_generation() -> u64;
    change_identities(change: IdentityChange) -> bool;
    identities(after: &str, limit: u32) -> Vec<IdentityDocument>;
    identity_generation() -> u64;
    drives() -> Vec<DriveRow>;
    recount() -> Vec<(VolumeId, u64, u64)>;
}
