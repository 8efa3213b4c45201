//! The embedded store.

mod apply;
mod codec;
mod failure;
mod op;
mod open;
mod options;
mod queue;
mod read;
mod reader;
mod schema;
mod serving;
mod shared;
mod store;
mod survive;
mod writer;

pub use options::{EmbeddedOptions, Existing, Home, SnapshotThresholds};
pub use store::SqliteStore;
