//! Copies by reference: they share the bytes of their source, and keep them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use granary_engine::{
    ByteRange, CompleteOptions, Engine, EngineError, PutOptions, TaskKind, UploadOptions, Written,
};
use granary_types::{Etag, PartNumber, StorageClass};

use crate::common::{Body, Store, bucket, bytes, entry, files_below, key, read, until};

const LENGTH: usize = 2_500_000;
/// How many come and go in a race.
const SOURCES: u64 = 3;

/// A body without bytes, whose digests are always the same.
fn digests() -> Body {
    Body::new(Bytes::new())
}

fn whole(length: usize) -> ByteRange {
    ByteRange { start: 0, end: length as u64 }
}

/// Copies by reference; whoever comes too late says so.
async fn copy(engine: &Engine, from: &str, to: &str) -> Result<Written, EngineError> {
    let opened = engine.open_object(&bucket(), &key(from), None).await?;
    let range = whole(usize::try_from(opened.info().length_bytes).unwrap());
    let shared = engine.shared_blobs(&opened, range, StorageClass::Standard).await?.expect("a large object");
    engine.put_shared(&bucket(), &key(to), PutOptions::default(), &shared, &mut digests()).await
}

async fn delete(engine: &Engine, name: &str) {
    engine.delete_object(&bucket(), entry(name)).await.unwrap();
}

/// The bytes of all shard files.
fn stored_bytes(store: &Store) -> u64 {
    let files = files_below(store.dir.path());
    let shards = files.iter().filter(|path| path.components().any(|part| part.as_os_str() == "volumes"));
    shards.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_copied_parts_take_no_room_and_outlive_their_source() {
    let mut store = Store::open(6).await;
    let body = bytes(LENGTH, 1);
    store.put("source", &body).await;
    let before = stored_bytes(&store);
    for n in 0..20 {
        assert_eq!(
            copy(&store.engine, "source", &format!("copy-{n}")).await.unwrap().length_bytes,
            LENGTH as u64
        );
    }
    let options = UploadOptions::default();
    let (upload, _) = store.engine.create_upload(&bucket(), &key("twice"), options).await.unwrap();
    let opened = store.engine.open_object(&bucket(), &key("source"), None).await.unwrap();
    let shared =
        store.engine.shared_blobs(&opened, whole(LENGTH), StorageClass::Standard).await.unwrap().unwrap();
    assert!(shared.is_one());
    assert!(read(shared.read()).await.unwrap() == body);
    let mut parts = Vec::new();
    for number in [1, 2] {
        let place = (upload, PartNumber::new(number).unwrap());
        parts.push(
            store.engine.refer_part(&bucket(), &key("twice"), place, &shared, &mut digests()).await.unwrap(),
        );
    }
    drop((shared, opened));
    let options =
        CompleteOptions { parts, etag: Etag::new("x-2"), checksum: None, conditions: Default::default() };
    store.engine.complete_upload(&bucket(), &key("twice"), upload, options).await.unwrap();
    // What is written is their records.
    let grown = stored_bytes(&store) - before;
    assert!(grown < LENGTH as u64, "{grown} of {before}");
    delete(&store.engine, "source").await;
    store.task(TaskKind::Compact).await;
    store.restart().await;
    for n in 0..20 {
        assert!(store.get(&format!("copy-{n}")).await.unwrap() == body, "{n}");
    }
    let twice = Bytes::from([&body[..], &body[..]].concat());
    assert!(store.get("twice").await.unwrap() == twice);
    for n in 0..20 {
        delete(&store.engine, &format!("copy-{n}")).await;
    }
    assert!(store.get("twice").await.unwrap() == twice);
    delete(&store.engine, "twice").await;
    until("the room of what nothing refers to is given back", || {
        std::future::ready(stored_bytes(&store) < LENGTH as u64)
    })
    .await;
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_is_gone_says_so() {
    let store = Store::open(4).await;
    store.put("source", &bytes(LENGTH, 2)).await;
    let opened = store.engine.open_object(&bucket(), &key("source"), None).await.unwrap();
    let shared =
        store.engine.shared_blobs(&opened, whole(LENGTH), StorageClass::Standard).await.unwrap().unwrap();
    delete(&store.engine, "source").await;
    let late =
        store.engine.put_shared(&bucket(), &key("k"), PutOptions::default(), &shared, &mut digests()).await;
    assert!(matches!(late, Err(EngineError::BlobsGone)), "{late:?}");
    assert!(matches!(store.get("k").await, Err(EngineError::NoSuchKey)));
    // Small objects are copied by value.
    store.put("small", &bytes(1000, 3)).await;
    let small = store.engine.open_object(&bucket(), &key("small"), None).await.unwrap();
    assert!(store.engine.shared_blobs(&small, whole(1000), StorageClass::Standard).await.unwrap().is_none());
}

/// The body of the source of that number.
fn source(n: u64) -> Bytes {
    bytes(LENGTH / 2 + usize::try_from(n).unwrap(), n)
}

/// Copies sources that come and go until it is told to end. Most copies go again, so that there is something to compact. Returns
/// those that are kept, with the numbers of their sources.
async fn copy_all_the_time(store: Arc<Store>, copier: u64, ends: Arc<AtomicBool>) -> Vec<(u64, String)> {
    let mut kept = Vec::new();
    for n in 0_u64.. {
        let (from, to) = (format!("s{}", n % SOURCES), format!("c{copier}-{n}"));
        match copy(&store.engine, &from, &to).await {
            Ok(_) if n % 5 == 0 => kept.push((n % SOURCES, to)),
            Ok(_) => delete(&store.engine, &to).await,
            Err(EngineError::BlobsGone | EngineError::NoSuchKey) => {}
            Err(error) => panic!("{error:?}"),
        }
        if ends.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    kept
}

/// Sources come and go while they are copied, and volumes are compacted: what was acknowledged stays whole.
#[tokio::test(flavor = "multi_thread")]
async fn copies_race_deletes_and_compaction() {
    const ROUNDS: u64 = 12;
    let (store, ends) = (Arc::new(Store::open(6).await), Arc::new(AtomicBool::new(false)));
    let copiers: Vec<_> = (0..3)
        .map(|copier| tokio::spawn(copy_all_the_time(Arc::clone(&store), copier, Arc::clone(&ends))))
        .collect();
    for round in 0..ROUNDS {
        for n in 0..SOURCES {
            store.put(&format!("s{n}"), &source(n)).await;
        }
        delete(&store.engine, &format!("s{}", round % SOURCES)).await;
        store.task(TaskKind::Compact).await;
    }
    ends.store(true, Ordering::Relaxed);
    let mut copies = 0;
    for copier in copiers {
        for (n, name) in copier.await.unwrap() {
            assert!(store.get(&name).await.unwrap() == source(n), "{name}");
            copies += 1;
        }
    }
    assert!(copies > 0, "nothing was copied in time");
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
}
