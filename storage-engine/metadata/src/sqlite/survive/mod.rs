//! What makes the embedded metadata survive as many lost drives as the data does.
//!
//! One home has the database. In `copies` other homes lie a *snapshot* and a *log*: each committed batch is appended
//! to every log and flushed there while SQLite flushes its own, before anyone gets an answer. Snapshot and log are
//! one complete copy. [`recover`] takes the newest complete state of all homes, also by putting frames of different
//! logs together, and refuses to serve an older one than anything sound tells of.

mod files;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod known;
mod log;
mod recover;
mod replica;
mod replicas;
mod scan;
mod snapshot;
mod spare;
mod verify;
mod watch;

pub(super) use files::{
    DATABASE, IMPORT, Identity, Listing, MOVED, count_flush, lock, remove, replace_all, sync_dir, wal,
    write_durably,
};
pub(super) use frame::frame;
pub(super) use recover::{Recovered, at_start, while_running};
pub(super) use replica::Trouble;
pub(super) use replicas::{Forming, Replicas};
pub(super) use verify::verify;
