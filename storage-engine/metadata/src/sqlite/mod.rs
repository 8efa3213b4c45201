//! The embedded store: SQLite on threads of its own, and copies in other homes.
//!
//! Every change is an operation of a deterministic state machine (`op`, `apply`): nothing in it asks the clock or
//! draws a random number. One *writer* thread takes all operations that wait, applies them in one transaction, and
//! appends them to a log in `copies` other homes; SQLite's commit and the logs' flushes run in parallel, and only then
//! are the callers answered. What arrives meanwhile forms the next batch: group commit without a timer. *Reader*
//! threads answer many point reads, or one page of a listing, from one read transaction. Current versions that were read
//! lately are told from memory (`rows`).
//!
//! If the database vanishes, is truncated, rots (SQLite says so, or a row does not match its hash) or its drive fails,
//! the writer rebuilds it from the newest complete copy in another home and goes on; reads wait for that, writes are
//! retried. See `survive` for copies and recovery, and `schema` for why there is no memory-mapped file anywhere.
//!
//! What is not protected: without copies (one home) a damaged database stays damaged. A rotten row that no request
//! reads is found by the next snapshot, [`SqliteStore::verify`], or a restart's structural check, not before. Listings do
//! not check row hashes.

pub(crate) mod apply;
pub(crate) mod codec;
mod export;
pub(crate) mod failure;
mod frozen;
mod import;
mod moved;
pub(crate) mod op;
mod open;
mod options;
mod queue;
pub(crate) mod read;
mod reader;
mod rows;
mod schema;
mod serving;
mod shared;
mod store;
mod survive;
mod sync;
mod writer;

#[cfg(any(test, fuzzing))]
pub use survive::fuzzing;

pub use frozen::SqliteFrozen;
pub use import::SqliteImport;
pub use moved::{mark_moved, moved};
pub use options::{EmbeddedOptions, Existing, Home, SnapshotThresholds, WhenMoved};
pub use store::SqliteStore;
