//! Measures the embedded store: `cargo run --release -p granary-metadata --example bench -- [objects] [directory]`.
//!
//! Prints commits, point reads, listed pages and deletes for each second. The store has a database and two copies
//! (logs flushed in other directories), all below one directory.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints and may stop"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use granary_metadata::conformance::sample::{
    advance, bucket, bucket_id, delete, key, open_written, put_packed, w,
};
use granary_metadata::sqlite::{EmbeddedOptions, Existing, Home, SqliteStore};
use granary_metadata::{Commit, ListQuery, MetadataStore, Write};
use granary_types::DriveId;

const CLIENTS: u64 = 64;
const FANOUT: u64 = 1000;
const FOR: Duration = Duration::from_secs(3);

fn name(n: u64) -> String {
    format!("train/{:04}/shard-{:02}/sample-{n:09}.jpg", n % FANOUT, n % 7)
}

fn open(root: &Path) -> Arc<SqliteStore> {
    let home = |n: u8| Home { drive: DriveId::from_bytes([n; 16]), dir: root.join(format!("d{n}/meta")) };
    let options = EmbeddedOptions::new((0..3).map(home).collect(), 2, Existing::MayBeNew);
    Arc::new(SqliteStore::open(options).expect("the store opens"))
}

/// Runs `work` from `clients` tasks for a while; each call returns how many things it did.
async fn rate<F, R>(what: &str, clients: u64, work: F)
where
    F: Fn(u64) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = u64> + Send,
{
    let (begun, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (work, count, next) = (work.clone(), Arc::clone(&count), Arc::clone(&next));
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                while begun.elapsed() < FOR {
                    let call = Instant::now();
                    let done = work(next.fetch_add(1, Ordering::Relaxed)).await;
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
    let seconds = begun.elapsed().as_secs_f64();
    let count = u32::try_from(count.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
    println!("{what:<46} {:>10.0}/s   slowest {slowest:?}", f64::from(count) / seconds);
}

async fn fill(store: &Arc<SqliteStore>, objects: u64) {
    let begun = Instant::now();
    for from in (0..objects).step_by(1000) {
        let writes =
            (from..(from + 1000).min(objects)).map(|n| w(put_packed(1, &name(n), n, 1, 16_384))).collect();
        store.commit(Commit { advances: vec![advance(1, from, 1)], writes }).await.expect("a commit");
    }
    println!("filled {objects} objects in {:?}", begun.elapsed());
}

fn query(after: Option<String>, delimiter: Option<&str>) -> ListQuery {
    ListQuery {
        bucket: bucket_id(1),
        prefix: "train/".to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after,
        limit: 1000,
    }
}

async fn writes(store: &Arc<SqliteStore>, objects: u64) {
    for (clients, batch) in [(1, 1), (CLIENTS, 1), (4, 32)] {
        let store = Arc::clone(store);
        let what = format!("objects put, {clients} clients × commits of {batch}");
        rate(&what, clients, move |n| {
            let store = Arc::clone(&store);
            async move {
                let first = objects + n * batch;
                let puts = (first..first + batch).map(|n| w(put_packed(1, &name(n), n, 1, 16_384))).collect();
                store
                    .commit(Commit { advances: vec![advance(1, n, 1)], writes: puts })
                    .await
                    .expect("a commit");
                batch
            }
        })
        .await;
    }
}

async fn reads(store: &Arc<SqliteStore>, objects: u64) {
    for clients in [1, CLIENTS] {
        let store = Arc::clone(store);
        rate(&format!("point reads, {clients} clients"), clients, move |n| {
            let store = Arc::clone(&store);
            async move {
                let key = key(&name(n.wrapping_mul(7919) % objects));
                assert!(store.object(bucket_id(1), &key, None).await.expect("a read").is_some());
                1
            }
        })
        .await;
    }
    for (what, delimiter, markers) in [
        ("pages of 1000 keys at the start, 4 clients", None, 1),
        ("pages of 1000 keys everywhere, 4 clients", None, FANOUT / 2),
        ("pages of 1000 common prefixes, 4 clients", Some("/"), 1),
    ] {
        let store = Arc::clone(store);
        rate(what, 4, move |n| {
            let store = Arc::clone(&store);
            async move {
                let after = (markers > 1).then(|| format!("train/{:04}/", n.wrapping_mul(37) % markers));
                let page = store.list_objects(query(after, delimiter)).await.expect("a page");
                assert!(page.entries.len() == 1000, "{} entries", page.entries.len());
                1
            }
        })
        .await;
    }
}

async fn deletes(store: &Arc<SqliteStore>, objects: u64) {
    // As clients do: what a listing showed, in its order.
    let mut names: Vec<_> = (0..objects).map(name).collect();
    names.sort_unstable();
    let names = Arc::new(names);
    let store = Arc::clone(store);
    rate("objects deleted, 4 clients × commits of 1000", 4, move |n| {
        let (store, names) = (Arc::clone(&store), Arc::clone(&names));
        async move {
            let from = usize::try_from(n * 1000).expect("small");
            let Some(names) = names.get(from..from + 1000) else { return 0 };
            let deletes = names.iter().map(|name| Write::Delete(delete(1, name))).collect();
            store.commit(Commit { advances: Vec::new(), writes: deletes }).await.expect("a commit");
            1000
        }
    })
    .await;
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let objects = arguments.next().map_or(1_000_000, |text| text.parse().expect("a number of objects"));
    let given = arguments.next().map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let root = given.unwrap_or_else(|| temporary.path().to_owned());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(&root);
        store.create_bucket(bucket(1)).await.expect("a bucket");
        open_written(&*store, 1).await;
        fill(&store, objects).await;
        writes(&store, objects).await;
        reads(&store, objects).await;
        deletes(&store, objects).await;
        let begun = Instant::now();
        store.close().await.expect("the store closes");
        println!("closed in {:?}", begun.elapsed());
        let begun = Instant::now();
        drop(store);
        let store = open(&root);
        println!("opened again in {:?}", begun.elapsed());
        store.close().await.expect("the store closes");
    });
}
