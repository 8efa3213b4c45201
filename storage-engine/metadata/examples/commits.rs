//! Measures how many commits a second the embedded store makes durable, with two copies on the same disk:
//! `cargo run --release -p granary-metadata --example commits -- [seconds] [directory]`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program prints and may stop")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use granary_metadata::conformance::sample::{advance, bucket, open_written, put_packed, w};
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SqliteStore};
use granary_metadata::{Commit, MetadataStore};
use granary_types::DriveId;

async fn measure(store: &Arc<SqliteStore>, next: &Arc<AtomicU64>, clients: u64, seconds: Duration) {
    let (begun, first) = (Instant::now(), next.load(Ordering::Relaxed));
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(next));
            tokio::spawn(async move {
                let mut took = Vec::new();
                while begun.elapsed() < seconds {
                    let (n, call) = (next.fetch_add(1, Ordering::Relaxed), Instant::now());
                    let write = w(put_packed(1, &format!("key-{n:09}"), n, 1, 16_384));
                    let commit = Commit { advances: vec![advance(1, n, 1)], writes: vec![write] };
                    store.commit(commit).await.unwrap();
                    took.push(call.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    took.sort_unstable();
    let count = u32::try_from(next.load(Ordering::Relaxed) - first).unwrap();
    let at = |hundredths: usize| took.get(took.len() * hundredths / 100).copied().unwrap_or_default();
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!(
        "{clients:>3} clients {rate:>8.0} commits/s  p50 {:?}  p99 {:?}  max {:?}",
        at(50),
        at(99),
        took.last()
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = Duration::from_secs(arguments.next().map_or(5, |text| text.parse().unwrap()));
    let given = arguments.next().map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let root = given.unwrap_or_else(|| temporary.path().to_owned());
    let home = |n: u8| Home { drive: DriveId::from_bytes([n; 16]), dir: root.join(format!("d{n}/meta")) };
    let options = EmbeddedOptions::new((0..3).map(home).collect(), 2, Existing::MayBeNew);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Arc::new(SqliteStore::open(options).unwrap());
        store.create_bucket(bucket(1)).await.unwrap();
        open_written(&*store, 1).await;
        let next = Arc::new(AtomicU64::new(0));
        for clients in [1, 64] {
            measure(&store, &next, clients, seconds).await;
        }
        store.close().await.unwrap();
    });
}
