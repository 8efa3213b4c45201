//! Drives that are lost, replaced or rotten, and stores with a code of the operator's choice, through the engine's public API.

use crate::common;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Store, bytes, drive, files_below, until};
use granary_engine::{DriveHealth, DriveProblem, Engine, TaskKind, VolumeState};
use granary_types::VolumeId;

const LENGTHS: [usize; 4] = [100, 20_000, 200_000, 3_000_000];

async fn put_all(store: &Store, prefix: &str, seed: u64) {
    for (n, length) in (0..).zip(LENGTHS) {
        store.put(&format!("{prefix}{length}"), &bytes(length, seed + n)).await;
    }
}

async fn check_all(store: &Store, prefix: &str, seed: u64) {
    for (n, length) in (0..).zip(LENGTHS) {
        let got = store.get(&format!("{prefix}{length}")).await.unwrap();
        assert!(got == bytes(length, seed + n), "{prefix}{length}");
    }
}

fn path(store: &Store, slot: usize) -> PathBuf {
    drive(store.dir.path(), slot)
}

/// The store may be making a file in it right now.
fn remove(dir: &Path) {
    while let Err(error) = std::fs::remove_dir_all(dir) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

/// How many of the drives have a file of each volume that was not freed, and the volume's code.
async fn census(store: &Store, drives: usize) -> BTreeMap<VolumeId, (usize, String)> {
    let rows = store.engine.volume_status(None, 1000).await.unwrap();
    let kept = rows.into_iter().filter(|row| row.state != VolumeState::Freed);
    let files: Vec<String> = (0..drives)
        .flat_map(|slot| store.shard_files(slot))
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    kept.map(|row| {
        let id = row.volume.id;
        let shards =
            files.iter().filter(|name| name.starts_with(&id.to_string()) && name.ends_with(".shard"));
        (id, (shards.count(), format!("{}+{}", row.volume.data_columns, row.volume.parity_columns)))
    })
    .collect()
}

async fn heal_and_scrub(store: &Store) {
    let healed = store.task(TaskKind::Heal).await;
    assert_eq!(healed.unrepairable, 0, "{healed:?}");
    let scrubbed = store.task(TaskKind::Scrub).await;
    assert_eq!(scrubbed.findings, 0, "{scrubbed:?}");
}

/// Loses `lost` of the drives while the store runs, and has everything, across a restart too; heals, and loses as many others.
async fn bears(drives: usize, code: &str, lost: &[usize], then: &[usize]) {
    let mut store = Store::open_coded(drives, Some(code)).await;
    assert_eq!(store.engine.profile(), code);
    put_all(&store, "old", 1).await;
    let columns: usize = code.split('+').map(|number| number.parse::<usize>().unwrap()).sum();
    let before = census(&store, drives).await;
    assert!(before.values().all(|volume| *volume == (columns, code.to_owned())), "{before:?}");
    for slot in lost {
        remove(&path(&store, *slot));
    }
    check_all(&store, "old", 1).await;
    put_all(&store, "new", 11).await;
    store.restart().await;
    check_all(&store, "old", 1).await;
    check_all(&store, "new", 11).await;
    for slot in lost {
        std::fs::create_dir(path(&store, *slot)).unwrap();
    }
    heal_and_scrub(&store).await;
    // At a start the copies of the metadata are made whole.
    store.restart().await;
    // What was written with all drives there bears the same again; what was not may be of a smaller code.
    for slot in then {
        remove(&path(&store, *slot));
    }
    store.restart().await;
    check_all(&store, "old", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_drives_may_be_lost() {
    bears(2, "1+1", &[0], &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_drives_may_be_lost() {
    bears(4, "2+2", &[0, 3], &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_of_twelve_drives_may_be_lost() {
    bears(12, "8+4", &[0, 3, 7, 11], &[1, 2, 9, 10]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_smaller_than_the_store_is_kept_while_enough_drives_are_left() {
    let mut store = Store::open_coded(8, Some("4+2")).await;
    put_all(&store, "old", 1).await;
    for slot in [0, 5] {
        remove(&path(&store, slot));
    }
    // Once with the loss met while running, once at a start: volumes that are opened then have all their shards at once.
    for round in 0..2_u64 {
        let known = census(&store, 8).await;
        put_all(&store, &format!("new{round}"), 100 * (1 + round)).await;
        let mut new = census(&store, 8).await;
        new.retain(|id, _| !known.contains_key(id));
        assert!(new.values().all(|(_, code)| code == "4+2"), "{new:?}");
        if round == 1 {
            assert!(!new.is_empty() && new.values().all(|(shards, _)| *shards == 6), "{new:?}");
        }
        store.restart().await;
    }
    for slot in [0, 5] {
        std::fs::create_dir(path(&store, slot)).unwrap();
    }
    heal_and_scrub(&store).await;
    let healed = census(&store, 8).await;
    assert!(healed.values().all(|(shards, code)| (*shards, code.as_str()) == (6, "4+2")), "{healed:?}");
    for slot in [1, 6] {
        remove(&path(&store, slot));
    }
    store.restart().await;
    for (prefix, seed) in [("old", 1), ("new0", 100), ("new1", 200)] {
        check_all(&store, prefix, seed).await;
    }
}

/// The place of every shard file on its disk: another one, if the file was written anew.
fn inodes(store: &Store, drives: usize) -> BTreeMap<PathBuf, u64> {
    let files = (0..drives).flat_map(|slot| store.shard_files(slot));
    files.map(|file| (file.clone(), file.metadata().unwrap().ino())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_tells_of_rot_and_only_what_is_rotten_is_written_anew() {
    let mut store = Store::open(6).await;
    put_all(&store, "k", 1).await;
    store.restart().await;
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
    let before = inodes(&store, 6);
    // One bit on the third drive, in the longest file, behind its header and within what is committed.
    let rotten = store.shard_files(2).into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let sound = std::fs::read(&rotten).unwrap();
    let file = std::fs::File::options().write(true).open(&rotten).unwrap();
    file.write_all_at(&[sound[5000] ^ 0x04], 5000).unwrap();
    let found = store.task(TaskKind::Scrub).await;
    assert_eq!((found.findings, found.unrepairable), (1, 0), "{found:?}");
    // Healed without being asked.
    until("it is written anew", || {
        std::future::ready(Some(&rotten.metadata().unwrap().ino()) != before.get(&rotten))
    })
    .await;
    assert_eq!(store.task(TaskKind::Scrub).await.findings, 0);
    let after = inodes(&store, 6);
    let anew: Vec<&PathBuf> = after
        .iter()
        .filter(|(file, inode)| before.get(*file) != Some(*inode))
        .map(|(file, _)| file)
        .collect();
    assert_eq!((anew, after.len()), (vec![&rotten], before.len()));
    check_all(&store, "k", 1).await;
}

/// The column that is missing is rebuilt while the volume is examined, what that finds rotten after it. Both as they were.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_and_a_rotten_column_of_one_volume_are_healed_together() {
    let mut store = Store::open(6).await;
    put_all(&store, "k", 1).await;
    let long = bytes(12_000_000, 9);
    store.put("long", &long).await;
    store.restart().await;
    let longest = |slot| {
        let files = store.shard_files(slot).into_iter();
        files.max_by_key(|file| file.metadata().unwrap().len()).unwrap()
    };
    let volume =
        |file: &Path| file.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
    let (missing, rotten) = (longest(1), longest(4));
    assert_eq!(volume(&missing), volume(&rotten));
    let before = [&missing, &rotten].map(|file| std::fs::read(file).unwrap());
    // Some of what is read last.
    let place = before[1].len() * 3 / 4;
    let file = std::fs::File::options().write(true).open(&rotten).unwrap();
    file.write_all_at(&[before[1][place] ^ 0x10], place as u64).unwrap();
    std::fs::remove_file(&missing).unwrap();
    heal_and_scrub(&store).await;
    for (file, before) in [&missing, &rotten].into_iter().zip(before) {
        let after = std::fs::read(file).unwrap();
        // A heal ends where the data does, not at the end of its page.
        assert!(before.len() - after.len() < 4096, "{} of {}", after.len(), before.len());
        assert!(before.starts_with(&after) && before[after.len()..].iter().all(|byte| *byte == 0));
    }
    assert!(store.get("long").await.unwrap() == long);
    check_all(&store, "k", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_file_that_no_metadata_knows_is_moved_aside_and_kept() {
    let store = Store::open(3).await;
    put_all(&store, "k", 1).await;
    let known = store.shard_files(1);
    let name = format!("{}-01.shard", VolumeId::from_bytes([0xab; 16]));
    let folder = path(&store, 1).join("volumes/ab");
    std::fs::create_dir_all(&folder).unwrap();
    let planted = folder.join(&name);
    let begun = Instant::now();
    std::fs::write(&planted, [7; 10_000]).unwrap();
    tokio::time::sleep(store.options.grace / 2).await;
    // Not before the grace is over: whoever makes a volume makes its files first.
    assert!(planted.exists() || begun.elapsed() >= store.options.grace);
    until("it is moved aside", || std::future::ready(!planted.exists())).await;
    let kept = files_below(&path(&store, 1).join("quarantine"));
    assert_eq!(kept.iter().map(|file| file.file_name().unwrap()).collect::<Vec<_>>(), [name.as_str()]);
    assert!(std::fs::read(&kept[0]).unwrap() == [7; 10_000]);
    assert!(known.iter().all(|file| file.exists()), "what is known stays");
    check_all(&store, "k", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_among_known_ones_is_used_when_it_is_healed_and_not_before() {
    let mut store = Store::open(4).await;
    put_all(&store, "old", 1).await;
    let away = store.dir.path().join("away");
    store.engine.close().await.unwrap();
    std::fs::rename(path(&store, 2), &away).unwrap();
    std::fs::create_dir(path(&store, 2)).unwrap();
    for _ in 0..2 {
        store.engine = common::reopen(&store.options).await;
        let status = store.engine.drive_status();
        let mut unused = status.iter().filter(|drive| drive.health != DriveHealth::Online);
        let empty = unused.next().unwrap();
        assert!(unused.next().is_none(), "{status:?}");
        let DriveHealth::Unused(DriveProblem::Empty, message) = &empty.health else { panic!("{empty:?}") };
        assert!(empty.slot == 2 && message.contains("granary heal"), "{message}");
        put_all(&store, "new", 11).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(std::fs::read_dir(path(&store, 2)).unwrap().count(), 0, "it was used without being asked");
        store.engine.close().await.unwrap();
    }
    store.engine = common::reopen(&store.options).await;
    heal_and_scrub(&store).await;
    assert!(store.engine.drive_status().iter().all(|drive| drive.health == DriveHealth::Online));
    assert!(!store.shard_files(2).is_empty());

    // The drive that was in its place is not the store's any more.
    store.engine.close().await.unwrap();
    let new = store.dir.path().join("new");
    std::fs::rename(path(&store, 2), &new).unwrap();
    std::fs::rename(&away, path(&store, 2)).unwrap();
    let refused = Engine::open(store.options.clone()).await.err().unwrap();
    assert!(refused.to_string().contains("replaced by another"), "{refused}");
    std::fs::rename(path(&store, 2), &away).unwrap();
    std::fs::rename(&new, path(&store, 2)).unwrap();
    store.engine = common::reopen(&store.options).await;
    check_all(&store, "old", 1).await;
    check_all(&store, "new", 11).await;
}

/// The process that replaces a drive may die when only the new drive knows of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_only_the_new_drive_was_told_of_is_finished_at_the_next_start() {
    let mut store = Store::open(4).await;
    put_all(&store, "k", 1).await;
    let identity = |slot: usize| path(&store, slot).join("granary.json");
    let told: Vec<Vec<u8>> = (0..4).map(|slot| std::fs::read(identity(slot)).unwrap()).collect();
    let replaced = store.engine.drive_status()[1].drive.unwrap();
    remove(&path(&store, 1));
    std::fs::create_dir(path(&store, 1)).unwrap();
    heal_and_scrub(&store).await;
    store.engine.close().await.unwrap();
    let current: Vec<Vec<u8>> = (0..4).map(|slot| std::fs::read(identity(slot)).unwrap()).collect();
    for slot in [0, 2, 3] {
        assert_ne!(told[slot], current[slot]);
        std::fs::write(identity(slot), &told[slot]).unwrap();
    }
    let options = store.options.clone();
    store.engine = common::reopen(&options).await;
    assert_ne!(store.engine.drive_status()[1].drive.unwrap(), replaced);
    store.engine.close().await.unwrap();
    for (slot, current) in current.iter().enumerate() {
        assert_eq!(&std::fs::read(path(&store, slot).join("granary.json")).unwrap(), current, "drive {slot}");
    }
    // So the new one may be away at a start, and come back.
    let (away, place) = (store.dir.path().join("away"), path(&store, 1));
    std::fs::rename(&place, &away).unwrap();
    store.engine = common::reopen(&options).await;
    check_all(&store, "k", 1).await;
    store.engine.close().await.unwrap();
    std::fs::rename(&away, &place).unwrap();
    store.engine = common::reopen(&options).await;
    heal_and_scrub(&store).await;
    check_all(&store, "k", 1).await;
}
