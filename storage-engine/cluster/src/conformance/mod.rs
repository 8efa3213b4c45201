//! The suite that every kind of drive passes.
//!
//! Cases are plain async functions over a [`Harness`]; [`drive_conformance_tests!`](crate::drive_conformance_tests) makes
//! one test of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a suite of tests: panicking is how it tells a failure"
)]

pub mod appends;
pub mod backups;
pub mod replacements;
pub mod shards;

use std::sync::Arc;

use bytes::Bytes;
use granary_drive::{Cache, Flush, ShardName, aligned_buffer};
use granary_types::VolumeId;

use crate::access::{DriveAccess, LaneKind, ShardAccess, ShardAppend};

/// The code of the volumes in the suite.
pub const PROFILE: (u8, u8) = (4, 2);
/// Where the first append of a shard goes: behind its header.
pub const FIRST_OFFSET: u64 = 4096;

/// A drive under test, empty at first.
pub trait Harness: Send + Sync {
    /// The drive.
    fn drive(&self) -> Arc<dyn DriveAccess>;
}

/// A shard that is nowhere yet.
#[must_use]
pub fn fresh_name() -> ShardName {
    ShardName { volume: VolumeId::random().unwrap(), column: 3 }
}

/// Bytes that tell where they belong.
#[must_use]
pub fn sample(seed: u64, length_bytes: usize) -> Bytes {
    let mut bytes = aligned_buffer(length_bytes);
    bytes.resize(length_bytes, 0);
    let key = blake3::hash(&seed.to_le_bytes());
    blake3::Hasher::new_keyed(key.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes.freeze()
}

/// An append that is flushed at once.
#[must_use]
pub fn append(lane: LaneKind, offset: u64, bytes: Bytes) -> ShardAppend {
    let length_before_bytes = FIRST_OFFSET.min(offset);
    ShardAppend { lane, offset, length_before_bytes, bytes, cache: Cache::Keep, flush: Flush::Now }
}

/// A new shard.
pub async fn create(harness: &dyn Harness, name: ShardName) -> Arc<dyn ShardAccess> {
    harness.drive().create_shard(name, PROFILE).await.unwrap()
}

/// Makes one test of each case of the suite. `$fresh` is an async expression that gives a [`Harness`] over an empty
/// drive.
#[macro_export]
macro_rules! drive_conformance_tests {
    ($fresh:expr) => {
        $crate::drive_conformance_tests!(@cases $fresh;
            shards: created_shards_are_read_back, shards_are_created_once, missing_shards_are_lost,
                shards_of_another_profile_are_lost, removed_shards_are_lost, removing_twice_is_as_good,
                reads_end_with_the_shard, long_reads_come_whole, many_readers, what_the_drive_says_of_itself;
            appends: both_lanes_and_caches, order_is_kept, a_gap_is_refused_and_poisons_nothing,
                a_removed_shard_takes_nothing, flushes_without_bytes, many_shards_at_once, large_pieces;
            replacements: installed_in_the_place_of_the_shard, installed_where_nothing_was,
                dropped_ones_leave_the_shard, begun_again;
            backups: listed_when_whole, older_ones_are_removed;
        );
    };
    (@cases $fresh:expr; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let harness = $fresh.await;
                $crate::conformance::$module::$case(&harness).await;
            })+
        })+
    };
}
