//! Appending with group flush.
//!
//! A lane is one thread of one drive. It takes everything that has queued, writes it in order, flushes each
//! file that somebody asked to have flushed once, and only then answers. While it flushes, the next group
//! queues: grouping needs no timer and grows with the load. Packed stripes and large runs have lanes of
//! their own, so that a small object never waits behind the flush of a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use granary_types::crash_point;
use tokio::sync::oneshot;

use crate::error::DriveError;
use crate::health::Health;
use crate::shard::ShardFile;

const QUEUE_LENGTH_MAX: usize = 4096;
const GROUP_LENGTH_MAX: usize = 512;

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// After the file was flushed to the drive.
    Now,
    /// After the write; a later flush of the same file covers it.
    Later,
}

/// Whether the page cache keeps what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It does. Also what becomes of bytes that are not whole pages in memory that begins on one.
    Keep,
    /// It does not. What is written is mostly read much later, if ever, parity least of all; copying it through the
    /// cache costs processor time, makes the flush that follows slower (a third for packed stripes, see
    /// `docs/benchmarks.md`), and drives out what is hot.
    Bypass,
}

/// Bytes to put at the end of a shard file. With no bytes, a mere flush.
pub struct Append {
    /// The file.
    pub shard: Arc<ShardFile>,
    /// Where the bytes go.
    pub offset: u64,
    /// How long the file must already be; shorter means that somebody cut it.
    pub length_before_bytes: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// What the page cache does with them.
    pub cache: Cache,
    /// When to answer.
    pub flush: Flush,
}

struct Job {
    append: Append,
    reply: oneshot::Sender<Result<(), DriveError>>,
}

/// One appending thread of a drive.
#[derive(Debug)]
pub struct Lane {
    queue: SyncSender<Job>,
    directory: PathBuf,
    deadline: Duration,
    health: Arc<Health>,
    /// Set when an answer did not come in time, cleared by the thread when it answers again.
    stuck: Arc<AtomicBool>,
}

impl Lane {
    /// Starts the thread. Appends that are not answered within `deadline` count as stalled.
    pub(crate) fn start(
        name: String,
        directory: &Path,
        deadline: Duration,
        health: Arc<Health>,
    ) -> Result<Self, DriveError> {
        let (queue, jobs) = sync_channel(QUEUE_LENGTH_MAX);
        let stuck = Arc::new(AtomicBool::new(false));
        thread::Builder::new()
            .name(name)
            .spawn({
                let (stuck, health, directory) =
                    (Arc::clone(&stuck), Arc::clone(&health), directory.to_owned());
                move || run(&jobs, &directory, &health, &stuck)
            })
            .map_err(|e| DriveError::io("starting a thread for", directory, e))?;
        Ok(Self { queue, directory: directory.to_owned(), deadline, health, stuck })
    }

    /// Queues an append now and returns the wait for its answer.
    pub fn append(&self, append: Append) -> impl Future<Output = Result<(), DriveError>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let queued = match self.queue.try_send(Job { append, reply }) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        let stalled = DriveError::Stalled { path: self.directory.clone() };
        let (deadline, health, stuck) = (self.deadline, Arc::clone(&self.health), Arc::clone(&self.stuck));
        async move {
            if !queued {
                return Err(stalled);
            }
            match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(stalled),
                Err(_) => {
                    if !stuck.swap(true, Ordering::AcqRel) {
                        health.stuck_lanes.fetch_add(1, Ordering::AcqRel);
                    }
                    Err(stalled)
                }
            }
        }
    }
}

fn run(jobs: &Receiver<Job>, directory: &Path, health: &Health, stuck: &AtomicBool) {
    let mut group = Vec::new();
    while let Ok(job) = jobs.recv() {
        group.push(job);
        while group.len() < GROUP_LENGTH_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            group.push(job);
        }
        work(&mut group);
        measure_space(directory, health);
        if stuck.swap(false, Ordering::AcqRel) {
            health.stuck_lanes.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Looks how much room is left; asked here, on the drive's own thread, because a hung drive hangs this too.
pub(crate) fn measure_space(directory: &Path, health: &Health) {
    if let Ok(stat) = rustix::fs::statvfs(directory) {
        health.set_space(
            stat.f_bavail.saturating_mul(stat.f_frsize),
            stat.f_blocks.saturating_mul(stat.f_frsize),
        );
    }
}

/// Writes and flushes one group and answers all of it.
fn work(group: &mut Vec<Job>) {
    let mut waiting: Vec<Job> = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        match write(&job.append) {
            Ok(()) if job.append.flush == Flush::Later => answer(job, Ok(())),
            Ok(()) => waiting.push(job),
            Err(error) => answer(job, Err(error)),
        }
    }
    if !waiting.is_empty() {
        crash_point("drive.after_write_before_flush");
    }
    while let Some(next) = waiting.pop() {
        let shard = Arc::clone(&next.append.shard);
        metrics::counter!("granary_flushes_total").increment(1);
        let mut same: Vec<Job> = vec![next];
        let mut at = 0;
        while at < waiting.len() {
            if waiting.get(at).is_some_and(|job| Arc::ptr_eq(&job.append.shard, &shard)) {
                same.push(waiting.swap_remove(at));
            } else {
                at += 1;
            }
        }
        let flushed = shard.flush();
        for job in same {
            let result = match &flushed {
                Ok(()) => shard.check_intact(job.append.offset + job.append.bytes.len() as u64),
                Err(DriveError::NoSpace { path }) => Err(DriveError::NoSpace { path: path.clone() }),
                Err(_) => {
                    Err(DriveError::io("flushing", shard.path(), std::io::Error::other("flush failed")))
                }
            };
            answer(job, result);
        }
    }
}

fn write(append: &Append) -> Result<(), DriveError> {
    append.shard.check_intact(append.length_before_bytes)?;
    append.shard.write(append.offset, &append.bytes, append.cache)
}

fn answer(job: Job, result: Result<(), DriveError>) {
    // A waiter that gave up (its deadline passed) has dropped the other end; nobody is left to tell.
    let _gone = job.reply.send(result);
}
