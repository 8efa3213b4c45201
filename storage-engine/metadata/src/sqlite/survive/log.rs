//! The thread that appends to the log in one home and flushes it, in parallel with the commit of the database.
//!
//! The home's drive may hang instead of failing. So everything that touches it happens in threads that can be left
//! behind: who waits for one has a deadline, and what a thread does after it was left changes only its own home, which
//! is not used again before the thread has ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use granary_types::crash_point;

use super::files::{self, Identity, SPARE, Stamp};
use super::frame;
use super::spare::{PREPARED_BYTES, Spare, zero};
use crate::sqlite::schema::Position;

/// Batches are answered one after the other, so one command waits at most.
const COMMANDS_WAITING: usize = 2;
/// A segment is closed at this length, so that reading one needs little memory.
const SEGMENT_BYTES_MAX: u64 = 32 << 20;
/// A prepared segment is left when less than this of it is unused: the next batch might need more.
const SLACK_BYTES: u64 = PREPARED_BYTES / 8;
/// How often a thread that should end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

enum Command {
    Append(Arc<[u8]>),
    /// Takes the last append back: its commit failed.
    Retract,
    /// Begins a new segment behind the position.
    Rotate(Position),
}

/// Held by every thread that works in a home, so that it can be told whether one still does.
pub(super) type InUse = Arc<()>;

/// What the log's thread tells about its segment.
#[derive(Default)]
struct Status {
    /// Whether another segment is prepared.
    spare: Arc<AtomicBool>,
    /// How long the segment may become without growing; 0 if it was not prepared.
    prepared_bytes: AtomicU64,
}

/// The handle of a log's thread.
pub(super) struct Log {
    commands: Option<SyncSender<Command>>,
    results: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
    status: Arc<Status>,
    deadline: Duration,
    /// When the command that is waited for was sent.
    sent: Instant,
    hung: bool,
}

impl Log {
    /// Begins a segment behind `position` in `dir` and starts the thread. Each command, this one too, fails when it
    /// takes longer than `deadline`.
    pub(super) fn start(
        dir: &Path,
        position: &Position,
        deadline: Duration,
        in_use: InUse,
    ) -> io::Result<Self> {
        let (commands, todo) = sync_channel(COMMANDS_WAITING);
        // Room for all answers: a thread whose answer nobody awaits any more must come to its end.
        let (answers, results) = sync_channel(COMMANDS_WAITING + 1);
        let status = Arc::new(Status::default());
        let (dir, position, told) = (dir.to_owned(), *position, Arc::clone(&status));
        let run = move || {
            let _in_use = in_use;
            let mut appender = match Appender::begin(&dir, &position, told) {
                Ok(appender) => appender,
                Err(error) => return drop(answers.send(Err(error))),
            };
            let mut result = Ok(());
            while answers.send(result).is_ok() {
                let Ok(command) = todo.recv() else { break };
                result = appender.run(&command);
            }
            appender.end();
        };
        let thread = std::thread::Builder::new().name("metadata-log".to_owned()).spawn(run)?;
        let (commands, thread) = (Some(commands), Some(thread));
        let mut log = Self { commands, results, thread, status, deadline, sent: Instant::now(), hung: false };
        log.wait()?;
        Ok(log)
    }

    fn send(&mut self, command: Command) {
        self.sent = Instant::now();
        if let Some(commands) = &self.commands {
            // A thread that ended is noticed when its result is waited for.
            let _ = commands.send(command);
        }
    }

    /// Begins to append; [`Log::wait`] tells how it went.
    pub(super) fn append(&mut self, frame: Arc<[u8]>) {
        self.send(Command::Append(frame));
    }

    /// Waits for the last command until its deadline.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let left = self.deadline.saturating_sub(self.sent.elapsed());
        match self.results.recv_timeout(left) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the log's thread ended")),
            Err(RecvTimeoutError::Timeout) => {
                self.hung = true;
                Err(io::Error::new(io::ErrorKind::TimedOut, "the drive did not answer in time"))
            }
        }
    }

    /// Takes the last append back and waits.
    pub(super) fn retract(&mut self) -> io::Result<()> {
        self.send(Command::Retract);
        self.wait()
    }

    /// Begins a new segment and waits.
    pub(super) fn rotate(&mut self, position: Position) -> io::Result<()> {
        self.send(Command::Rotate(position));
        self.wait()
    }

    /// Whether the drive did not answer in time.
    pub(super) fn is_hung(&self) -> bool {
        self.hung
    }

    /// Whether a segment with `used_bytes` should be left for a new one.
    pub(super) fn is_full(&self, used_bytes: u64) -> bool {
        let prepared_bytes = self.status.prepared_bytes.load(Ordering::Acquire);
        let outgrown = used_bytes > 0 && used_bytes.saturating_add(SLACK_BYTES) > prepared_bytes;
        used_bytes >= SEGMENT_BYTES_MAX || (outgrown && self.status.spare.load(Ordering::Acquire))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take().filter(|_| !self.hung) {
            end_within(thread, self.deadline);
        }
    }
}

/// Waits for a thread that should end, but not for ever; one that hangs is left behind.
pub(super) fn end_within<T>(thread: JoinHandle<T>, deadline: Duration) {
    let begun = Instant::now();
    while !thread.is_finished() && begun.elapsed() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
    if thread.is_finished() {
        let _ = thread.join();
    }
}

struct Appender {
    dir: PathBuf,
    segment: Segment,
    spare: Spare,
    status: Arc<Status>,
}

struct Segment {
    path: PathBuf,
    file: File,
    identity: Identity,
    /// Up to where it is written; what is prepared behind that is zero.
    length_bytes: u64,
    /// The length before the last append.
    undo_bytes: u64,
}

impl Appender {
    fn begin(dir: &Path, position: &Position, status: Arc<Status>) -> io::Result<Self> {
        #[cfg(test)]
        fault::pass(dir);
        let segment = Segment::begin(dir, position, None)?;
        let spare = Spare::begin(dir, &status.spare);
        Ok(Self { dir: dir.to_owned(), segment, spare, status })
    }

    fn run(&mut self, command: &Command) -> io::Result<()> {
        #[cfg(test)]
        fault::pass(&self.dir);
        match command {
            Command::Append(frame) => self.segment.append(frame),
            Command::Retract => self.segment.retract(),
            Command::Rotate(position) => self.rotate(position),
        }
    }

    fn rotate(&mut self, position: &Position) -> io::Result<()> {
        let prepared = self.spare.take();
        let prepared_bytes = if prepared.is_some() { PREPARED_BYTES } else { 0 };
        let next = Segment::begin(&self.dir, position, prepared)?;
        self.segment.trim();
        self.segment = next;
        self.status.prepared_bytes.store(prepared_bytes, Ordering::Release);
        if self.spare.is_over() {
            self.spare = Spare::begin(&self.dir, &self.status.spare);
        }
        Ok(())
    }

    /// At a clean end nothing is left but what was written.
    fn end(&mut self) {
        self.spare.discard(&self.dir);
        self.segment.trim();
    }
}

impl Segment {
    /// Begins a segment in the prepared file, or in a new one that grows.
    fn begin(dir: &Path, position: &Position, prepared: Option<File>) -> io::Result<Self> {
        let stamp = Stamp { generation: position.generation, seq: position.seq.saturating_add(1) };
        let path = dir.join(files::segment_name(stamp));
        let header = frame::segment_header(position);
        let file = match prepared {
            Some(file) => {
                file.write_all_at(&header, 0)?;
                files::sync_data(&file)?;
                crash_point("metadata.spare_before_rename");
                std::fs::rename(dir.join(SPARE), &path)?;
                crash_point("metadata.spare_after_rename");
                file
            }
            None => {
                let file = File::create(&path)?;
                file.write_all_at(&header, 0)?;
                files::sync_all(&file)?;
                file
            }
        };
        files::sync_dir(dir)?;
        let identity = Identity::of(&path)?;
        let length_bytes = u64::try_from(header.len()).map_err(io::Error::other)?;
        Ok(Self { path, file, identity, length_bytes, undo_bytes: length_bytes })
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.check()?;
        self.undo_bytes = self.length_bytes;
        self.file.write_all_at(frame, self.length_bytes)?;
        crash_point("metadata.after_log_append_before_flush");
        files::sync_data(&self.file)?;
        crash_point("metadata.after_log_flush");
        let appended = u64::try_from(frame.len()).map_err(io::Error::other)?;
        self.length_bytes = self.length_bytes.saturating_add(appended);
        self.check()
    }

    /// Writing to a file that was deleted or cut short succeeds; it would not survive anything. It is looked at before
    /// the write too, because that gives a shortened file its length back.
    fn check(&mut self) -> io::Result<()> {
        if self.identity.still(&self.path) && self.identity.length_bytes >= self.length_bytes {
            Ok(())
        } else {
            Err(io::Error::other("the log was replaced, deleted or truncated"))
        }
    }

    /// The last frame becomes zeros again: nothing of it may be read behind a shorter one.
    fn retract(&mut self) -> io::Result<()> {
        zero(&self.file, self.undo_bytes, self.length_bytes)?;
        files::sync_data(&self.file)?;
        self.length_bytes = self.undo_bytes;
        Ok(())
    }

    /// Gives back what was prepared and not used. Not needed for anything but room, so it may fail.
    fn trim(&self) {
        let _ = self.file.set_len(self.length_bytes);
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

/// A drive that hangs, for tests: while there is a file `hang` in the home, its log does nothing, and while there is
/// one `hang-snapshot`, no snapshot gets on.
#[cfg(test)]
pub(super) mod fault {
    use std::path::Path;

    pub(in super::super) fn pass(dir: &Path) {
        while dir.join("hang").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(in super::super) fn pass_snapshot(dir: &Path) {
        while dir.join("hang-snapshot").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
