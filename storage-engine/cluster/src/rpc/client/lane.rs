//! The appends of one lane of a drive of another node, in order.
//!
//! One task takes whatever has queued, sends it as one request, and hands each append its own result. While it waits for
//! the answer, the next group queues: the group commit of the drive works over the network too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use granary_drive::{Cache, DriveError, Flush};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use super::call::{Way, decode, encode};
use super::call_error::CallError;
use super::drive::Core;
use super::shard::Writing;
use crate::access::{LaneKind, ShardAppend};
use crate::rpc::limits::{APPEND_LENGTH_BYTES_MAX, GROUP_COUNT_MAX, GROUP_LENGTH_BYTES};
use crate::rpc::wire::{self, AppendGroup, AppendHead, AppendResults, LifeId, Operation};
use crate::rpc::wire_error::peer_error;

const QUEUE_LENGTH_MAX: usize = 4096;
const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;

struct Job {
    writing: Arc<Writing>,
    append: ShardAppend,
    reply: oneshot::Sender<Result<(), DriveError>>,
}

/// The entrance of a lane.
#[derive(Debug)]
pub(super) struct LaneQueue {
    core: Arc<Core>,
    queue: Sender<Job>,
    queued_bytes: Arc<AtomicUsize>,
}

struct Lane {
    core: Arc<Core>,
    kind: LaneKind,
    queued_bytes: Arc<AtomicUsize>,
}

impl LaneQueue {
    /// Starts the task. It ends when the entrance is dropped.
    pub(super) fn start(core: Arc<Core>, kind: LaneKind) -> Self {
        let (queue, jobs) = channel(QUEUE_LENGTH_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let lane = Lane { core: Arc::clone(&core), kind, queued_bytes: Arc::clone(&queued_bytes) };
        tokio::spawn(lane.run(jobs));
        Self { core, queue, queued_bytes }
    }

    /// Queues an append now and returns the wait for its result.
    pub(super) fn append(
        &self,
        writing: Arc<Writing>,
        append: ShardAppend,
    ) -> BoxFuture<'static, Result<(), DriveError>> {
        let place = self.core.place();
        let length_bytes = append.bytes.len();
        if length_bytes > APPEND_LENGTH_BYTES_MAX {
            let error = peer_error(&place, format!("{length_bytes} bytes are too many for one append"));
            return Box::pin(std::future::ready(Err(error)));
        }
        let stalled = move || DriveError::Stalled { path: place.into() };
        let before = self.queued_bytes.fetch_add(length_bytes, Ordering::AcqRel);
        let (reply, answer) = oneshot::channel();
        let is_full = before + length_bytes > QUEUE_BYTES_MAX;
        if is_full || self.queue.try_send(Job { writing, append, reply }).is_err() {
            self.queued_bytes.fetch_sub(length_bytes, Ordering::AcqRel);
            return Box::pin(std::future::ready(Err(stalled())));
        }
        // Every request of the lane has its deadline, so the answer comes.
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(stalled())) })
    }
}

impl Lane {
    async fn run(self, mut jobs: Receiver<Job>) {
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(job) => Some(job),
                None => jobs.recv().await,
            };
            let Some(first) = first else { break };
            let mut length_bytes = first.append.bytes.len();
            let mut group = vec![first];
            while group.len() < GROUP_COUNT_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                if length_bytes + job.append.bytes.len() > GROUP_LENGTH_BYTES {
                    left_over = Some(job);
                    break;
                }
                length_bytes += job.append.bytes.len();
                group.push(job);
            }
            self.queued_bytes.fetch_sub(length_bytes, Ordering::AcqRel);
            self.send(group).await;
        }
    }

    async fn send(&self, group: Vec<Job>) {
        let life = self.core.shared.known().life;
        let mut sent = Vec::with_capacity(group.len());
        for job in group {
            if job.writing.held.life != life {
                answer(job, Err(self.core.error(CallError::OtherLife)));
            } else if job.writing.is_unresolved() {
                answer(job, Err(DriveError::Stalled { path: self.core.place().into() }));
            } else {
                sent.push(job);
            }
        }
        if sent.is_empty() {
            return;
        }
        match self.request(life, &sent).await {
            Ok(results) => {
                for (job, result) in sent.into_iter().zip(results) {
                    let result = result.map_err(|failure| self.core.error(failure.into()));
                    answer(job, result);
                }
            }
            Err(error) => {
                let reason = self.core.error(error);
                for job in sent {
                    job.writing.give_up();
                    answer(job, Err(alike(&reason)));
                }
            }
        }
    }

    async fn request(&self, life: LifeId, jobs: &[Job]) -> Result<AppendResults, CallError> {
        let group = AppendGroup {
            drive: self.core.id,
            is_bulk_lane: self.kind == LaneKind::Bulk,
            appends: jobs.iter().map(head).collect(),
        };
        let head = wire::bulk_head(&encode(&group)?).map_err(|e| CallError::Refused(e.to_string()))?;
        let body: Vec<Bytes> =
            std::iter::once(head).chain(jobs.iter().map(|job| job.append.bytes.clone())).collect();
        let way = match self.kind {
            LaneKind::Packed => Way::Control,
            LaneKind::Bulk => Way::Bulk,
        };
        let answer = self.core.shared.call(way, Operation::Append, life, body).await?;
        let results: AppendResults = decode(&answer)?;
        if results.len() != jobs.len() {
            return Err(CallError::Refused("an answer for another number of appends".to_owned()));
        }
        Ok(results)
    }
}

fn head(job: &Job) -> AppendHead {
    AppendHead {
        handle: job.writing.held.handle,
        offset: job.append.offset,
        length_before_bytes: job.append.length_before_bytes,
        length_bytes: u32::try_from(job.append.bytes.len()).unwrap_or(u32::MAX),
        bypasses_cache: job.append.cache == Cache::Bypass,
        flushes_now: job.append.flush == Flush::Now,
    }
}

/// The error of a whole group, for each of it.
fn alike(error: &DriveError) -> DriveError {
    match error {
        DriveError::Stalled { path } => DriveError::Stalled { path: path.clone() },
        DriveError::Peer { place, reason } => {
            DriveError::Peer { place: place.clone(), reason: reason.clone() }
        }
        other => peer_error("", other.to_string()),
    }
}

fn answer(job: Job, result: Result<(), DriveError>) {
    // A waiter that gave up has dropped the other end; nobody is left to tell.
    let _gone = job.reply.send(result);
}
