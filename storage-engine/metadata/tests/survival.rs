//! The embedded metadata survives what the data survives: lost, emptied, truncated and rotten homes, at start and
//! while running.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{
    DATABASE, Homes, PATIENCE, assert_has, begin, flip, put, put_patiently, truncate, wait_for_copies,
    when_free,
};
use granary_metadata::sqlite::Existing::{Expected, MayBeNew};
use granary_metadata::{MetadataError, MetadataStore};

/// A closed store of 3 homes and 2 copies with 50 objects.
async fn filled(root: &std::path::Path) -> Homes {
    let homes = Homes::new(root, 3, 2);
    let store = homes.open(MayBeNew);
    begin(&store).await;
    put(&store, 0, 50).await;
    assert_eq!(store.copies_missing(), 0);
    store.close().await.unwrap();
    homes
}

/// Opens, finds everything, goes on, and has all copies that the homes allow.
async fn assert_recovers(homes: &Homes) {
    let store = homes.open(Expected);
    assert_has(&store, 0, 50).await;
    put(&store, 50, 60).await;
    assert_has(&store, 0, 60).await;
    assert_eq!(store.recount().await.unwrap(), []);
    assert_eq!(store.copies_missing(), 0);
    store.verify().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_new_store_has_all_its_copies_and_no_shared_memory_file() {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), 3, 2);
    let store = homes.open(MayBeNew);
    begin(&store).await;
    put(&store, 0, 3).await;
    assert_eq!((homes.serving(&store).await, homes.copies(&store).await), (0, vec![1, 2]));
    assert!(homes.files(0, DATABASE, "-wal").len() == 1 && homes.files(0, "", "-shm").is_empty());
    assert!(rusqlite::version_number() >= 3_051_003, "older versions can corrupt a database in WAL mode");
}

#[tokio::test]
async fn metadata_that_must_exist_is_never_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    for n in 0..3 {
        homes.lose(n);
    }
    assert!(matches!(homes.try_open(Expected), Err(MetadataError::Unavailable { .. })));
}

#[tokio::test]
async fn any_two_lost_homes_lose_nothing() {
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let root = tempfile::tempdir().unwrap();
        let homes = filled(root.path()).await;
        homes.lose(a);
        homes.lose(b);
        assert_recovers(&homes).await;
    }
}

#[tokio::test]
async fn a_truncated_or_emptied_database_is_rebuilt() {
    for length in [0, 1, 100, 4096, 20_000] {
        let root = tempfile::tempdir().unwrap();
        let homes = filled(root.path()).await;
        truncate(&homes.dir(0).join(DATABASE), length);
        assert_recovers(&homes).await;
    }
}

#[tokio::test]
async fn damaged_logs_and_snapshots_cost_only_their_copy() {
    for (begins, ends) in [("log-", ".log"), ("snapshot-", ".sqlite"), ("snapshot-", ".seal")] {
        for cut in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let homes = filled(root.path()).await;
            for path in homes.files(1, begins, ends) {
                let middle = std::fs::metadata(&path).unwrap().len() / 2;
                if cut { truncate(&path, middle) } else { flip(&path, middle) }
            }
            std::fs::remove_file(homes.dir(0).join(DATABASE)).unwrap();
            assert_recovers(&homes).await;
        }
    }
}

#[tokio::test]
async fn frames_of_different_copies_are_put_together() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    std::fs::remove_file(homes.dir(0).join(DATABASE)).unwrap();
    // One copy has a hole early in its log, the other has one late.
    let last = homes.batches(1).last().unwrap().0;
    homes.flip_batch(1, last - 30);
    homes.flip_batch(2, last - 10);
    assert_recovers(&homes).await;
}

#[tokio::test]
async fn a_known_newer_state_that_cannot_be_reached_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    std::fs::remove_file(homes.dir(0).join(DATABASE)).unwrap();
    let last = homes.batches(1).last().unwrap().0;
    for n in [1, 2] {
        homes.flip_batch(n, last - 10);
    }
    let opened = when_free(|| homes.try_open(Expected));
    assert!(matches!(opened, Err(MetadataError::Corrupt { .. })), "{:?}", opened.err());
}

#[tokio::test]
async fn an_old_database_that_comes_back_is_not_believed() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    let away = root.path().join("away");
    std::fs::rename(root.path().join("d0"), &away).unwrap();
    let store = homes.open(Expected);
    put(&store, 50, 60).await;
    store.close().await.unwrap();
    homes.lose(0);
    std::fs::rename(&away, root.path().join("d0")).unwrap();
    let store = homes.open(Expected);
    assert_has(&store, 0, 60).await;
    assert_eq!(store.copies_missing(), 0);
}

#[tokio::test]
async fn another_process_cannot_open_the_homes() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    let _store = homes.open(Expected);
    assert!(matches!(homes.try_open(Expected), Err(MetadataError::Unavailable { .. })));
}

#[tokio::test]
async fn snapshots_cut_the_logs() {
    let root = tempfile::tempdir().unwrap();
    let mut homes = filled(root.path()).await;
    homes.log_bytes_min = 10_000;
    let store = homes.open(Expected);
    for n in (50..1000).step_by(50) {
        put(&store, n, n + 50).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A snapshot may still be under way, and files go while they are looked at.
    let begun = Instant::now();
    for n in [1, 2] {
        // The rest of a prepared segment is zeros.
        let used = |path: &std::path::PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
        };
        loop {
            let log: usize = homes.files(n, "log-", ".log").iter().map(used).sum();
            let snapshots = homes.files(n, "snapshot-", ".sqlite").len();
            if log < 100_000 && snapshots == 1 {
                break;
            }
            let left = format!("home {n} has {log} bytes of logs and {snapshots} snapshots");
            assert!(begun.elapsed() < PATIENCE, "{left}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    store.close().await.unwrap();
    homes.lose(0);
    homes.lose(1);
    let store = homes.open(Expected);
    assert_has(&store, 0, 1000).await;
}

/// Writes from several tasks while `damage` happens, and then finds everything that was acknowledged.
async fn damaged_under_load(count: u8, damage: impl FnOnce(&Homes)) {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), count, 2);
    let store = homes.open(MayBeNew);
    begin(&store).await;
    put(&store, 0, 200).await;
    let writers: Vec<_> = (0..4_u64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..150 {
                    put_patiently(&store, 1000 + task * 1000 + n).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(60)).await;
    damage(&homes);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_everything(&store).await;
    put(&store, 200, 210).await;
    store.close().await.unwrap();
    drop(store);
    let store = homes.open(Expected);
    assert_everything(&store).await;
    assert_has(&store, 200, 210).await;
    if count > 3 {
        wait_for_copies(&store).await;
    }
    store.verify().await.unwrap();
}

async fn assert_everything(store: &granary_metadata::sqlite::SqliteStore) {
    assert_has(store, 0, 200).await;
    for task in 0..4 {
        assert_has(store, 1000 + task * 1000, 1000 + task * 1000 + 150).await;
    }
    assert_eq!(store.recount().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_deleted_under_load() {
    damaged_under_load(3, |homes| std::fs::remove_file(homes.dir(0).join(DATABASE)).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_truncated_under_load() {
    damaged_under_load(4, |homes| truncate(&homes.dir(0).join(DATABASE), 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_is_truncated_under_load() {
    damaged_under_load(4, |homes| truncate(&homes.dir(0).join("granary.sqlite-wal"), 1000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_homes_are_removed_under_load() {
    damaged_under_load(4, |homes| {
        homes.lose(0);
        homes.lose(1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_copies_are_removed_under_load() {
    damaged_under_load(5, |homes| {
        homes.lose(1);
        homes.lose(2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_are_truncated_under_load() {
    damaged_under_load(4, |homes| {
        for n in [1, 2] {
            for path in homes.files(n, "log-", ".log") {
                truncate(&path, 50);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_row_is_rebuilt_from_a_copy() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    let database = homes.dir(0).join(DATABASE);
    let bytes = std::fs::read(&database).unwrap();
    // A place inside the tag of object 7: SQLite cannot see that it is wrong.
    let needle = b"key-000007";
    for at in (0..bytes.len() - 100).filter(|at| bytes[*at..].starts_with(needle)) {
        flip(&database, u64::try_from(at + needle.len() + 20).unwrap());
    }
    let store = homes.open(Expected);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let mut sound = true;
        for n in 0..50 {
            let key = granary_metadata::conformance::sample::key(&format!("key-{n:06}"));
            let row = store.object(granary_metadata::conformance::sample::bucket_id(1), &key, None).await;
            sound &= row.is_ok();
        }
        if sound && homes.serving(&store).await != 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(homes.serving(&store).await, 0, "the damage was not noticed");
    assert_has(&store, 0, 50).await;
    store.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_key_is_rotten_is_not_taken_for_missing() {
    let root = tempfile::tempdir().unwrap();
    let homes = filled(root.path()).await;
    let database = homes.dir(0).join(DATABASE);
    let bytes = std::fs::read(&database).unwrap();
    let needle = b"key-000007";
    for at in (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)) {
        flip(&database, u64::try_from(at + needle.len() - 1).unwrap());
    }
    let store = homes.open(Expected);
    assert_has(&store, 7, 8).await;
    assert_ne!(homes.serving(&store).await, 0, "the damage was not noticed");
    assert_has(&store, 0, 50).await;
    store.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_home_is_used_after_it_was_adopted() {
    let root = tempfile::tempdir().unwrap();
    let homes = Homes::new(root.path(), 3, 2);
    let store = homes.open(MayBeNew);
    begin(&store).await;
    put(&store, 0, 20).await;
    homes.lose(2);
    put(&store, 20, 40).await;
    assert_eq!(store.copies_missing(), 1);
    // A directory that merely appears is not used: it may be another drive.
    std::fs::create_dir_all(homes.dir(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(store.copies_missing(), 1);
    assert!(store.adopt_home(homes.home(7)).await.is_err());
    assert!(!homes.dir(7).exists(), "a directory that is gone was made anew");
    store.adopt_home(homes.home(2)).await.unwrap();
    wait_for_copies(&store).await;
    put(&store, 40, 50).await;
    store.close().await.unwrap();
    homes.lose(0);
    homes.lose(1);
    assert_recovers(&homes).await;
}
