//! Many at once.

use std::sync::Arc;

use futures::future::join_all;
use granary_cluster::access::{DriveAccess as _, LaneKind, ShardAccess};
use granary_cluster::conformance::{FIRST_OFFSET, PROFILE, append, fresh_name, sample};
use granary_drive::{Cache, Flush};

use crate::support::{Node, only_drive};

/// Sixteen writers, each with a shard of its own and both lanes: every append needs the one before it on its lane.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_appends_holds_under_load() {
    let node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    let writer = |number: u64| {
        let drive = Arc::clone(&drive);
        async move {
            let lane = if number.is_multiple_of(2) { LaneKind::Packed } else { LaneKind::Bulk };
            let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
            let mut waits = Vec::new();
            for turn in 0..200 {
                let offset = FIRST_OFFSET + turn * 9000;
                let mut piece = append(lane, offset, sample(number * 1000 + turn, 9000));
                piece.length_before_bytes = offset;
                piece.flush = if turn % 4 == 0 { Flush::Now } else { Flush::Later };
                waits.push(tokio::spawn(shard.append(piece)));
                if turn % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            for wait in join_all(waits).await {
                wait.unwrap().unwrap();
            }
            for turn in 0..200 {
                let read = shard.read(FIRST_OFFSET + turn * 9000, 9000).await.unwrap();
                assert_eq!(read, sample(number * 1000 + turn, 9000));
            }
        }
    };
    join_all((0..16).map(writer).map(tokio::spawn)).await.into_iter().for_each(Result::unwrap);
    assert!(peer.state().is_alive());
}

/// Readers of both sizes while a checkpoint is written: nobody starves, nothing is mixed up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_share_a_node() {
    const MIB: usize = 1024 * 1024;
    let node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    let read_shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    let bytes = sample(1, 4 * MIB);
    read_shard.append(append(LaneKind::Bulk, FIRST_OFFSET, bytes.clone())).await.unwrap();
    let written_shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    let writing = async {
        let piece = |number: u64| {
            let mut piece = append(LaneKind::Bulk, FIRST_OFFSET + number * MIB as u64, sample(number, MIB));
            piece.cache = Cache::Bypass;
            written_shard.append(piece)
        };
        join_all((0..64).map(piece)).await.into_iter().for_each(Result::unwrap);
    };
    let reading = join_all((0..8_usize).map(|number| {
        let (shard, bytes): (Arc<dyn ShardAccess>, _) = (Arc::clone(&read_shard), bytes.clone());
        async move {
            for turn in 0..40_usize {
                let length = if number < 4 { 16 * 1024 } else { MIB };
                let at = (turn * 65_537 + number) % (bytes.len() - length);
                let read = shard.read(FIRST_OFFSET + at as u64, length).await.unwrap();
                assert_eq!(read, bytes.slice(at..at + length));
            }
        }
    }));
    tokio::join!(writing, reading);
    for number in [0, 31, 63] {
        let read = written_shard.read(FIRST_OFFSET + number * MIB as u64, MIB).await.unwrap();
        assert_eq!(read, sample(number, MIB));
    }
}

/// The largest append there may be goes through, one byte more is refused, and the lane goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_are_bounded() {
    use granary_cluster::rpc::APPEND_LENGTH_BYTES_MAX;
    let node = Node::start().await;
    let peer = node.peer();
    let drive = only_drive(&peer).await;
    let shard = drive.create_shard(fresh_name(), PROFILE).await.unwrap();
    let largest = sample(1, APPEND_LENGTH_BYTES_MAX);
    let too_large = sample(2, APPEND_LENGTH_BYTES_MAX + 1);
    let (before, refused) = (
        shard.append(append(LaneKind::Bulk, FIRST_OFFSET, largest.clone())),
        shard.append(append(LaneKind::Bulk, FIRST_OFFSET, too_large)),
    );
    before.await.unwrap();
    assert!(refused.await.is_err());
    assert_eq!(shard.read(FIRST_OFFSET, largest.len()).await.unwrap(), largest);
}
