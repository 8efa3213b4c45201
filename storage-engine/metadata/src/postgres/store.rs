//! The handle.

use std::sync::Arc;

use async_trait::async_trait;
use granary_types::{
    BlobId, BucketId, BucketName, ObjectKey, UnixMillis, UploadId, VersionId, VolumeId, WriteId,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::connect::Locator;
use super::membership::Members;
use super::options::PostgresOptions;
use super::reader::{self, Asked, READS_PER_QUERY, Read};
use super::writer::{Pending, Writer};
use super::{moving, recount, schema, upkeep};
use crate::durable::Durable;
use crate::error::{MetadataError, Result};
use crate::fail_over::FailOvers;
use crate::membership::Membership;
use crate::model::{
    BlobRow, Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, BucketUsage, Commit,
    DocumentQuery, DriveRow, EventPlace, IdentityChange, IdentityDocument, ListPage, ListQuery, NewBucket,
    NewVolume, ObjectRow, Outcome, PartPage, PartQuery, QueuedEvent, Restored, SealedEnd, ShardMove, Tag,
    UploadPage, UploadQuery, UploadRow, VersionPage, VersionQuery, VolumeRow, WarmAfter, WarmQuery, WarmRow,
    WarmUsage, WarmVersion,
};
use crate::sqlite::failure::unavailable;
use crate::sqlite::op::{Op, Reply};
use crate::store::MetadataStore;

/// How many changes may wait; callers wait for room.
const WRITES_WAITING_MAX: usize = 4_096;
/// How many reads may wait.
const READS_WAITING_MAX: usize = READS_PER_QUERY * 16;

/// The ends of the queues that callers hold while the store is open.
#[derive(Clone)]
struct Queues {
    writes: mpsc::Sender<Pending>,
    reads: mpsc::Sender<Read>,
}

/// The metadata store of clusters: one Postgres, written and read by any number of nodes. See the module's documentation.
///
/// Needs a tokio runtime. Dropping it lets what is queued be written; [`MetadataStore::close`] waits for that.
pub struct PostgresStore {
    locator: Arc<Locator>,
    queues: Mutex<Option<Queues>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    members: Arc<Members>,
}

impl PostgresStore {
    /// Connects, checks and if wanted migrates the schema, and starts the store's tasks.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] if no server can be written to within [`PostgresOptions::patience`] or the one
    /// found must not be used; [`MetadataError::SchemaTooNew`].
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        let locator = Locator::new(options);
        let ready = Arc::clone(&locator);
        // In a task of its own: dropping the caller must not leave half a statement on a connection.
        let prepared = tokio::spawn(async move {
            let deadline = std::time::Instant::now() + ready.options.patience;
            let mut connected = ready.connect().await;
            if let Err(failure) = &connected
                && failure.is_passing()
            {
                let patience = ready.options.patience;
                tracing::warn!(
                    ?failure,
                    ?patience,
                    "the metadata's database cannot be used yet: it is waited for"
                );
                connected = ready.connect_by(deadline).await;
            }
            let mut session = connected.map_err(|failure| failure.to_error("opening"))?;
            schema::open(&mut session, ready.options.migration).await?;
            moving::refuse_marked(&mut session).await
        });
        prepared.await.map_err(|_| unavailable("opening", "opening ended early"))??;
        let (writes, write_queue) = mpsc::channel(WRITES_WAITING_MAX);
        let (reads, read_queue) = mpsc::channel(READS_WAITING_MAX);
        let (stop, stopped) = watch::channel(false);
        let writer = Writer::new(Arc::clone(&locator))?;
        let mut tasks = vec![
            tokio::spawn(writer.run(write_queue)),
            tokio::spawn(upkeep::run(Arc::clone(&locator), stopped)),
        ];
        let read_queue = Arc::new(tokio::sync::Mutex::new(read_queue));
        for _ in 0..locator.options.readers.max(1) {
            tasks.push(tokio::spawn(reader::run(Arc::clone(&locator), Arc::clone(&read_queue))));
        }
        let queues = Mutex::new(Some(Queues { writes, reads }));
        let members = Arc::new(Members::new(Arc::clone(&locator)));
        Ok(Self { locator, queues, stop, tasks: Mutex::new(tasks), members })
    }

    /// The nodes that share this database.
    #[must_use]
    pub fn membership(&self) -> Arc<dyn Membership> {
        Arc::clone(&self.members) as Arc<dyn Membership>
    }

    /// What the database lost when it failed over.
    #[must_use]
    pub fn fail_overs(&self) -> Arc<dyn FailOvers> {
        Arc::clone(&self.members) as Arc<dyn FailOvers>
    }

    fn queues(&self, context: &'static str) -> Result<Queues> {
        self.queues.lock().clone().ok_or_else(|| unavailable(context, "the metadata store is closed"))
    }

    async fn apply(&self, op: Op) -> Result<Reply> {
        self.ask(op, None).await
    }

    async fn ask(&self, op: Op, durable: Option<Durable>) -> Result<Reply> {
        let (answer, answered) = oneshot::channel();
        let closed = || unavailable("writing", "the metadata store is closed");
        let queues = self.queues("writing")?;
        queues.writes.send(Pending { op, durable, answer }).await.map_err(|_| closed())?;
        drop(queues);
        answered.await.map_err(|_| MetadataError::OutcomeUnknown { context: "the metadata writer ended" })?
    }

    async fn read<Q, A>(&self, wrap: fn(Asked<Q, A>) -> Read, question: Q) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        let closed = || unavailable("reading", "the metadata store is closed");
        let queues = self.queues("reading")?;
        queues.reads.send(wrap(Asked { question, answer })).await.map_err(|_| closed())?;
        drop(queues);
        answered.await.map_err(|_| closed())?
    }
}

#[async_trait]
impl MetadataStore for PostgresStore {
    async fn create_bucket(&self, bucket: NewBucket) -> Result<()> {
        self.apply(Op::CreateBucketWith(bucket)).await?.done()
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>> {
        self.read(Read::Bucket, name.clone()).await
    }

    async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage> {
        self.read(Read::Buckets, query).await
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.apply(Op::DeleteBucket(name.clone())).await?.done()
    }

    async fn change_bucket(&self, name: &BucketName, change: BucketChange) -> Result<()> {
        self.apply(Op::ChangeBucket { name: name.clone(), change }).await?.done()
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Outcome>> {
        self.apply(Op::Commit(commit)).await?.outcomes()
    }

    async fn commit_once_durable(&self, commit: Commit, durable: Durable) -> Result<Vec<Outcome>> {
        self.ask(Op::Commit(commit), Some(durable)).await?.outcomes_or_again(|op| self.apply(op)).await
    }

    async fn object(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<Option<ObjectRow>> {
        match version {
            None => self.read(Read::Current, (bucket, key.clone())).await,
            Some(version) => self.read(Read::Version, (bucket, key.clone(), version)).await,
        }
    }

    async fn object_acl(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Option<Vec<u8>>> {
        self.read(Read::Acl, (bucket, key.clone(), write)).await
    }

    async fn object_restore(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<Restored>> {
        self.read(Read::Restore, (bucket, key.clone(), write)).await
    }

    async fn object_warmth(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<WarmRow>> {
        self.read(Read::Warmth, (bucket, key.clone(), write)).await
    }

    async fn warm_of_kind(&self, query: WarmQuery) -> Result<Vec<WarmVersion>> {
        self.read(Read::WarmOfKind, query).await
    }

    async fn warm_after(&self, after: WarmAfter, limit: u32) -> Result<Vec<WarmVersion>> {
        self.read(Read::WarmAfter, (after, limit)).await
    }

    async fn warm_usage(&self) -> Result<Vec<WarmUsage>> {
        self.read(Read::WarmUsage, ()).await
    }

    async fn object_tags(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Vec<Tag>> {
        self.read(Read::Tags, (bucket, key.clone(), write)).await
    }

    async fn put_bucket_document(&self, put: BucketDocument) -> Result<bool> {
        self.apply(Op::PutDocument(put)).await?.changed()
    }

    async fn bucket_documents(&self, query: DocumentQuery) -> Result<Vec<BucketDocument>> {
        self.read(Read::Documents, query).await
    }

    async fn configuration_generation(&self) -> Result<u64> {
        self.read(Read::Generation, ()).await
    }

    async fn bucket_usage(&self, bucket: BucketId) -> Result<BucketUsage> {
        self.read(Read::Usage, bucket).await
    }

    async fn events(&self, after: Option<EventPlace>, limit: u32) -> Result<Vec<QueuedEvent>> {
        self.read(Read::Events, (after, limit)).await
    }

    async fn count_events(&self, target: &str, limit: u32) -> Result<u32> {
        self.read(Read::EventCount, (target.to_owned(), limit)).await
    }

    async fn finish_events(&self, places: Vec<EventPlace>) -> Result<()> {
        self.apply(Op::FinishEvents(places)).await?.done()
    }

    async fn change_identities(&self, change: IdentityChange) -> Result<bool> {
        self.apply(Op::ChangeIdentities(change)).await?.changed()
    }

    async fn identities(&self, after: &str, limit: u32) -> Result<Vec<IdentityDocument>> {
        self.read(Read::Identities, (after.to_owned(), limit)).await
    }

    async fn identity_generation(&self) -> Result<u64> {
        self.read(Read::IdentityGeneration, ()).await
    }

    async fn blobs(&self, ids: &[BlobId]) -> Result<Vec<BlobRow>> {
        self.read(Read::Blobs, ids.to_vec()).await
    }

    async fn count_references(&self, limits: &[(BlobId, u32)]) -> Result<Vec<u32>> {
        self.read(Read::ReferenceCounts, limits.to_vec()).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage> {
        self.read(Read::Objects, query).await
    }

    async fn list_versions(&self, query: VersionQuery) -> Result<VersionPage> {
        self.read(Read::ObjectVersions, query).await
    }

    async fn upload(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<Option<UploadRow>> {
        self.read(Read::Upload, (bucket, key.clone(), upload)).await
    }

    async fn list_parts(&self, query: PartQuery) -> Result<PartPage> {
        self.read(Read::Parts, query).await
    }

    async fn list_uploads(&self, query: UploadQuery) -> Result<UploadPage> {
        self.read(Read::Uploads, query).await
    }

    async fn open_volume(&self, volume: NewVolume) -> Result<()> {
        self.apply(Op::OpenVolume(volume)).await?.done()
    }

    async fn seal_volume(&self, volume: VolumeId) -> Result<SealedEnd> {
        self.apply(Op::SealVolume(volume)).await?.sealed()
    }

    async fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRow>> {
        self.read(Read::Volume, volume).await
    }

    async fn volumes(&self, after: Option<VolumeId>, limit: u32) -> Result<Vec<VolumeRow>> {
        self.read(Read::Volumes, (after, limit)).await
    }

    async fn free_volume(&self, volume: VolumeId, now: UnixMillis) -> Result<bool> {
        self.apply(Op::FreeVolume { volume, now }).await?.changed()
    }

    async fn forget_volume(&self, volume: VolumeId) -> Result<bool> {
        self.apply(Op::ForgetVolume(volume)).await?.changed()
    }

    async fn move_shard(&self, shard: ShardMove) -> Result<bool> {
        self.apply(Op::MoveShard(shard)).await?.changed()
    }

    async fn put_drive(&self, drive: DriveRow) -> Result<()> {
        self.apply(Op::put_drive(drive)).await?.done()
    }

    async fn drives(&self) -> Result<Vec<DriveRow>> {
        self.read(Read::Drives, ()).await
    }

    async fn recount(&self) -> Result<Vec<(VolumeId, u64, u64)>> {
        drop(self.queues("counting")?);
        let locator = Arc::clone(&self.locator);
        // In a task of its own: dropping the caller must not leave half a statement on a connection.
        let counted = tokio::spawn(async move { recount::run(&locator).await });
        let counted = counted.await.map_err(|_| unavailable("counting", "the recount ended early"))?;
        counted.map_err(|failure| failure.to_error("counting"))
    }

    async fn close(&self) -> Result<()> {
        self.queues.lock().take();
        self.stop.send_replace(true);
        self.members.close().await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.await.map_err(|_| unavailable("closing", "a metadata task had panicked"))?;
        }
        Ok(())
    }
}
