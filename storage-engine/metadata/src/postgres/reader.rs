//! Readers: tasks with a connection each. Point reads that wait together become one query of each kind.

use std::sync::Arc;
use std::time::Instant;

use granary_types::{BlobId, BucketId, BucketName, ObjectKey, UploadId, VersionId, VolumeId, WriteId};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::connect::{Backoff, Locator, Session};
use super::failure::Failure;
use super::read;
use crate::error::Result;
use crate::model::{
    BlobRow, Bucket, BucketDocument, BucketPage, BucketQuery, BucketUsage, DocumentQuery, DriveRow,
    EventPlace, IdentityDocument, ListPage, ListQuery, NewUpload, ObjectRow, PartPage, PartQuery,
    QueuedEvent, Restored, Tag, UploadPage, UploadQuery, VersionPage, VersionQuery, VolumeRow, WarmAfter,
    WarmQuery, WarmRow, WarmUsage, WarmVersion,
};

/// Questions answered together.
pub(super) const READS_PER_QUERY: usize = 256;

const CONTEXT: &str = "reading";

/// A question and where its answer goes.
pub(super) struct Asked<Q, A> {
    pub(super) question: Q,
    pub(super) answer: oneshot::Sender<Result<A>>,
}

macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident($question:ty) -> $answer:ty;)+) => {
        /// A read that waits for its answer.
        pub(super) enum Read {
            $($(#[$doc])* $name(Asked<$question, $answer>),)+
        }

        impl Read {
            fn fail(self, failure: &Failure) {
                match self {
                    // A caller that went away does not care.
                    $(Self::$name(asked) => drop(asked.answer.send(Err(failure.to_error(CONTEXT)))),)+
                }
            }
        }
    };
}

reads! {
    /// The current version of a key.
    Current((BucketId, ObjectKey)) -> Option<ObjectRow>;
    /// A version by id.
    Version((BucketId, ObjectKey, VersionId)) -> Option<ObjectRow>;
    /// A bucket by name.
    Bucket(BucketName) -> Option<Bucket>;
    /// An upload in progress.
    Upload((BucketId, ObjectKey, UploadId)) -> Option<NewUpload>;
    /// A volume.
    Volume(VolumeId) -> Option<VolumeRow>;
    /// Some blobs.
    Blobs(Vec<BlobId>) -> Vec<BlobRow>;
    /// How many refer to some blobs.
    ReferenceCounts(Vec<(BlobId, u32)>) -> Vec<u32>;
    /// A page of objects.
    Objects(ListQuery) -> ListPage;
    /// A page of buckets.
    Buckets(BucketQuery) -> BucketPage;
    /// A page of parts.
    Parts(PartQuery) -> PartPage;
    /// A page of uploads.
    Uploads(UploadQuery) -> UploadPage;
    /// A page of versions.
    ObjectVersions(VersionQuery) -> VersionPage;
    /// A page of volumes.
    Volumes((Option<VolumeId>, u32)) -> Vec<VolumeRow>;
    /// The tags of a version.
    Tags((BucketId, ObjectKey, WriteId)) -> Vec<Tag>;
    /// The access control list of a version.
    Acl((BucketId, ObjectKey, WriteId)) -> Option<Vec<u8>>;
    /// Until when a version is readable.
    Restore((BucketId, ObjectKey, WriteId)) -> Option<Restored>;
    /// How warm a version is.
    Warmth((BucketId, ObjectKey, WriteId)) -> Option<WarmRow>;
    /// Warm versions of a kind.
    WarmOfKind(WarmQuery) -> Vec<WarmVersion>;
    /// A page of warm versions.
    WarmAfter((WarmAfter, u32)) -> Vec<WarmVersion>;
    /// What warm versions come to.
    WarmUsage(()) -> Vec<WarmUsage>;
    /// Configurations of a bucket.
    Documents(DocumentQuery) -> Vec<BucketDocument>;
    /// How often configurations were changed.
    Generation(()) -> u64;
    /// What a bucket holds.
    Usage(BucketId) -> BucketUsage;
    /// A page of events.
    Events((Option<EventPlace>, u32)) -> Vec<QueuedEvent>;
    /// How many events are queued for a target.
    EventCount((String, u32)) -> u32;
    /// A page of identities.
    Identities((String, u32)) -> Vec<IdentityDocument>;
    /// How often identities were changed.
    IdentityGeneration(()) -> u64;
    /// All drives.
    Drives(()) -> Vec<DriveRow>;
}

/// Where readers find their work.
pub(super) type ReadQueue = Arc<Mutex<mpsc::Receiver<Read>>>;

/// Runs until the queue is closed and drained.
pub(super) async fn run(locator: Arc<Locator>, queue: ReadQueue) {
    let mut session = None;
    let mut waiting = Vec::new();
    loop {
        // Whoever waits for work holds the queue; the others wait for the queue.
        if queue.lock().await.recv_many(&mut waiting, READS_PER_QUERY).await == 0 {
            return;
        }
        answer(&locator, &mut session, std::mem::take(&mut waiting)).await;
    }
}

/// Answers all; what a lost connection left unanswered is asked again on another one.
async fn answer(locator: &Locator, held: &mut Option<Session>, mut waiting: Vec<Read>) {
    let deadline = Instant::now() + locator.options.patience;
    let mut backoff = Backoff::new();
    while !waiting.is_empty() {
        let failure = match connected(locator, held, deadline).await {
            Ok(session) => match read::answer(session, &mut waiting).await {
                Ok(()) => return,
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Lost(_)) {
            *held = None;
        }
        if !failure.is_passing() || Instant::now() >= deadline {
            tracing::warn!(?failure, "metadata reads failed");
            for read in waiting.drain(..) {
                read.fail(&failure);
            }
            return;
        }
        backoff.pause().await;
    }
}

async fn connected<'s>(
    locator: &Locator,
    held: &'s mut Option<Session>,
    deadline: Instant,
) -> std::result::Result<&'s mut Session, Failure> {
    if held.as_ref().is_some_and(|session| locator.has_passed(session)) {
        *held = None;
    }
    match held {
        Some(session) => Ok(session),
        None => Ok(held.insert(locator.connect_by(deadline).await?)),
    }
}
