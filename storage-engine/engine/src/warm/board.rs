//! Work on warm copies as every node tells the others of it, and as operators see it.
//!
//! How far a job is knows the node that was asked for it. It tells the metadata every few seconds, in a configuration of the
//! job's bucket, so that every node can say it. What nobody tells of any more was cut off with its node. Restores are rows
//! that one node does after the other for all; how fast, that node knows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{BucketDocument, DocumentQuery, WarmKind, WarmQuery, WarmUsage, WarmVersion};
use granary_types::{BucketId, BucketName, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::jobs::{JobHandle, WarmJob, WarmJobId, WarmJobKind, WarmJobState};
use crate::api::Urgency;
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::failures::Failures;
use crate::lifecycle::{MoveProgress, move_progress};

/// What stands before the node and the number in the name.
const NAME: &str = "worker/warm/";
const TELL: Duration = Duration::from_secs(5);
/// A job that was not told of for so long was cut off.
const SILENT: Duration = Duration::from_mins(1);
/// What was told of jobs that ended longer ago is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// Jobs of one bucket that are listed.
const JOBS_MAX: u32 = 1_000;
/// Restores whose lengths are looked up; those of more are reckoned from these.
const SAMPLE: u32 = 1_000;
const LOOKS: usize = 32;

/// What a node tells of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    number: WarmJobId,
    /// `None` in a store on one machine.
    node: Option<NodeId>,
    told: UnixMillis,
    job: WarmJob,
}

/// A job that is told of.
pub(super) struct Told<'a> {
    pub(super) inner: &'a Inner,
    pub(super) bucket: BucketId,
    pub(super) number: WarmJobId,
    pub(super) job: &'a JobHandle,
}

impl Told<'_> {
    /// Tells of it again and again until the work is done.
    pub(super) async fn while_at_work<T>(&self, work: impl Future<Output = T>) -> T {
        let mut is_first = true;
        let tell = || {
            let is_first = std::mem::take(&mut is_first);
            async move {
                if is_first && let Err(error) = forget_old(self.inner, self.bucket).await {
                    tracing::debug!(%error, "what was told of old jobs could not be forgotten");
                }
                self.tell(self.job.shown()).await;
            }
        };
        telling(work, tell).await
    }

    /// Tells that it is over, and only then shows it: who waits for that finds it told everywhere.
    pub(super) async fn end(&self, state: WarmJobState) {
        self.tell(WarmJob { state: state.clone(), ..self.job.shown() }).await;
        self.job.change(|job| job.state = state);
    }

    /// Tells how far it is. The job goes on if that fails.
    async fn tell(&self, job: WarmJob) {
        let node = self.inner.nodes.as_ref().map(|nodes| nodes.id);
        let record = Record { number: self.number, node, told: UnixMillis::now(), job };
        let told = async {
            let encoded = serde_json::to_vec(&record);
            let encoded = encoded.map_err(|_| EngineError::Internal("encoding how far a job is"))?;
            let name = name_of(node, self.number);
            let put = BucketDocument { bucket: self.bucket, name, document: Some(encoded) };
            Ok::<_, EngineError>(self.inner.store.put_bucket_document(put).await?)
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "how far a job is could not be told");
        }
    }
}

/// Works, and tells of it again and again meanwhile, however long that takes. What is being told when the work is done is told to its
/// end: it must not come behind what is told of the end.
async fn telling<T, F: Future<Output = ()>>(work: impl Future<Output = T>, mut tell: impl FnMut() -> F) -> T {
    let mut work = pin!(work);
    loop {
        let mut told = pin!(tell());
        tokio::select! {
            done = &mut work => {
                told.await;
                return done;
            }
            () = &mut told => {}
        }
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TELL) => {}
        }
    }
}

fn name_of(node: Option<NodeId>, number: WarmJobId) -> String {
    match node {
        Some(node) => format!("{NAME}{node}/{}", number.0),
        None => format!("{NAME}here/{}", number.0),
    }
}

/// What is told of the jobs of a bucket. What cannot be read is passed over: it may be of another release.
async fn records(inner: &Inner, bucket: BucketId) -> Result<Vec<(String, Record)>> {
    let query = DocumentQuery { bucket, prefix: NAME.to_owned(), after: String::new(), limit: JOBS_MAX };
    let found = inner.store.bucket_documents(query).await?.into_iter();
    let read = found.filter_map(|BucketDocument { name, document, .. }| {
        Some((name, serde_json::from_slice(&document?).ok()?))
    });
    Ok(read.collect())
}

async fn forget_old(inner: &Inner, bucket: BucketId) -> Result<()> {
    let now = UnixMillis::now();
    for (name, record) in records(inner, bucket).await? {
        if is_past(record.told, now, FORGOTTEN) {
            inner.store.put_bucket_document(BucketDocument { bucket, name, document: None }).await?;
        }
    }
    Ok(())
}

fn is_past(at: UnixMillis, now: UnixMillis, age: Duration) -> bool {
    u128::try_from(now.0.saturating_sub(at.0)).is_ok_and(|passed_ms| passed_ms > age.as_millis())
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierWork {
    /// A prefix is prefetched.
    Prefetch,
    /// A prefix that was pinned gets its copies.
    Pin,
    /// Archived objects are restored that were asked for with this urgency.
    Restore(Urgency),
    /// The lifecycle of a bucket moves its objects to their classes.
    Move,
}

/// How it is with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierJobState {
    /// Something else is done first.
    Waiting,
    /// At work.
    Running,
    /// Everything was gone through.
    Done,
    /// Ended early, and why.
    Failed(String),
    /// Its node was stopped, or does not tell of it any more.
    Interrupted,
}

/// Work on warm copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierJob {
    /// What is done.
    pub work: TierWork,
    /// The number that its node gave it; restores have none.
    pub number: Option<WarmJobId>,
    /// The bucket and the prefix; of restores, `None`.
    pub objects: Option<(BucketName, String)>,
    /// How it is with it.
    pub state: TierJobState,
    /// The node that does it; `None` if the store is on one machine.
    pub holder: Option<NodeId>,
    /// Since when.
    pub since: UnixMillis,
    /// Objects that were gone through.
    pub done: u64,
    /// Those of them for which there was no room.
    pub no_room: u64,
    /// Objects found so far, these included.
    pub found: u64,
    /// Whether there are no more.
    pub is_listed: bool,
    /// What could not be done now.
    pub failures: Failures,
    /// Bytes that were copied; of moves, 0.
    pub copied_bytes: u64,
    /// Bytes of what was found and is not copied yet; of moves, 0.
    pub left_bytes: u64,
    /// How long these take at the rate that was seen, if any was.
    pub time_left: Option<Duration>,
}

impl TierJob {
    fn of(record: Record, is_known: bool, now: UnixMillis) -> Self {
        let Record { number, node, told, job } = record;
        let state = match job.state {
            WarmJobState::Done => TierJobState::Done,
            WarmJobState::Failed(why) => TierJobState::Failed(why),
            WarmJobState::Running if !is_known || is_past(told, now, SILENT) => TierJobState::Interrupted,
            WarmJobState::Running if job.began.is_none() => TierJobState::Waiting,
            WarmJobState::Running => TierJobState::Running,
        };
        let worked_ms = job.began.map_or(0, |began| told.0.saturating_sub(began.0));
        let rate =
            u64::try_from(worked_ms).ok().and_then(|ms| job.bytes.saturating_mul(1_000).checked_div(ms));
        let is_running = state == TierJobState::Running;
        Self {
            work: match job.kind {
                WarmJobKind::Prefetch => TierWork::Prefetch,
                WarmJobKind::Pin => TierWork::Pin,
            },
            number: Some(number),
            objects: Some((job.bucket, job.prefix)),
            state,
            holder: node,
            since: job.began.unwrap_or(job.asked),
            done: job.copied + job.warm + job.changed + job.failed + job.no_room,
            no_room: job.no_room,
            found: job.found,
            is_listed: job.is_listed,
            failures: Failures { count: job.failed, last: job.failure },
            copied_bytes: job.bytes,
            left_bytes: job.left_bytes,
            time_left: rate.and_then(|rate| time_for(job.left_bytes, rate)).filter(|_| is_running),
        }
    }

    /// The moves of a bucket. What failed waits for the next walk.
    fn of_moves(moves: MoveProgress, bucket: BucketName, holder: Option<NodeId>) -> Self {
        let MoveProgress { is_running, since, moved, failures, moving } = moves;
        Self {
            work: TierWork::Move,
            number: None,
            objects: Some((bucket, String::new())),
            state: if is_running { TierJobState::Running } else { TierJobState::Waiting },
            holder,
            since,
            done: moved,
            no_room: 0,
            found: moved.saturating_add(failures.count).saturating_add(moving),
            is_listed: !is_running,
            failures,
            copied_bytes: 0,
            left_bytes: 0,
            time_left: None,
        }
    }

    /// Where it stands in a list: restores by their urgency, then what is at work, then what has ended, the newest first.
    fn rank(&self) -> (u8, i64) {
        match (self.work, &self.state) {
            (TierWork::Restore(Urgency::Expedited), _) => (0, 0),
            (TierWork::Restore(Urgency::Standard), _) => (1, 0),
            (TierWork::Restore(Urgency::Bulk), _) => (2, 0),
            (_, TierJobState::Running | TierJobState::Waiting) => (3, self.since.0),
            (_, TierJobState::Done | TierJobState::Failed(_) | TierJobState::Interrupted) => {
                (4, self.since.0.saturating_neg())
            }
        }
    }
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Option<Duration> {
    bytes.checked_div(bytes_per_second).map(Duration::from_secs)
}

impl Engine {
    /// The work on warm copies of all nodes: jobs that were asked for lately, and restores that are not done yet; and moves between
    /// classes that are under way, or failed. What other nodes do is as they told it last, some seconds ago.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn tier_jobs(&self) -> Result<Vec<TierJob>> {
        let inner = &self.inner;
        let (own, now) = (inner.nodes.as_ref().map(|nodes| nodes.id), UnixMillis::now());
        let holder = match &inner.nodes {
            Some(nodes) => nodes.leader().await?,
            None => None,
        };
        let mut jobs = restores(inner, holder).await?;
        let mut buckets = pin!(inner.all_buckets());
        while let Some(bucket) = buckets.try_next().await? {
            let moves = move_progress(inner, &bucket).await?;
            jobs.extend(moves.map(|moves| TierJob::of_moves(moves, bucket.name.clone(), holder)));
            for (_, mut record) in records(inner, bucket.id).await? {
                let known = inner.warm.jobs.get(record.number);
                let known = known.filter(|job| job.asked == record.job.asked && record.node == own);
                let is_known = record.node != own || known.is_some();
                // What this node does it need not be told.
                if let Some(job) = known {
                    (record.job, record.told) = (job, now);
                }
                jobs.push(TierJob::of(record, is_known, now));
            }
        }
        jobs.sort_by_key(TierJob::rank);
        Ok(jobs)
    }
}

/// The restores that are not done yet, by their urgency.
async fn restores(inner: &Arc<Inner>, holder: Option<NodeId>) -> Result<Vec<TierJob>> {
    let kinds = [
        (WarmKind::WantedExpedited, Urgency::Expedited),
        (WarmKind::WantedStandard, Urgency::Standard),
        (WarmKind::WantedBulk, Urgency::Bulk),
    ];
    let usage = inner.store.warm_usage().await?;
    let rate = inner.warm.restored.bytes_per_second();
    let (mut jobs, mut before_bytes) = (Vec::<TierJob>::new(), 0_u64);
    for (kind, urgency) in kinds {
        let of_kind = |usage: &&WarmUsage| usage.kind == kind;
        let Some(versions) = usage.iter().find(of_kind).map(|usage| usage.versions) else { continue };
        let (from, until) = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
        let page = inner.store.warm_of_kind(WarmQuery { kind, from, until, limit: SAMPLE }).await?;
        let Some(since) = page.first().map(|first| first.row.at) else { continue };
        let begun_bytes = page.iter().map(|found| found.row.length_bytes()).sum();
        let left_bytes = reckoned_bytes(inner, page, versions).await?.saturating_sub(begun_bytes);
        before_bytes = before_bytes.saturating_add(left_bytes);
        // Expedited ones are done beside the others.
        let is_behind = jobs.iter().any(|job| job.work == TierWork::Restore(Urgency::Standard));
        jobs.push(TierJob {
            work: TierWork::Restore(urgency),
            number: None,
            objects: None,
            state: if is_behind { TierJobState::Waiting } else { TierJobState::Running },
            holder,
            since,
            done: 0,
            no_room: 0,
            found: versions,
            is_listed: true,
            failures: inner.warm.not_restored.of(kind),
            copied_bytes: begun_bytes,
            left_bytes,
            time_left: time_for(before_bytes, rate),
        });
    }
    Ok(jobs)
}

/// How long as many versions are, if they are like those of a page.
async fn reckoned_bytes(inner: &Inner, page: Vec<WarmVersion>, versions: u64) -> Result<u64> {
    let sample = page.len() as u64;
    let looked = stream::iter(page).map(|found| async move {
        let row = inner.store.object(found.bucket, &found.key, Some(found.row.version)).await?;
        Ok::<_, EngineError>(row.map_or(0, |row| row.object.length_bytes))
    });
    let lengths: Vec<u64> = looked.buffered(LOOKS).try_collect().await?;
    let bytes = lengths.iter().map(|length| u128::from(*length)).sum::<u128>();
    let bytes = bytes * u128::from(versions.max(sample)) / u128::from(sample.max(1));
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
