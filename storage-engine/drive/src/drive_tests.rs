use granary_types::{ClusterId, DriveId};

use super::*;
use crate::identity::{Member, write_identity};
use crate::lane::{Append, Flush};

const PROFILE: (u8, u8) = (1, 0);

fn drive(dir: &Path) -> Arc<Drive> {
    let member = Member { drive: DriveId::from_bytes([7; 16]), slot: 0 };
    let identity =
        Identity::new(ClusterId::from_bytes([1; 16]), &member, std::slice::from_ref(&member), "1+0");
    write_identity(dir, &identity).unwrap();
    Drive::open(dir, identity, Duration::from_mins(1)).unwrap()
}

fn volume() -> VolumeId {
    VolumeId::from_bytes([0xab; 16])
}

fn append(shard: &Arc<ShardFile>, offset: u64, bytes: &[u8], flush: Flush) -> Append {
    Append {
        shard: Arc::clone(shard),
        offset,
        length_before_bytes: 4096,
        bytes: bytes::Bytes::copy_from_slice(bytes),
        cache: Cache::Keep,
        flush,
    }
}

#[tokio::test]
async fn what_was_appended_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let shard = drive.create_shard(0, volume(), PROFILE).unwrap();
    let first = drive.packed().append(append(&shard, 4096, b"hello", Flush::Later));
    let second = drive.packed().append(append(&shard, 8192, b"world", Flush::Now));
    first.await.unwrap();
    second.await.unwrap();
    drop(shard);
    let shard = drive.open_shard(0, volume(), PROFILE).unwrap();
    assert_eq!(shard.read(4096, 5).await.unwrap(), "hello");
    assert_eq!(shard.read(8192, 100).await.unwrap(), "world");
    assert_eq!(drive.census().unwrap(), [(ShardName { volume: volume(), column: 0 }, 8197)]);
}

#[tokio::test]
async fn an_append_to_a_removed_or_cut_file_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let shard = drive.create_shard(0, volume(), PROFILE).unwrap();
    fs::File::options().write(true).open(shard.path()).unwrap().set_len(100).unwrap();
    let cut = drive.packed().append(append(&shard, 4096, b"x", Flush::Now)).await;
    assert!(matches!(cut, Err(DriveError::Tampered { what: "cut short", .. })));
    fs::remove_file(shard.path()).unwrap();
    let removed = drive.bulk().append(append(&shard, 4096, b"x", Flush::Now)).await;
    assert!(matches!(removed, Err(DriveError::Tampered { what: "removed", .. })));
}

#[test]
fn a_shard_file_under_a_wrong_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    drop(drive.create_shard(0, volume(), PROFILE).unwrap());
    let from = drive.shard_path(ShardName { volume: volume(), column: 0 });
    fs::rename(&from, drive.shard_path(ShardName { volume: volume(), column: 1 })).unwrap();
    assert!(matches!(drive.open_shard(1, volume(), PROFILE), Err(DriveError::Corrupt { .. })));
    assert!(matches!(drive.open_shard(0, volume(), PROFILE), Err(DriveError::Io { .. })));
}

#[test]
fn an_unmounted_drive_swallows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    fs::remove_dir_all(dir.path().join(VOLUMES)).unwrap();
    assert!(drive.create_shard(0, volume(), PROFILE).is_err());
    fs::remove_file(dir.path().join(crate::IDENTITY_FILE)).unwrap();
    assert!(drive.probe(Resting::Skip).is_err());
    assert!(!drive.is_usable());
}

/// Who replaced a drive that had failed just now, and asked for a heal at once, got no new drive of it: it was left alone yet.
#[test]
fn a_drive_that_rests_was_not_looked_at_for_the_operator() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    drive.mark_failed();
    fs::remove_file(dir.path().join(crate::IDENTITY_FILE)).unwrap();
    assert!(drive.probe(Resting::Skip).is_ok(), "it is left alone for two seconds at first");
    assert!(drive.probe(Resting::Look).is_err());
}

#[tokio::test]
async fn a_replacement_takes_the_place_of_a_damaged_file() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let name = ShardName { volume: volume(), column: 0 };
    drop(drive.create_shard(0, volume(), PROFILE).unwrap());
    fs::write(drive.shard_path(name), "rubbish").unwrap();
    let replacement = drive.create_replacement(name, PROFILE).unwrap();
    replacement.write(4096, b"right").unwrap();
    drive.install_replacement(&replacement).unwrap();
    let shard = drive.open_shard(0, volume(), PROFILE).unwrap();
    assert_eq!(shard.read(4096, 10).await.unwrap(), "right");
}

#[test]
fn a_directory_emptied_while_it_is_opened_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    let identity = drive(dir.path()).identity().clone();
    fs::remove_dir_all(dir.path()).unwrap();
    fs::create_dir(dir.path()).unwrap();
    assert!(Drive::open(dir.path(), identity, Duration::from_mins(1)).is_err());
    assert!(matches!(identity::inspect(dir.path()), identity::Found::Empty));
}

/// Pages that follow each other, cut into appends of some lengths, some of them not whole pages or not in order.
#[tokio::test]
async fn appends_that_follow_each_other_are_written_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let shard = drive.create_shard(0, volume(), PROFILE).unwrap();
    let mut expected = Vec::new();
    let mut answers = Vec::new();
    for (number, length) in (1_u8..).zip([4096, 8192, 4096, 100, 4096, 3000, 12_288, 4096, 1 << 20, 4096]) {
        let offset = 4096 + expected.len() as u64;
        let mut bytes = crate::aligned::aligned_buffer(length);
        bytes.resize(length, number);
        expected.extend_from_slice(&bytes);
        let flush = if number.is_multiple_of(3) { Flush::Later } else { Flush::Now };
        let (shard, bytes, cache) = (Arc::clone(&shard), bytes.freeze(), Cache::Bypass);
        let append = Append { shard, offset, length_before_bytes: offset, bytes, cache, flush };
        answers.push(drive.packed().append(append));
    }
    for answer in answers {
        answer.await.unwrap();
    }
    assert!(shard.read(4096, expected.len() + 1).await.unwrap() == expected);
}

/// Whoever is written together with what fails is told so too.
#[tokio::test]
async fn appends_that_fail_together_are_all_told() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let shard = drive.create_shard(0, volume(), PROFILE).unwrap();
    fs::remove_file(shard.path()).unwrap();
    let answers: Vec<_> = (0..5_u64)
        .map(|number| {
            let offset = 4096 * (1 + number);
            let mut bytes = crate::aligned::aligned_buffer(4096);
            bytes.resize(4096, 7);
            let (shard, bytes, cache) = (Arc::clone(&shard), bytes.freeze(), Cache::Bypass);
            let flush = Flush::Now;
            drive.packed().append(Append { shard, offset, length_before_bytes: offset, bytes, cache, flush })
        })
        .collect();
    for answer in answers {
        assert!(matches!(answer.await, Err(DriveError::Tampered { .. })));
    }
}

/// Each object that was just put was fetched from the drive by a read of its own.
#[tokio::test]
async fn the_first_read_of_what_was_just_written_fetches_what_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let drive = drive(dir.path());
    let written = drive.create_shard(0, volume(), PROFILE).unwrap();
    let mut bytes = crate::aligned::aligned_buffer(256 * 1024);
    bytes.resize(256 * 1024, 5);
    let (shard, bytes, cache) = (Arc::clone(&written), bytes.freeze(), Cache::Bypass);
    let append = Append { shard, offset: 4096, length_before_bytes: 4096, bytes, cache, flush: Flush::Now };
    drive.packed().append(append).await.unwrap();

    // Readers open the file for themselves.
    let shard = drive.open_shard(0, volume(), PROFILE).unwrap();
    assert!(shard.read(8192, 100).await.unwrap() == [5; 100][..]);
    let file = fs::File::open(shard.path()).unwrap();
    let is_cached = |offset| crate::long::read_cached(&file, &mut [0; 1], offset) == 1;
    let begun = std::time::Instant::now();
    while !is_cached(120 * 1024) {
        assert!(begun.elapsed() < Duration::from_secs(20), "what lies beside it is not fetched");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
