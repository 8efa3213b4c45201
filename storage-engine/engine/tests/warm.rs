//! Warm copies: restored, prefetched, pinned and promoted objects are read from SSDs, and nothing is lost or doubled by that.

use crate::common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::tiered::{HDDS, SSDS, live, put, put_parts, tiered, tiered_with};
use common::{PATIENCE, Store, bucket, bytes, entry, key, until};
use granary_engine::{
    Engine, EngineError, RestoreState, TaskKind, Urgency, WarmJob, WarmJobId, WarmJobState, WarmStatus,
};
use granary_types::{DriveClass, StorageClass};

const LENGTHS: [usize; 5] = [1, 10_000, 131_072, 700_000, 5_000_000];

/// Objects of all lengths and one of parts, under a prefix. Returns what they hold.
async fn put_all(store: &Store, prefix: &str, class: StorageClass) -> Vec<(String, Bytes)> {
    let mut all = Vec::new();
    for (seed, length) in (0..).zip(LENGTHS) {
        let (name, body) = (format!("{prefix}{length}"), bytes(length, seed));
        put(&store.engine, &name, &body, class).await.unwrap();
        all.push((name, body));
    }
    let name = format!("{prefix}parts");
    let body = put_parts(&store.engine, &name, class).await;
    all.push((name, body));
    all
}

fn total(all: &[(String, Bytes)]) -> u64 {
    all.iter().map(|(_, body)| body.len() as u64).sum()
}

async fn check(store: &Store, all: &[(String, Bytes)]) {
    for (name, body) in all {
        assert!(store.get(name).await.unwrap() == *body, "{name}");
    }
}

async fn ended(engine: &Engine, job: WarmJobId) -> WarmJob {
    let begun = Instant::now();
    loop {
        let found = engine.warm_job(job).unwrap();
        if found.state != WarmJobState::Running {
            assert_eq!(found.state, WarmJobState::Done);
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status(store: &Store) -> WarmStatus {
    store.engine.warm_status().await.unwrap()
}

async fn on_ssds(store: &Store) -> u64 {
    live(&store.engine).await[&DriveClass::Ssd]
}

/// Cuts all shards of the drives in these slots to nothing, so that nothing can be read from them.
fn lose(store: &Store, slots: std::ops::Range<usize>) {
    for path in slots.flat_map(|slot| store.shard_files(slot)) {
        std::fs::File::create(path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetched_objects_are_read_from_the_ssds_and_never_stale() {
    let mut store = tiered().await;
    let mut all = put_all(&store, "run/", StorageClass::StandardIa).await;
    let other = put_all(&store, "other/", StorageClass::GlacierIr).await;
    put(&store.engine, "run/hot", &bytes(5_000, 9), StorageClass::Standard).await.unwrap();
    put(&store.engine, "run/old", &bytes(5_000, 9), StorageClass::Glacier).await.unwrap();
    let job = store.engine.prefetch(&bucket(), "run/").await.unwrap();
    let done = ended(&store.engine, job).await;
    assert_eq!((done.found, done.copied, done.failed, done.no_room), (6, 6, 0, 0));
    assert_eq!((done.bytes, done.on_ssd, done.archived), (total(&all), 1, 1));
    assert_eq!(status(&store).await.prefetched, (6, total(&all)));
    assert_eq!(on_ssds(&store).await, total(&all) + 5_000);
    // Again: there is nothing to copy.
    let job = store.engine.prefetch(&bucket(), "run/").await.unwrap();
    let again = ended(&store.engine, job).await;
    assert_eq!((again.found, again.copied, again.warm), (6, 0, 6));
    store.restart().await;
    check(&store, &all).await;
    // Overwritten, deleted and copied: what is read is always what was written last.
    let (name, body) = &mut all[1];
    *body = bytes(10_000, 1_000);
    put(&store.engine, name, body, StorageClass::StandardIa).await.unwrap();
    store.engine.delete_object(&bucket(), entry("run/131072")).await.unwrap();
    assert!(matches!(store.get("run/131072").await, Err(EngineError::NoSuchKey)));
    all.remove(2);
    check(&store, &all).await;
    let left = total(&all) - 10_000;
    until("what was left behind is dropped", || async { on_ssds(&store).await == left + 5_000 }).await;
    // The disks are gone: what has a copy is read nevertheless, and nothing else.
    lose(&store, SSDS..SSDS + HDDS);
    all.remove(1);
    check(&store, &all).await;
    assert!(store.get(&other[3].0).await.is_err());
    assert!(store.get("run/10000").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_lost_costs_nothing_but_speed() {
    let store = tiered().await;
    let all = put_all(&store, "", StorageClass::StandardIa).await;
    let job = store.engine.prefetch(&bucket(), "").await.unwrap();
    ended(&store.engine, job).await;
    // More SSDs than the code bears.
    lose(&store, 0..SSDS);
    check(&store, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_prefixes_take_in_what_comes_later_until_they_are_unpinned() {
    let store = tiered_with(|options| options.warm.bytes_max = Some(0)).await;
    let first = put_all(&store, "p/", StorageClass::StandardIa).await;
    let job = store.engine.pin(&bucket(), "p/").await.unwrap();
    let done = ended(&store.engine, job).await;
    // Who looks after pins may have come first.
    assert_eq!((done.copied + done.warm, done.failed, done.no_room), (6, 0, 0));
    let later = bytes(20_000, 50);
    put(&store.engine, "p/later", &later, StorageClass::StandardIa).await.unwrap();
    let both = total(&first) + 20_000;
    until("what came later is pinned", || async { status(&store).await.pinned == (7, both) }).await;
    let pins = store.engine.pins().await.unwrap();
    assert_eq!((pins.len(), pins[0].prefix.as_str(), pins[0].copies, pins[0].bytes), (1, "p/", 7, both));
    // A pin within a pin: unpinning one leaves what the other covers.
    let job = store.engine.pin(&bucket(), "p/la").await.unwrap();
    assert_eq!(ended(&store.engine, job).await.warm, 1);
    assert_eq!(store.engine.unpin(&bucket(), "p/").await.unwrap(), 6);
    // The cache may hold nothing, so that what is not pinned goes.
    until("the others are evicted", || async {
        let now = status(&store).await;
        (now.pinned, now.prefetched) == ((1, 20_000), (0, 0))
    })
    .await;
    assert_eq!(on_ssds(&store).await, 20_000);
    check(&store, &first).await;
    assert!(store.get("p/later").await.unwrap() == later);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_stays_below_its_bound_and_evicts_what_was_read_least_recently() {
    let store = tiered_with(|options| options.warm.bytes_max = Some(60_000)).await;
    let put_ten = async |prefix: &str| {
        for n in 0..10 {
            let name = format!("{prefix}{n}");
            put(&store.engine, &name, &bytes(10_000, n), StorageClass::StandardIa).await.unwrap();
        }
    };
    put_ten("a/").await;
    for n in 0..5 {
        let job = store.engine.prefetch(&bucket(), &format!("a/{n}")).await.unwrap();
        assert_eq!(ended(&store.engine, job).await.copied, 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(status(&store).await.prefetched, (5, 50_000));
    // The first is read, so that the second was read least recently.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(store.get("a/0").await.unwrap() == bytes(10_000, 0));
    // Reads are told every quarter of a second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    put(&store.engine, "b", &bytes(20_000, 7), StorageClass::StandardIa).await.unwrap();
    let job = store.engine.prefetch(&bucket(), "b").await.unwrap();
    assert_eq!(ended(&store.engine, job).await.copied, 1);
    assert_eq!(status(&store).await.prefetched, (5, 60_000));
    let warm = async |name: &str| store.engine.prefetch(&bucket(), name).await.unwrap();
    let job = warm("a/0").await;
    assert_eq!(ended(&store.engine, job).await.warm, 1, "it was read last");
    // What does not fit is left, and what was prefetched together does not drive itself out.
    put_ten("c/").await;
    let job = store.engine.prefetch(&bucket(), "c/").await.unwrap();
    let done = ended(&store.engine, job).await;
    assert_eq!((done.copied, done.no_room), (6, 4));
    assert_eq!(status(&store).await.prefetched, (6, 60_000));
    let job = store.engine.prefetch(&bucket(), "a/0").await.unwrap();
    assert_eq!(ended(&store.engine, job).await.copied, 1);
    lose(&store, SSDS..SSDS + HDDS);
    for (name, is_warm) in [("a/0", true), ("a/1", false), ("b", false)] {
        assert_eq!(store.get(name).await.is_ok(), is_warm, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_often_is_promoted_and_goes_when_that_ends() {
    let store = tiered_with(|options| options.warm.demote_after = Duration::from_secs(5)).await;
    for (name, class) in [("hot", StorageClass::IntelligentTiering), ("ia", StorageClass::StandardIa)] {
        put(&store.engine, name, &bytes(30_000, 1), class).await.unwrap();
    }
    put(&store.engine, "cold", &bytes(30_000, 1), StorageClass::IntelligentTiering).await.unwrap();
    store.get("cold").await.unwrap();
    for _ in 0..3 {
        store.get("hot").await.unwrap();
        store.get("ia").await.unwrap();
    }
    // It is read on, so that it is not demoted before it is looked at.
    until("it is promoted", || async {
        store.get("hot").await.unwrap();
        status(&store).await.promoted == (1, 30_000)
    })
    .await;
    // Other classes are the cache's, which is off here.
    assert_eq!(on_ssds(&store).await, 30_000);
    assert!(store.get("hot").await.unwrap() == bytes(30_000, 1));
    until("it is demoted", || async { on_ssds(&store).await == 0 }).await;
    assert!(store.get("hot").await.unwrap() == bytes(30_000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_again_is_cached_and_what_is_read_once_or_too_large_is_not() {
    let store = tiered_with(|options| {
        options.warm.cache_reads = 2;
        options.warm.bytes_max = Some(1_000_000);
    })
    .await;
    let objects = [
        ("ia", 30_000, StorageClass::StandardIa, 2),
        ("ir", 120_000, StorageClass::GlacierIr, 2),
        ("once", 30_000, StorageClass::StandardIa, 1),
        ("too-large", 400_000, StorageClass::StandardIa, 4),
        ("hot", 30_000, StorageClass::Standard, 4),
        ("it", 30_000, StorageClass::IntelligentTiering, 2),
    ];
    for (name, length, class, _) in objects {
        put(&store.engine, name, &bytes(length, 1), class).await.unwrap();
    }
    for (name, length, _, reads) in objects {
        for _ in 0..reads {
            assert!(store.get(name).await.unwrap() == bytes(length, 1), "{name}");
        }
    }
    until("both are cached", || async { status(&store).await.prefetched == (2, 150_000) }).await;
    // Some rounds more change nothing.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = status(&store).await;
    assert_eq!((now.prefetched, now.promoted), ((2, 150_000), (0, 0)));
    assert_eq!(on_ssds(&store).await, 150_000 + 30_000);
    // What is overwritten is another version, which nobody read yet.
    put(&store.engine, "ia", &bytes(20_000, 2), StorageClass::StandardIa).await.unwrap();
    assert!(store.get("ia").await.unwrap() == bytes(20_000, 2));
    until("the old copy goes", || async { status(&store).await.prefetched == (1, 120_000) }).await;
    lose(&store, SSDS..SSDS + HDDS);
    assert!(store.get("ir").await.unwrap() == bytes(120_000, 1));
    assert!(store.get("once").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn restores_are_in_progress_until_the_copy_is_there_and_end_with_it() {
    let mut store = tiered().await;
    let all = put_all(&store, "", StorageClass::DeepArchive).await;
    let names: Vec<&String> = all.iter().map(|(name, _)| name).collect();
    let state = async |store: &Store, name: &str| {
        store.engine.open_object(&bucket(), &key(name), None).await.unwrap().info().restored
    };
    let restore = async |store: &Store, name: &str, days, urgency| {
        store.engine.restore_object(&bucket(), &key(name), None, (days, urgency)).await
    };
    for name in &names {
        assert_eq!(state(&store, name).await, None);
        let asked = restore(&store, name, 600, Urgency::Bulk).await.unwrap();
        assert_eq!((asked.was_restored, asked.state), (false, RestoreState::Ongoing));
    }
    for name in &names {
        until(name, || async { matches!(state(&store, name).await, Some(RestoreState::Done(_))) }).await;
    }
    assert_eq!(on_ssds(&store).await, total(&all));
    assert_eq!(status(&store).await.restored, (6, total(&all)));
    store.restart().await;
    check(&store, &all).await;
    for name in &names {
        // The first for longer than before, the others until soon.
        let days = if *name == names[0] { 1_200 } else { 1 };
        assert!(restore(&store, name, days, Urgency::Standard).await.unwrap().was_restored);
    }
    until("the others expire", || async { status(&store).await.restored == (1, 1) }).await;
    assert_eq!(state(&store, names[1]).await, None);
    assert_eq!(on_ssds(&store).await, 1);
    assert!(store.get(names[0]).await.unwrap() == all[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_compacted_with_their_volumes_and_accounted_exactly() {
    const KEYS: u64 = 40;
    let mut store = tiered().await;
    let mut all = put_all(&store, "", StorageClass::StandardIa).await;
    for n in 0..KEYS {
        put(&store.engine, &format!("k{n}"), &bytes(50_000, n), StorageClass::StandardIa).await.unwrap();
    }
    let job = store.engine.prefetch(&bucket(), "").await.unwrap();
    assert_eq!(ended(&store.engine, job).await.copied, 6 + KEYS);
    store.restart().await;
    for n in 0..KEYS {
        if n % 4 == 0 {
            all.push((format!("k{n}"), bytes(50_000, n)));
        } else {
            store.engine.delete_object(&bucket(), entry(&format!("k{n}"))).await.unwrap();
        }
    }
    store.engine.delete_object(&bucket(), entry("5000000")).await.unwrap();
    all.retain(|(name, _)| name != "5000000");
    until("their copies are dropped", || async { on_ssds(&store).await == total(&all) }).await;
    store.task(TaskKind::Compact).await;
    assert_eq!(on_ssds(&store).await, total(&all));
    let lives = live(&store.engine).await;
    store.engine.recount().await.unwrap();
    assert_eq!(live(&store.engine).await, lives, "the accounting was exact");
    store.restart().await;
    check(&store, &all).await;
    lose(&store, SSDS..SSDS + HDDS);
    check(&store, &all).await;
}

/// Copies that are made in pieces, across the parts that were uploaded, are read, compacted and counted as others are.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_are_made_in_pieces_are_like_others() {
    let mut store = tiered_with(|options| options.volume_limit_bytes = 1 << 20).await;
    let all = put_all(&store, "", StorageClass::StandardIa).await;
    let job = store.engine.prefetch(&bucket(), "").await.unwrap();
    let done = ended(&store.engine, job).await;
    assert_eq!((done.copied, done.bytes, done.left_bytes, done.is_listed), (6, total(&all), 0, true));
    assert_eq!(on_ssds(&store).await, total(&all));
    store.restart().await;
    store.task(TaskKind::Compact).await;
    let lives = live(&store.engine).await;
    store.engine.recount().await.unwrap();
    assert_eq!(live(&store.engine).await, lives, "the accounting was exact");
    lose(&store, SSDS..SSDS + HDDS);
    check(&store, &all).await;
}

/// Objects are overwritten, deleted and read while they are prefetched, pinned and let go again and again: what is read is always
/// what was written last, and at the end everything is accounted.
#[tokio::test(flavor = "multi_thread")]
async fn writers_and_readers_race_the_copies() {
    const KEYS: u64 = 8;
    let store = tiered_with(|options| options.warm.bytes_max = Some(1_000_000)).await;
    let ends = Instant::now() + Duration::from_secs(8);
    let warming = async {
        while Instant::now() < ends {
            let job = store.engine.prefetch(&bucket(), "k").await.unwrap();
            ended(&store.engine, job).await;
            let job = store.engine.pin(&bucket(), "k1").await.unwrap();
            ended(&store.engine, job).await;
            store.engine.unpin(&bucket(), "k1").await.unwrap();
        }
    };
    let work = (0..KEYS).map(|n| {
        let store = &store;
        async move {
            let (name, mut round) = (format!("k{n}"), 0);
            while Instant::now() < ends {
                round += 1;
                let length = if n % 2 == 0 { 9_000 + round } else { 300_000 + round };
                let body = bytes(length, n * 1_000 + round as u64);
                put(&store.engine, &name, &body, StorageClass::StandardIa).await.unwrap();
                for _ in 0..8 {
                    assert!(store.get(&name).await.unwrap() == body, "{name} {round}");
                    tokio::time::sleep(Duration::from_millis(5 + n * 5)).await;
                }
                if round % 3 == 0 {
                    store.engine.delete_object(&bucket(), entry(&name)).await.unwrap();
                    assert!(matches!(store.get(&name).await, Err(EngineError::NoSuchKey)));
                }
            }
            store.engine.delete_object(&bucket(), entry(&name)).await.unwrap();
        }
    });
    futures::future::join(warming, futures::future::join_all(work)).await;
    until("nothing lives any more", || async {
        let lives = live(&store.engine).await;
        (lives[&DriveClass::Ssd], lives[&DriveClass::Hdd]) == (0, 0)
    })
    .await;
}
