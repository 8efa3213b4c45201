//! The handle.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use granary_types::{
    BlobId, BucketId, BucketName, DriveId, ObjectKey, UnixMillis, UploadId, VersionId, VolumeId, WriteId,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::{Failure, unavailable};
use super::op::{Op, Reply};
use super::options::{EmbeddedOptions, Home};
use super::queue::Lane;
use super::rows::Found;
use super::shared::{ReadJob, Request, Shared};
use super::{apply, open, read, survive};
use crate::durable::Durable;
use crate::error::{MetadataError, Result};
use crate::model::{
    BlobRow, Bucket, BucketChange, BucketDocument, BucketPage, BucketQuery, BucketUsage, Commit,
    DocumentQuery, DriveRow, EventPlace, IdentityChange, IdentityDocument, ListPage, ListQuery, NewBucket,
    NewVolume, ObjectRow, Outcome, PartPage, PartQuery, QueuedEvent, Restored, SealedEnd, ShardMove, Tag,
    UploadPage, UploadQuery, UploadRow, VersionPage, VersionQuery, VolumeRow, WarmAfter, WarmQuery, WarmRow,
    WarmUsage, WarmVersion,
};
use crate::store::MetadataStore;

/// The embedded metadata store: SQLite in one home, logs and snapshots in others. See the module's documentation.
///
/// Dropping it waits for what is being written, as [`MetadataStore::close`] does, but blocks the thread.
pub struct SqliteStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    has_copies: bool,
}

/// How long a read waits for another copy to be served.
const FAIL_OVER_PATIENCE: Duration = Duration::from_secs(5);
const FAIL_OVER_POLL: Duration = Duration::from_millis(20);

impl SqliteStore {
    /// Opens the newest complete copy of the metadata among the homes, or makes a new store if none was ever made.
    /// Blocks while it checks and rebuilds: call it off the runtime's threads.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] if metadata must exist and no home has a complete copy, or a home belongs to
    /// another store; [`MetadataError::SchemaTooNew`]; [`MetadataError::Io`].
    #[allow(clippy::needless_pass_by_value, reason = "options are made for this one call")]
    pub fn open(options: EmbeddedOptions) -> Result<Self> {
        let (shared, threads) = open::start(&options)?;
        Ok(Self { shared, threads: Mutex::new(threads), has_copies: options.copies > 0 })
    }

    /// How many of the wanted copies besides the database do not exist now.
    #[must_use]
    pub fn copies_missing(&self) -> usize {
        self.shared.serving.lock().copies_missing
    }

    /// Lets the store use another home, or the directory that is now in place of one that was lost (after a heal).
    ///
    /// # Errors
    /// [`MetadataError::Io`] if the directory cannot be made or locked.
    pub async fn adopt_home(&self, home: Home) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let closed = || unavailable("adopting a home", "the metadata store is closed");
        self.shared.writes.push(Lane::Short, Request::Adopt { home, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Checks the structure of the database and every row against its hash; for scrubs. What it finds damaged is
    /// also rebuilt from a copy, as when a request finds it.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] if something is damaged or the store cannot answer.
    pub async fn verify(&self) -> Result<()> {
        self.read(Lane::Long, survive::verify).await
    }

    /// The database that is served.
    pub(super) fn database(&self) -> Result<std::path::PathBuf> {
        let database = self.shared.serving.lock().database.clone();
        database.map_err(|why| unavailable("freezing", why))
    }

    async fn apply(&self, op: Op) -> Result<Reply> {
        self.ask(op, None).await
    }

    async fn ask(&self, op: Op, durable: Option<Durable>) -> Result<Reply> {
        let (answer, answered) = oneshot::channel();
        let closed = || unavailable("writing", "the metadata store is closed");
        let request = Request::Apply { op, durable, answer };
        self.shared.writes.push(Lane::Short, request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| MetadataError::OutcomeUnknown { context: "the metadata writer ended" })?
    }

    /// Runs a query on a reader. While the database is being replaced by a copy, it waits and asks again, for a while.
    pub(super) async fn read<T, F>(&self, lane: Lane, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> std::result::Result<T, Failure> + Send + Sync + 'static,
    {
        let query = Arc::new(query);
        let begun = Instant::now();
        loop {
            match self.read_once(lane, Arc::clone(&query)).await? {
                Ok(value) => return Ok(value),
                Err(error) if !self.has_copies || begun.elapsed() > FAIL_OVER_PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(FAIL_OVER_POLL).await,
            }
        }
    }

    /// The inner error is one that goes away when another copy is served.
    async fn read_once<T, F>(&self, lane: Lane, query: Arc<F>) -> Result<Result<T>>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> std::result::Result<T, Failure> + Send + Sync + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            let (result, distrust) = match connection.map(|connection| query(connection)) {
                Ok(Ok(value)) => (Ok(Ok(value)), None),
                Ok(Err(failure)) if failure.distrusts_file() => {
                    (Ok(Err(unavailable("reading", format!("{failure:?}")))), Some(failure))
                }
                Ok(Err(failure)) => (Err(failure.into_error("reading")), None),
                Err(reason) => (Ok(Err(unavailable("reading", reason))), None),
            };
            // A caller that went away does not care.
            let _ = answer.send(result);
            distrust
        });
        let closed = || unavailable("reading", "the metadata store is closed");
        self.shared.reads.push(lane, job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        self.shared.rows.close();
        self.shared.writes.close();
        self.shared.reads.close();
        std::mem::take(&mut *self.threads.lock())
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        for thread in self.stop() {
            if thread.join().is_err() {
                tracing::error!("a metadata thread had panicked");
            }
        }
    }
}

#[async_trait]
impl MetadataStore for SqliteStore {
    async fn create_bucket(&self, bucket: NewBucket) -> Result<()> {
        self.apply(Op::CreateBucketWith(bucket)).await?.done()
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>> {
        let name = name.clone();
        self.read(Lane::Short, move |c| read::bucket(c, &name)).await
    }

    async fn list_buckets(&self, query: BucketQuery) -> Result<BucketPage> {
        self.read(Lane::Long, move |c| read::list_buckets(c, &query)).await
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
        let as_of = match version {
            Some(_) => None,
            None => match self.shared.rows.find(bucket, key) {
                Found::Row(row) => return Ok(Some(row)),
                Found::Nothing(as_of) => as_of,
            },
        };
        let sought = key.clone();
        let row = self.read(Lane::Short, move |c| read::object(c, bucket, &sought, version)).await?;
        if let (Some(as_of), Some(row)) = (as_of, &row) {
            self.shared.rows.keep(bucket, key, as_of, row);
        }
        Ok(row)
    }

    async fn object_acl(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Option<Vec<u8>>> {
        let key = key.clone();
        self.read(Lane::Short, move |c| read::object_acl(c, bucket, &key, write)).await
    }

    async fn object_restore(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<Restored>> {
        let key = key.clone();
        self.read(Lane::Short, move |c| read::object_restore(c, bucket, &key, write)).await
    }

    async fn object_warmth(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
    ) -> Result<Option<WarmRow>> {
        let key = key.clone();
        self.read(Lane::Short, move |c| apply::load_warmth(c, (bucket, &key, write))).await
    }

    async fn warm_of_kind(&self, query: WarmQuery) -> Result<Vec<WarmVersion>> {
        self.read(Lane::Long, move |c| read::warm_of_kind(c, query)).await
    }

    async fn warm_after(&self, after: WarmAfter, limit: u32) -> Result<Vec<WarmVersion>> {
        self.read(Lane::Long, move |c| read::warm_after(c, &after, limit)).await
    }

    async fn warm_usage(&self) -> Result<Vec<WarmUsage>> {
        self.read(Lane::Long, read::warm_usage).await
    }

    async fn object_tags(&self, bucket: BucketId, key: &ObjectKey, write: WriteId) -> Result<Vec<Tag>> {
        let key = key.clone();
        self.read(Lane::Short, move |c| read::object_tags(c, bucket, &key, write)).await
    }

    async fn put_bucket_document(&self, put: BucketDocument) -> Result<bool> {
        self.apply(Op::PutDocument(put)).await?.changed()
    }

    async fn bucket_documents(&self, query: DocumentQuery) -> Result<Vec<BucketDocument>> {
        self.read(Lane::Short, move |c| read::bucket_documents(c, &query)).await
    }

    async fn configuration_generation(&self) -> Result<u64> {
        self.read(Lane::Short, read::configuration_generation).await
    }

    async fn bucket_usage(&self, bucket: BucketId) -> Result<BucketUsage> {
        self.read(Lane::Short, move |c| read::bucket_usage(c, bucket)).await
    }

    async fn events(&self, after: Option<EventPlace>, limit: u32) -> Result<Vec<QueuedEvent>> {
        self.read(Lane::Long, move |c| read::events(c, after.as_ref(), limit)).await
    }

    async fn count_events(&self, target: &str, limit: u32) -> Result<u32> {
        let target = target.to_owned();
        self.read(Lane::Long, move |c| read::count_events(c, &target, limit)).await
    }

    async fn finish_events(&self, places: Vec<EventPlace>) -> Result<()> {
        self.apply(Op::FinishEvents(places)).await?.done()
    }

    async fn change_identities(&self, change: IdentityChange) -> Result<bool> {
        self.apply(Op::ChangeIdentities(change)).await?.changed()
    }

    async fn identities(&self, after: &str, limit: u32) -> Result<Vec<IdentityDocument>> {
        let after = after.to_owned();
        self.read(Lane::Long, move |c| read::identities(c, &after, limit)).await
    }

    async fn identity_generation(&self) -> Result<u64> {
        self.read(Lane::Short, read::identity_generation).await
    }

    async fn blobs(&self, ids: &[BlobId]) -> Result<Vec<BlobRow>> {
        let ids = ids.to_vec();
        let lane = if ids.len() > 16 { Lane::Long } else { Lane::Short };
        self.read(lane, move |c| read::blobs(c, &ids)).await
    }

    async fn count_references(&self, limits: &[(BlobId, u32)]) -> Result<Vec<u32>> {
        let limits = limits.to_vec();
        self.read(Lane::Long, move |c| read::count_references(c, &limits)).await
    }

    async fn list_objects(&self, query: ListQuery) -> Result<ListPage> {
        self.read(Lane::Long, move |c| read::list_objects(c, &query)).await
    }

    async fn list_versions(&self, query: VersionQuery) -> Result<VersionPage> {
        self.read(Lane::Long, move |c| read::list_versions(c, &query)).await
    }

    async fn upload(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<Option<UploadRow>> {
        let key = key.clone();
        self.read(Lane::Short, move |c| apply::load_upload(c, bucket, &key, upload)).await
    }

    async fn list_parts(&self, query: PartQuery) -> Result<PartPage> {
        self.read(Lane::Long, move |c| read::list_parts(c, &query)).await
    }

    async fn list_uploads(&self, query: UploadQuery) -> Result<UploadPage> {
        self.read(Lane::Long, move |c| read::list_uploads(c, &query)).await
    }

    async fn open_volume(&self, volume: NewVolume) -> Result<()> {
        self.apply(Op::OpenVolume(volume)).await?.done()
    }

    async fn seal_volume(&self, volume: VolumeId) -> Result<SealedEnd> {
        self.apply(Op::SealVolume(volume)).await?.sealed()
    }

    async fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRow>> {
        let find = move |c: &Connection| Ok(apply::StoredVolume::load(c, volume)?.map(|stored| stored.row));
        self.read(Lane::Short, find).await
    }

    async fn volumes(&self, after: Option<VolumeId>, limit: u32) -> Result<Vec<VolumeRow>> {
        self.read(Lane::Long, move |c| read::volumes(c, after, limit)).await
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
        self.read(Lane::Long, read::drives).await
    }

    async fn recount(&self) -> Result<Vec<(VolumeId, u64, u64)>> {
        self.apply(Op::Recount).await?.recounted()
    }

    async fn close(&self) -> Result<()> {
        let threads = self.stop();
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).filter(std::result::Result::is_err).count()
        })
        .await;
        match joined {
            Ok(0) => Ok(()),
            _ => Err(unavailable("closing", "a metadata thread had panicked")),
        }
    }

    async fn homes(&self) -> Result<Vec<(DriveId, bool)>> {
        Ok(self.shared.serving.lock().homes.clone())
    }
}
