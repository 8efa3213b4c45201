//! Measures drives of another node over the loopback: `cargo run --release -p granary-cluster --example remote [DIR] [DRIVES]`.
//!
//! Prints the speed of bulk appends in 1 MiB pieces (flushed at the end, as an object's are), of small appends that are
//! flushed each, and of reads of 16 KiB and 1 MiB; and, beside each, the same without the network.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example that prints what it measures"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use granary_cluster::access::{DriveAccess, LaneKind, LocalDrive, ShardAccess, ShardAppend};
use granary_cluster::rpc::{ClusterSecret, LocalDrives, Peer, PeerOptions, RpcServerOptions, serve};
use granary_drive::{Cache, Drive, Flush, Identity, Member, ShardName, aligned_buffer, write_identity};
use granary_types::{ClusterId, DriveId, NodeId, VolumeId};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: usize = 1024 * 1024;
const PIECES: u64 = 512;
const FIRST_OFFSET: u64 = 4096;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let count: u16 = arguments.next().map_or(4, |text| text.parse().unwrap());
    let directory = tempfile::tempdir_in(parent).unwrap();
    let cluster = ClusterId::random().unwrap();
    let locals: Vec<LocalDrive> = (0..count)
        .map(|slot| {
            let path = directory.path().join(slot.to_string());
            std::fs::create_dir(&path).unwrap();
            let member = Member { drive: DriveId::random().unwrap(), slot };
            let identity = Identity::new(cluster, &member, std::slice::from_ref(&member), "4+2");
            write_identity(&path, &identity).unwrap();
            LocalDrive(Drive::open(&path, identity, Duration::from_secs(30)).unwrap())
        })
        .collect();
    let secret = ClusterSecret::new(VolumeId::random().unwrap().to_string().as_bytes()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let node = NodeId::random().unwrap();
    let served = locals.clone();
    let drives: Arc<dyn LocalDrives> = Arc::new(move || served.clone());
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, RpcServerOptions::new(secret.clone(), cluster, node), drives, stopped));
    let peer = Peer::new(PeerOptions::new(address, secret, cluster, NodeId::random().unwrap())).unwrap();
    while peer.drives().len() < usize::from(count) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let local: Vec<Arc<dyn DriveAccess>> = locals.into_iter().map(|drive| Arc::new(drive) as _).collect();
    let remote: Vec<Arc<dyn DriveAccess>> = peer.drives().into_iter().map(|drive| drive as _).collect();
    for (name, drives) in [("local", local), ("remote", remote)] {
        measure(name, &drives[..1]).await;
        measure(name, &drives).await;
    }
}

async fn measure(name: &str, drives: &[Arc<dyn DriveAccess>]) {
    let mut shards = Vec::new();
    for drive in drives {
        let name = ShardName { volume: VolumeId::random().unwrap(), column: 0 };
        shards.push((drive.create_shard(name, (4, 2)).await.unwrap(), name));
    }
    let mut piece = aligned_buffer(MIB);
    piece.resize(MIB, 7);
    let piece = piece.freeze();
    let begun = Instant::now();
    join_all(shards.iter().map(|(shard, _)| bulk(Arc::clone(shard), piece.clone()))).await;
    let bytes = PIECES * MIB as u64 * drives.len() as u64;
    println!("{name}, {} drives: bulk appends of 1 MiB  {:>7.0} MB/s", drives.len(), rate(bytes, begun));
    let begun = Instant::now();
    join_all(shards.iter().map(|(shard, _)| small(Arc::clone(shard), piece.slice(..16_384)))).await;
    let each = begun.elapsed() / 2000;
    println!("{name}, {} drives: flushed appends of 16 KiB, 16 at once  {each:?} each", drives.len());
    for (length, readers) in [(16_384, 1), (16_384, 8), (MIB, 1), (MIB, 4)] {
        let begun = Instant::now();
        let reading = (0..readers).map(|reader| {
            let (shard, _) = shards.get(reader % shards.len()).unwrap();
            tokio::spawn(read(Arc::clone(shard), length, 2000 * 16_384 / length * 4))
        });
        let mut times: Vec<Duration> = join_all(reading).await.into_iter().flat_map(Result::unwrap).collect();
        times.sort();
        let (half, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let speed = rate((times.len() * length) as u64, begun);
        let drives = drives.len();
        println!(
            "{name}, {drives} drives: reads of {:>4} KiB, {readers} at once  p50 {half:?}  p99 {late:?}  {speed:.0} MB/s",
            length / 1024
        );
    }
}

async fn bulk(shard: Arc<dyn ShardAccess>, piece: Bytes) {
    // No more than 16 MiB wait, as in an upload that is read from a socket.
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..PIECES {
        let flush = if number + 1 == PIECES { Flush::Now } else { Flush::Later };
        waiting.push_back(shard.append(ShardAppend {
            lane: LaneKind::Bulk,
            offset: FIRST_OFFSET + number * MIB as u64,
            length_before_bytes: FIRST_OFFSET,
            bytes: piece.clone(),
            cache: Cache::Bypass,
            flush,
        }));
        if waiting.len() >= 16 {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    join_all(waiting).await.into_iter().for_each(Result::unwrap);
}

async fn small(shard: Arc<dyn ShardAccess>, piece: Bytes) {
    let begin = FIRST_OFFSET + PIECES * MIB as u64;
    join_all((0..16).map(|writer| {
        let (shard, piece) = (Arc::clone(&shard), piece.clone());
        async move {
            for number in 0..125_u64 {
                let append = ShardAppend {
                    lane: LaneKind::Packed,
                    offset: begin + (writer * 125 + number) * 16_384,
                    length_before_bytes: FIRST_OFFSET,
                    bytes: piece.clone(),
                    cache: Cache::Keep,
                    flush: Flush::Now,
                };
                shard.append(append).await.unwrap();
            }
        }
    }))
    .await;
}

async fn read(shard: Arc<dyn ShardAccess>, length: usize, count: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let at = FIRST_OFFSET + (number * 7919 % 400) as u64 * MIB as u64;
        let begun = Instant::now();
        assert_eq!(shard.read(at, length).await.unwrap().len(), length);
        times.push(begun.elapsed());
    }
    times
}

fn rate(bytes: u64, begun: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    bytes / 1e6 / begun.elapsed().as_secs_f64()
}
