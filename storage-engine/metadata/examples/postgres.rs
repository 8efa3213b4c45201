//! Measures the store for clusters over a throwaway Postgres that flushes as in production:
//! `cargo run --release -p granary-metadata --example postgres -- [seconds] [nodes]`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench prints and may stop"
)]

#[path = "../../../tests/bench/src/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "a bench uses its part")]
mod cluster;
#[path = "../../../tests/bench/src/ports.rs"]
#[allow(dead_code, unreachable_pub, reason = "a bench uses its part")]
mod ports;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cluster::{Flushing, PostgresCluster};
use granary_metadata::conformance::sample::{advance, bucket, bucket_id, key, open_written, put_packed, w};
use granary_metadata::postgres::{PostgresOptions, PostgresStore};
use granary_metadata::{Commit, ListQuery, MetadataStore};

fn name(n: u64) -> String {
    format!("train/{:04}/sample-{n:09}.jpg", n % 1000)
}

/// Runs `work` from `clients` tasks for a while, spread over the nodes.
async fn rate<F, R>(what: &str, stores: &[Arc<PostgresStore>], (clients, span): (usize, Duration), work: F)
where
    F: Fn(Arc<PostgresStore>, usize, u64) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = u64> + Send,
{
    let (begun, count, next) = (Instant::now(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let node = client % stores.len();
            let (work, store) = (work.clone(), Arc::clone(&stores[node]));
            let (count, next) = (Arc::clone(&count), Arc::clone(&next));
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                while begun.elapsed() < span {
                    let call = Instant::now();
                    let done = work(Arc::clone(&store), node, next.fetch_add(1, Ordering::Relaxed)).await;
                    slowest = slowest.max(call.elapsed());
                    count.fetch_add(done, Ordering::Relaxed);
                }
                slowest
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await.expect("a task ends"));
    }
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = count.load(Ordering::Relaxed) * 1000 / elapsed_ms;
    println!("{what:<56} {per_second:>8}/s   slowest {slowest:?}");
}

fn put_one(
    base: u64,
) -> impl Fn(Arc<PostgresStore>, usize, u64) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    move |store, node, n| {
        Box::pin(async move {
            let v = u64::try_from(node).expect("small") + 1;
            let writes = vec![w(put_packed(1, &name(base + n), n + 1, v, 16_384))];
            store.commit(Commit { advances: vec![advance(v, n, 1)], writes }).await.expect("a commit");
            1
        })
    }
}

async fn measure(stores: &[Arc<PostgresStore>], span: Duration) {
    let first = &stores[0];
    first.create_bucket(bucket(1)).await.expect("a bucket");
    for v in (1..).take(stores.len()) {
        open_written(&**first, v).await;
    }
    for clients in [1, 64] {
        let base = u64::try_from(clients).expect("small") * 10_000_000;
        rate(&format!("new keys, {clients} clients x 1 write"), stores, (clients, span), put_one(base)).await;
    }
    rate("the same keys again, 64 clients x 1 write", stores, (64, span), put_one(640_000_000)).await;
    for clients in [1, 64] {
        rate(&format!("point reads, {clients} clients"), stores, (clients, span), |store, _, n| async move {
            let key = key(&name(640_000_000 + n * 7919 % 3000));
            assert!(store.object(bucket_id(1), &key, None).await.expect("a read").is_some());
            1
        })
        .await;
    }
    for (what, delimiter) in [("keys", None), ("common prefixes", Some("/"))] {
        rate(&format!("pages of 1000 {what}, 4 clients"), stores, (4, span), move |store, _, _| async move {
            let query = ListQuery {
                bucket: bucket_id(1),
                prefix: "train/".to_owned(),
                delimiter: delimiter.map(str::to_owned),
                after: None,
                limit: 1000,
            };
            assert_eq!(store.list_objects(query).await.expect("a page").entries.len(), 1000);
            1
        })
        .await;
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(3, |text| text.parse().expect("seconds"));
    let nodes: usize = arguments.next().map_or(1, |text| text.parse().expect("a number of nodes"));
    let cluster = PostgresCluster::start(Flushing::On).expect("a cluster");
    cluster.create_database("bench").expect("a database");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut stores = Vec::new();
        for _ in 0..nodes {
            let options = PostgresOptions::new(&cluster.url("bench")).expect("options");
            stores.push(Arc::new(PostgresStore::open(options).await.expect("the store opens")));
        }
        println!("{nodes} nodes");
        measure(&stores, Duration::from_secs(seconds)).await;
        for store in stores {
            store.close().await.expect("the store closes");
        }
    });
}
