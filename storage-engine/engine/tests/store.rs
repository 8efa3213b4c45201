//! The engine through its public API: what was put is read back, whatever happens to the drives.

use crate::common;

use bytes::Bytes;
use common::{Body, Store, bucket, bytes, key, read, reopen, until};
use granary_engine::{ByteRange, DeleteEntry, EngineError, PutOptions, TaskKind};

const LENGTHS: [usize; 12] =
    [0, 1, 100, 10_000, 131_071, 131_072, 131_073, 200_000, 524_288, 524_289, 5_000_000, 20_000_000];

async fn put_all(store: &Store) {
    for (seed, length) in (0..).zip(LENGTHS) {
        store.put(&format!("k{length}"), &bytes(length, seed)).await;
    }
}

async fn check_all(store: &Store) {
    for (seed, length) in (0..).zip(LENGTHS) {
        let got = store.get(&format!("k{length}")).await.unwrap();
        assert!(got == bytes(length, seed), "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_every_size_come_back_after_a_restart() {
    for drives in [1, 2, 6] {
        let mut store = Store::open(drives).await;
        put_all(&store).await;
        check_all(&store).await;
        store.restart().await;
        check_all(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_dropped_and_not_closed_kept_at_work_and_its_drives_locked() {
    let Store { dir: _dir, options, engine } = Store::open(6).await;
    let (body, other) = (bytes(20_000, 1), engine.on_behalf_of(Default::default()));
    let mut source = Body::new(body.clone());
    engine.put_object(&bucket(), &key("kept"), PutOptions::default(), &mut source).await.unwrap();
    other.start_task(TaskKind::Scrub);
    drop(engine);
    assert!(other.open_object(&bucket(), &key("kept"), None).await.is_ok(), "one handle is left");
    drop(other);
    let engine = reopen(&options).await;
    let object = engine.open_object(&bucket(), &key("kept"), None).await.unwrap();
    assert_eq!(read(object.read(ByteRange { start: 0, end: 20_000 })).await.unwrap(), body);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_exact() {
    let store = Store::open(6).await;
    let body = bytes(3_000_000, 1);
    store.put("k", &body).await;
    for (start, end) in
        [(0, 1), (65_535, 65_537), (524_287, 524_289), (1_000_000, 2_000_000), (2_999_999, 3_000_000)]
    {
        let object = store.engine.open_object(&bucket(), &key("k"), None).await.unwrap();
        let got = read(object.read(ByteRange { start: start as u64, end: end as u64 })).await.unwrap();
        assert!(got == body.slice(start..end), "{start}..{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_small_puts_share_stripes() {
    let store = Store::open(6).await;
    let puts = (0..200_u64).map(|i| {
        let store = &store;
        async move { store.put(&format!("k{i}"), &bytes(10_000, i)).await }
    });
    futures::future::join_all(puts).await;
    for i in 0..200 {
        assert!(store.get(&format!("k{i}")).await.unwrap() == bytes(10_000, i));
    }
    let stored: u64 = store.shard_files(0).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(stored * 6 < 200 * 10_000 * 2, "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_fails_its_digest_is_not_stored() {
    let store = Store::open(1).await;
    for length in [10, 1_000_000] {
        let mut body = Body::new(bytes(length, 1));
        body.fail_at_end = true;
        let put = store.engine.put_object(&bucket(), &key("k"), PutOptions::default(), &mut body).await;
        assert!(matches!(put, Err(EngineError::Source(_))));
        assert!(matches!(store.get("k").await, Err(EngineError::NoSuchKey)));
    }
}

/// The store may be making a file in it right now.
fn remove(dir: &std::path::Path) {
    while let Err(error) = std::fs::remove_dir_all(dir) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

fn destroy(store: &Store, slot: usize, how: &str) {
    let dir = common::drive(store.dir.path(), slot);
    match how {
        "remove" => remove(&dir),
        "empty" => {
            remove(&dir);
            std::fs::create_dir(&dir).unwrap();
        }
        "truncate" => {
            for file in store.shard_files(slot) {
                let length = file.metadata().unwrap().len() / 3;
                std::fs::File::options().write(true).open(file).unwrap().set_len(length).unwrap();
            }
        }
        "flip" => {
            for file in store.shard_files(slot) {
                let mut content = std::fs::read(&file).unwrap();
                for at in (5000..content.len()).step_by(40_000) {
                    content[at] ^= 0x10;
                }
                std::fs::write(file, content).unwrap();
            }
        }
        _ => panic!("{how}"),
    }
}

/// Harms every pair of drives in turn, and then two others after the heal: what was healed has to carry the data.
async fn any_two_drives_may_be_harmed(how: &str) {
    let pairs = (0..6).flat_map(|first| (first + 1..6).map(move |second| [first, second]));
    for pair in pairs {
        let mut store = Store::open(6).await;
        put_all(&store).await;
        for slot in pair {
            destroy(&store, slot, how);
        }
        check_all(&store).await;
        store.put("new", &Bytes::from_static(b"written while damaged")).await;
        store.put("new-large", &bytes(1_000_000, 77)).await;
        store.restart().await;
        check_all(&store).await;
        if how == "remove" {
            for slot in pair {
                std::fs::create_dir(common::drive(store.dir.path(), slot)).unwrap();
            }
        }
        let healed = store.task(TaskKind::Heal).await;
        assert_eq!(healed.unrepairable, 0, "{how} {pair:?}: {healed:?}");
        let scrubbed = store.task(TaskKind::Scrub).await;
        assert_eq!(scrubbed.findings, 0, "{how} {pair:?}: {scrubbed:?}");
        assert!(store.get("new").await.unwrap() == "written while damaged");
        assert!(store.get("new-large").await.unwrap() == bytes(1_000_000, 77));
        let others = (0..6).filter(|slot| !pair.contains(slot)).take(2);
        for slot in others {
            destroy(&store, slot, "remove");
        }
        store.restart().await;
        check_all(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_removed() {
    any_two_drives_may_be_harmed("remove").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_emptied() {
    any_two_drives_may_be_harmed("empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_truncated() {
    any_two_drives_may_be_harmed("truncate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_bit_flipped() {
    any_two_drives_may_be_harmed("flip").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overwritten_and_deleted_data_gives_its_room_back() {
    let mut store = Store::open(6).await;
    for round in 0..3_u64 {
        for i in 0..40 {
            store
                .put(&format!("k{i}"), &bytes(if i % 2 == 0 { 20_000 } else { 900_000 }, round * 100 + i))
                .await;
        }
    }
    for i in 20..40 {
        let entry = DeleteEntry {
            key: key(&format!("k{i}")),
            version: None,
            bypass: Default::default(),
            conditions: Default::default(),
        };
        store.engine.delete_object(&bucket(), entry).await.unwrap();
    }
    store.restart().await;
    let compacted = store.task(TaskKind::Compact).await;
    assert!(compacted.repaired > 0, "{compacted:?}");
    store.restart().await;
    let live: u64 = 10 * 20_000 + 10 * 900_000;
    let stored = || -> u64 {
        // Files go while they are looked at.
        let files = (0..6).flat_map(|slot| store.shard_files(slot));
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    };
    until("what is dead is gone", || std::future::ready(stored() * 10 < live * 15 * 12)).await;
    for i in 0..20 {
        let length = if i % 2 == 0 { 20_000 } else { 900_000 };
        assert!(store.get(&format!("k{i}")).await.unwrap() == bytes(length, 200 + i), "{i}");
    }
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_arrives_whole() {
    let store = Store::open(6).await;
    let body = bytes(2_500_000, 5);
    let mut source = Body::new(body.clone());
    source.chunk = 700_000;
    source.pause = std::time::Duration::from_millis(700);
    store.engine.put_object(&bucket(), &key("slow"), PutOptions::default(), &mut source).await.unwrap();
    assert!(store.get("slow").await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_mount_points_of_too_many_drives_are_not_made_drives() {
    let mut store = Store::open(6).await;
    store.put("k", &bytes(3_000_000, 1)).await;
    store.engine.close().await.unwrap();
    let away = store.dir.path().join("away");
    std::fs::create_dir(&away).unwrap();
    for slot in [0, 1] {
        let drive = common::drive(store.dir.path(), slot);
        std::fs::rename(&drive, away.join(slot.to_string())).unwrap();
        std::fs::create_dir(&drive).unwrap();
    }
    store.engine = common::reopen(&store.options).await;
    let third = common::drive(store.dir.path(), 2);
    std::fs::rename(&third, away.join("2")).unwrap();
    std::fs::create_dir(&third).unwrap();
    let id = store.engine.start_task(TaskKind::Heal);
    let progress = loop {
        let progress = store.engine.task(id).unwrap();
        if progress.state != granary_engine::TaskState::Running {
            break progress;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert!(matches!(progress.state, granary_engine::TaskState::Failed(_)), "{progress:?}");
    for slot in [0, 1, 2] {
        let drive = common::drive(store.dir.path(), slot);
        assert!(!drive.join("granary.json").exists());
        std::fs::remove_dir_all(&drive).unwrap();
        std::fs::rename(away.join(slot.to_string()), &drive).unwrap();
    }
    until("all drives are used again", || {
        let drives = store.engine.drive_status();
        std::future::ready(drives.iter().all(|drive| drive.health == granary_engine::DriveHealth::Online))
    })
    .await;
    assert!(store.get("k").await.unwrap() == bytes(3_000_000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_frees_nothing_that_was_acknowledged() {
    let mut store = Store::open(1).await;
    store.put("old", &bytes(50_000, 1)).await;
    store.restart().await;
    store.put("first", &bytes(50_000, 2)).await;
    let meta = common::drive(store.dir.path(), 0).join("meta");
    let copy = store.dir.path().join("yesterday");
    let save = |from: &std::path::Path, to: &std::path::Path| {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir(to).unwrap();
        for file in common::files_below(from) {
            std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    };
    save(&meta, &copy);
    for i in 0..20 {
        store.put(&format!("new{i}"), &bytes(50_000, 10 + i)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let lengths = |store: &Store| -> Vec<u64> {
        let mut all: Vec<u64> =
            store.shard_files(0).iter().map(|file| file.metadata().unwrap().len()).collect();
        all.sort_unstable();
        all
    };
    store.engine.close().await.unwrap();
    let before = lengths(&store);
    save(&copy, &meta);
    store.engine = common::reopen(&store.options).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(lengths(&store), before);
    assert!(store.get("first").await.unwrap() == bytes(50_000, 2));
}
