//! One drive: a directory that holds shard files and an identity.
//!
//! * [`Identity`] says which drive of which store a directory is, so that a swapped, foreign, missing or
//!   emptied directory is told apart and never silently used.
//! * A shard file is a [`FileHeader`] page and then blocks, each a [`BlockHeader`] and a body; see [`block`].
//! * [`Drive`] appends with group flush: each lane has one thread that takes whatever has queued, writes it,
//!   flushes every touched file once, and then answers everybody.
//! * Runs of large objects are written past the page cache, from [`aligned_buffer`]s.
//! * [`ShardFile::read`] reads without a thread hop when the page cache has a few bytes, and past the page cache when it
//!   has not and they are many.

mod aligned;
mod backup;
mod bad_pages;
pub mod block;
mod class;
mod drive;
mod error;
mod health;
mod identity;
mod lane;
mod long;
mod records;
mod shard;
mod unread;

pub use aligned::{aligned_buffer, aligned_copy};
pub use backup::{BACKUPS_FOLDER, BackupCheck, BackupName, BackupShard, backup_files};
pub use block::{
    BLOCK_ALIGNMENT_BYTES, BLOCK_HEADER_LENGTH_BYTES, BlockHeader, BlockKind, FileHeader, PAGE_LENGTH_BYTES,
    block_span_bytes,
};
pub use class::detect_class;
pub use drive::{Drive, Replacement, Resting, ShardName};
pub use error::DriveError;
pub use identity::{Found, IDENTITY_FILE, Identity, Member, inspect, lock, write_identity};
pub use lane::{Append, Cache, Flush, Lane};
pub use records::{BlobRecords, PackedEntry, PackedRecords, UNIT_LENGTH_BYTES};
pub use shard::ShardFile;
