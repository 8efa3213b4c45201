//! The thread that appends to the log in one home and flushes it, in parallel with the commit of the database.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use granary_types::crash_point;

use super::files::{self, Identity, Stamp};
use super::frame;
use crate::sqlite::schema::Position;

/// Batches are answered one after the other, so one command waits at most.
const COMMANDS_WAITING: usize = 2;

enum Command {
    Append(Arc<[u8]>),
    /// Takes the last append back: its commit failed.
    Retract,
    /// Begins a new segment behind the position.
    Rotate(Position),
}

/// The handle of a log's thread.
pub(super) struct Log {
    commands: Option<SyncSender<Command>>,
    results: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Begins a segment behind `position` in `dir` and starts the thread.
    pub(super) fn start(dir: &Path, position: &Position) -> io::Result<Self> {
        let mut appender = Appender::begin(dir, position)?;
        let (commands, todo) = sync_channel(COMMANDS_WAITING);
        let (answers, results) = sync_channel(COMMANDS_WAITING);
        let run = move || {
            while let Ok(command) = todo.recv() {
                let result = appender.run(&command);
                if answers.send(result).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("metadata-log".to_owned()).spawn(run)?;
        Ok(Self { commands: Some(commands), results, thread: Some(thread) })
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // A thread that ended is noticed when its result is waited for.
            let _ = commands.send(command);
        }
    }

    /// Begins to append; [`Log::wait`] tells how it went.
    pub(super) fn append(&self, frame: Arc<[u8]>) {
        self.send(Command::Append(frame));
    }

    /// Waits for the last command.
    pub(super) fn wait(&self) -> io::Result<()> {
        self.results.recv().unwrap_or_else(|_| Err(io::Error::other("the log's thread ended")))
    }

    /// Takes the last append back and waits.
    pub(super) fn retract(&self) -> io::Result<()> {
        self.send(Command::Retract);
        self.wait()
    }

    /// Begins a new segment and waits.
    pub(super) fn rotate(&self, position: Position) -> io::Result<()> {
        self.send(Command::Rotate(position));
        self.wait()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Appender {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    identity: Identity,
    length_bytes: u64,
    /// The length before the last append.
    undo_bytes: u64,
}

impl Appender {
    fn begin(dir: &Path, position: &Position) -> io::Result<Self> {
        let stamp = Stamp { generation: position.generation, seq: position.seq.saturating_add(1) };
        let path = dir.join(files::segment_name(stamp));
        let header = frame::segment_header(position);
        let mut file = File::create(&path)?;
        file.write_all(&header)?;
        file.sync_all()?;
        files::sync_dir(dir)?;
        let identity = Identity::of(&path)?;
        let length_bytes = identity.length_bytes;
        Ok(Self { dir: dir.to_owned(), path, file, identity, length_bytes, undo_bytes: length_bytes })
    }

    fn run(&mut self, command: &Command) -> io::Result<()> {
        match command {
            Command::Append(frame) => self.append(frame),
            Command::Retract => {
                self.file.set_len(self.undo_bytes)?;
                self.file.sync_data()?;
                self.length_bytes = self.undo_bytes;
                self.identity = Identity::of(&self.path)?;
                // The file's cursor still stands behind what was cut off.
                io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length_bytes)).map(drop)
            }
            Command::Rotate(position) => {
                *self = Self::begin(&self.dir, position)?;
                Ok(())
            }
        }
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.undo_bytes = self.length_bytes;
        self.file.write_all(frame)?;
        crash_point("metadata.after_log_append_before_flush");
        self.file.sync_data()?;
        crash_point("metadata.after_log_flush");
        let appended = u64::try_from(frame.len()).map_err(io::Error::other)?;
        self.length_bytes = self.length_bytes.saturating_add(appended);
        // Appending to a file that was deleted or cut short succeeds; it would not survive anything.
        if self.identity.still(&self.path) && self.identity.length_bytes >= self.length_bytes {
            Ok(())
        } else {
            Err(io::Error::other("the log was replaced, deleted or truncated"))
        }
    }
}
