use std::path::Path;

use crate::conformance::sample::{bucket, bucket_id, done, key, open_written, put_packed, w};
use crate::sqlite::{EmbeddedOptions, Existing, SqliteStore};
use crate::store::MetadataStore;

use super::*;

/// Longer than a drive that is well takes for anything, on however loaded a machine.
const DEADLINE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(1);

fn options(root: &Path, homes: u8, copies: usize) -> EmbeddedOptions {
    let home = |n: u8| Home { drive: DriveId::from_bytes([n; 16]), dir: root.join(format!("d{n}")) };
    let mut options = EmbeddedOptions::new((0..homes).map(home).collect(), copies, Existing::MayBeNew);
    options.copy_deadline = DEADLINE;
    options
}

async fn put(store: &SqliteStore, n: u64) {
    done(store, w(put_packed(1, &format!("key-{n}"), n, 1, 100))).await;
}

async fn copies(store: &SqliteStore) -> Vec<u8> {
    let homes = store.homes().await.unwrap();
    homes.iter().filter(|(_, serves)| !serves).map(|(drive, _)| drive.as_bytes()[0]).collect()
}

async fn copies_become(store: &SqliteStore, wanted: &[u8]) {
    let begun = Instant::now();
    loop {
        let mut found = copies(store).await;
        found.sort_unstable();
        if found == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the copies stay {found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn a_drive_that_hangs_does_not_stop_commits_and_another_home_takes_over() {
    let root = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(root.path(), 4, 2)).unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&store, 1).await;
    put(&store, 0).await;
    copies_become(&store, &[1, 2]).await;
    std::fs::write(root.path().join("d1/hang"), "").unwrap();
    let begun = Instant::now();
    put(&store, 1).await;
    let took = begun.elapsed();
    assert!(took >= DEADLINE && took < PATIENCE, "{took:?}");
    let begun = Instant::now();
    for n in 2..30 {
        put(&store, n).await;
    }
    // Each of them waits as long, if any does.
    assert!(begun.elapsed() < 14 * DEADLINE, "later commits wait for the drive too");
    copies_become(&store, &[2, 3]).await;
    // The thread wakes up, and what it does changes nothing.
    std::fs::remove_file(root.path().join("d1/hang")).unwrap();
    put(&store, 30).await;
    copies_become(&store, &[2, 3]).await;
    store.close().await.unwrap();
    drop(store);
    for n in [0, 2] {
        std::fs::remove_dir_all(root.path().join(format!("d{n}"))).unwrap();
    }
    let store = SqliteStore::open(options(root.path(), 4, 2)).unwrap();
    for n in 0..31 {
        let row = store.object(bucket_id(1), &key(&format!("key-{n}")), None).await.unwrap();
        assert!(row.is_some(), "object {n}");
    }
}

#[tokio::test]
async fn a_hung_home_is_used_again_only_after_its_thread_has_ended() {
    let root = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(root.path(), 2, 1)).unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&store, 1).await;
    std::fs::write(root.path().join("d1/hang"), "").unwrap();
    put(&store, 0).await;
    assert_eq!(store.copies_missing(), 1);
    let begun = Instant::now();
    // Longer than a failed home is left alone, so that it would be tried.
    while begun.elapsed() < RETRY_AFTER + Duration::from_secs(2) {
        put(&store, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.copies_missing(), 1);
    std::fs::remove_file(root.path().join("d1/hang")).unwrap();
    copies_become(&store, &[1]).await;
    put(&store, 2).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn closing_does_not_wait_for_a_drive_that_hangs() {
    let root = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(root.path(), 3, 2)).unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    std::fs::write(root.path().join("d1/hang"), "").unwrap();
    std::fs::write(root.path().join("d2/hang"), "").unwrap();
    let begun = Instant::now();
    open_written(&store, 1).await;
    put(&store, 0).await;
    store.close().await.unwrap();
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    for n in [1, 2] {
        std::fs::remove_file(root.path().join(format!("d{n}/hang"))).unwrap();
    }
}

fn segments(root: &Path, n: u8) -> usize {
    let names =
        std::fs::read_dir(root.join(format!("d{n}"))).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("log-")).count()
}

#[tokio::test]
async fn a_drive_that_hangs_while_a_snapshot_is_taken_does_not_keep_other_logs_long() {
    let root = tempfile::tempdir().unwrap();
    let mut options = options(root.path(), 4, 2);
    options.snapshots = SnapshotThresholds { log_bytes_min: 20_000, log_percent_of_database: 0 };
    let store = SqliteStore::open(options.clone()).unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&store, 1).await;
    copies_become(&store, &[1, 2]).await;
    std::fs::write(root.path().join("d1/hang-snapshot"), "").unwrap();
    let mut n = 0;
    let begun = Instant::now();
    // Its log goes on: only the snapshot tells that the drive hangs.
    while copies(&store).await.contains(&1) {
        assert!(begun.elapsed() < PATIENCE, "the copy is never given up");
        put(&store, n).await;
        n += 1;
    }
    copies_become(&store, &[2, 3]).await;
    // The log of the sound home is cut: it is not longer than what a few snapshots leave.
    let length = || -> u64 {
        let names = std::fs::read_dir(root.path().join("d2")).unwrap().map(|entry| entry.unwrap());
        let logs = names.filter(|entry| entry.file_name().to_string_lossy().starts_with("snapshot-"));
        logs.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).max().unwrap_or(0)
    };
    let before = length();
    for _ in 0..4000 {
        put(&store, n).await;
        n += 1;
        if length() > before && segments(root.path(), 2) <= 2 {
            break;
        }
    }
    assert!(length() > before, "no snapshot was taken in the sound home");
    std::fs::remove_file(root.path().join("d1/hang-snapshot")).unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = SqliteStore::open(options).unwrap();
    for n in [0, n / 2, n - 1] {
        assert!(store.object(bucket_id(1), &key(&format!("key-{n}")), None).await.unwrap().is_some());
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn opening_does_not_wait_for_a_drive_that_hangs() {
    let root = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(root.path(), 4, 2)).unwrap();
    store.create_bucket(bucket(1)).await.unwrap();
    open_written(&store, 1).await;
    put(&store, 0).await;
    store.close().await.unwrap();
    drop(store);
    // The copy is lost and has to be made again, on a drive that hangs.
    std::fs::remove_dir_all(root.path().join("d1")).unwrap();
    std::fs::create_dir(root.path().join("d1")).unwrap();
    std::fs::write(root.path().join("d1/hang-snapshot"), "").unwrap();
    let begun = Instant::now();
    let store = SqliteStore::open(options(root.path(), 4, 2)).unwrap();
    assert!(begun.elapsed() >= DEADLINE && begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(store.copies_missing(), 0);
    copies_become(&store, &[2, 3]).await;
    put(&store, 1).await;
    std::fs::remove_file(root.path().join("d1/hang-snapshot")).unwrap();
    store.close().await.unwrap();
}
