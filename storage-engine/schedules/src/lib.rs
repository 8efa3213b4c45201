//! Code of the storage engine whose threads share locks, under many schedules of them (shuttle): every lock, wait and wake-up is a
//! place where another thread goes on. A wake-up that is lost shows as a run that never ends. The sources are the
//! engine's own, included with other locks; so this is a workspace of its own, and what shuttle needs, the product does not.
//!
//! `cargo xtask test` runs it; by hand, `cargo test` in this directory.
#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod sync;

/// How the writer of the metadata gets its batches.
#[path = "../../metadata/src/sqlite/queue.rs"]
#[allow(dead_code, reason = "a test uses its part")]
mod queue;

mod queue_tests;
