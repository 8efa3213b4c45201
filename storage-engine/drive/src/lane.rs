//! Appending with group flush.
//!
//! A lane is one thread of one drive. It takes everything that has queued, writes it in order, flushes each
//! file that somebody asked to have flushed once, and only then answers. While it flushes, the next group
//! queues: grouping needs no timer and grows with the load. Packed stripes and large runs have lanes of
//! their own, so that a small object never waits behind the flush of a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
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
/// Appends that follow each other in a file are written as one of at most this length: a disk takes long writes at many
/// times the speed of short ones.
const WRITE_LENGTH_BYTES_MAX: u64 = 8 * 1024 * 1024;

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

/// Counts what a lane writes, by what the drive is made of.
struct Written<'a> {
    health: &'a Health,
    /// Where the last write ended.
    last: Option<(Weak<ShardFile>, u64)>,
}

impl Written<'_> {
    fn count(&mut self, shard: &Arc<ShardFile>, offset: u64, length_bytes: u64) {
        let class = self.health.class().as_str();
        metrics::counter!("granary_drive_writes_total", "class" => class).increment(1);
        metrics::counter!("granary_drive_written_bytes_total", "class" => class).increment(length_bytes);
        let goes_on = |(file, end): &(Weak<ShardFile>, u64)| {
            std::ptr::eq(file.as_ptr(), Arc::as_ptr(shard)) && *end == offset
        };
        if self.last.as_ref().is_some_and(goes_on) {
            metrics::counter!("granary_drive_writes_sequential_total", "class" => class).increment(1);
        }
        self.last = Some((Arc::downgrade(shard), offset + length_bytes));
    }
}

fn run(jobs: &Receiver<Job>, directory: &Path, health: &Health, stuck: &AtomicBool) {
    let mut group = Vec::new();
    let mut written = Written { health, last: None };
    while let Ok(job) = jobs.recv() {
        group.push(job);
        while group.len() < GROUP_LENGTH_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            group.push(job);
        }
        work(&mut group, &mut written);
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
fn work(group: &mut Vec<Job>, written: &mut Written<'_>) {
    let mut waiting: Vec<Job> = Vec::with_capacity(group.len());
    let mut jobs = group.drain(..).peekable();
    while let Some(first) = jobs.next() {
        let mut run = vec![first];
        let mut end = run.first().map_or(0, |job| end_of(&job.append));
        while let Some(next) = jobs.next_if(|next| run.first().is_some_and(|first| goes_on(first, end, next)))
        {
            end = end_of(&next.append);
            run.push(next);
        }
        match write(&run, written) {
            Err(error) => fail(run, "writing", error),
            Ok(()) => {
                for job in run {
                    match job.append.flush {
                        Flush::Later => answer(job, Ok(())),
                        Flush::Now => waiting.push(job),
                    }
                }
            }
        }
    }
    drop(jobs);
    if !waiting.is_empty() {
        crash_point("drive.after_write_before_flush");
    }
    while let Some(next) = waiting.pop() {
        let shard = Arc::clone(&next.append.shard);
        metrics::counter!("granary_flushes_total", "of" => "shards").increment(1);
        let mut same: Vec<Job> = vec![next];
        let mut at = 0;
        while at < waiting.len() {
            if waiting.get(at).is_some_and(|job| Arc::ptr_eq(&job.append.shard, &shard)) {
                same.push(waiting.swap_remove(at));
            } else {
                at += 1;
            }
        }
        match shard.flush() {
            Err(error) => fail(same, "flushing", error),
            Ok(()) => {
                for job in same {
                    let intact = shard.check_intact(end_of(&job.append));
                    answer(job, intact);
                }
            }
        }
    }
}

/// Answers jobs that failed together: the first is told the error, the others one like it.
fn fail(jobs: Vec<Job>, context: &'static str, error: DriveError) {
    let mut jobs = jobs.into_iter();
    let first = jobs.next();
    for job in jobs {
        let alike = match &error {
            DriveError::NoSpace { path } => DriveError::NoSpace { path: path.clone() },
            DriveError::Tampered { path, what } => DriveError::Tampered { path: path.clone(), what },
            other => {
                DriveError::io(context, job.append.shard.path(), std::io::Error::other(other.to_string()))
            }
        };
        answer(job, Err(alike));
    }
    if let Some(first) = first {
        answer(first, Err(error));
    }
}

fn end_of(append: &Append) -> u64 {
    append.offset + append.bytes.len() as u64
}

/// Whether `next` is to be written with the appends from `first` on, which end at `end`.
fn goes_on(first: &Job, end: u64, next: &Job) -> bool {
    let (first, next) = (&first.append, &next.append);
    let fits = next.bytes.len() as u64 + end - first.offset <= WRITE_LENGTH_BYTES_MAX;
    let goes_past_cache = (first.cache, next.cache) == (Cache::Bypass, Cache::Bypass);
    let has_bytes = !first.bytes.is_empty() && !next.bytes.is_empty();
    let follows = next.offset == end && next.length_before_bytes <= end;
    fits && goes_past_cache && has_bytes && follows && Arc::ptr_eq(&first.shard, &next.shard)
}

/// Writes appends that follow each other.
fn write(run: &[Job], written: &mut Written<'_>) -> Result<(), DriveError> {
    let Some(Job { append: first, .. }) = run.first() else { return Ok(()) };
    first.shard.check_intact(first.length_before_bytes)?;
    if first.bytes.is_empty() {
        return Ok(());
    }
    let pieces: Vec<Bytes> = run.iter().map(|job| job.append.bytes.clone()).collect();
    match (first.cache, pieces.as_slice()) {
        (Cache::Bypass, [_, _, ..]) => first.shard.write_together(first.offset, &pieces)?,
        _ => first.shard.write(first.offset, &first.bytes, first.cache)?,
    }
    written.count(&first.shard, first.offset, pieces.iter().map(|piece| piece.len() as u64).sum());
    Ok(())
}

fn answer(job: Job, result: Result<(), DriveError>) {
    // A waiter that gave up (its deadline passed) has dropped the other end; nobody is left to tell.
    let _gone = job.reply.send(result);
}
