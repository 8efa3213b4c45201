use std::fs;
use std::time::Duration;

use granary_drive::{BACKUPS_FOLDER, Drive, Identity, Member, write_identity};
use tokio::runtime::Runtime;

use super::*;
use crate::drives::DriveSet;

const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);
const LIMIT: VolumeLimit = VolumeLimit(1 << 30);

/// Drives in use, and what asks them.
pub(in crate::moving) struct Drives {
    pub(in crate::moving) runtime: Runtime,
    pub(in crate::moving) drives: Vec<Arc<dyn DriveAccess>>,
    pub(in crate::moving) paths: Vec<PathBuf>,
    _dir: tempfile::TempDir,
}

pub(in crate::moving) fn drives(count: usize) -> Drives {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..count).map(|n| dir.path().join(format!("d{n}"))).collect();
    let member = |n| Member {
        drive: DriveId::from_bytes([u8::try_from(n).unwrap(); 16]),
        slot: u16::try_from(n).unwrap(),
    };
    let members: Vec<Member> = (0..count).map(member).collect();
    let open = |(path, member): (&PathBuf, &Member)| {
        fs::create_dir(path).unwrap();
        let identity = Identity::new(CLUSTER, member, &members, "4+2");
        write_identity(path, &identity).unwrap();
        Drive::open(path, identity, Duration::from_mins(1)).unwrap()
    };
    let drives = paths.iter().zip(&members).map(open).collect();
    let drives = DriveSet::new(drives, Vec::new(), None).usable();
    Drives { runtime: Runtime::new().unwrap(), drives, paths, _dir: dir }
}

fn frames() -> Vec<Vec<u8>> {
    // The last is sent before the end.
    let long = |bytes: u32| (0..bytes).map(|n| (n / 3).to_le_bytes()[0]).collect();
    vec![b"first".to_vec(), Vec::new(), long(100_003), b"x".to_vec(), long(9_000_001)]
}

impl Drives {
    pub(in crate::moving) fn begin(&self, created_ms: i64) -> Box<ShardSink> {
        let profile = Profile::new(4, 2).unwrap();
        let begun =
            self.runtime.block_on(ShardSink::create(&self.drives, profile, LIMIT, CLUSTER, created_ms));
        Box::new(begun.map_err(|_| "a drive refuses").unwrap())
    }

    pub(in crate::moving) fn write(&self, created_ms: i64) {
        let mut sink = self.begin(created_ms);
        frames().iter().for_each(|frame| sink.append(frame).unwrap());
        sink.finish().unwrap();
    }
}

fn check(paths: &[PathBuf]) {
    let found = find(paths);
    let [backup] = found.as_slice() else { unreachable!("{} backups", found.len()) };
    assert_eq!(backup.count(), frames().len());
    for (number, frame) in frames().iter().enumerate() {
        assert!(backup.frame(number).unwrap() == *frame, "frame {number}");
    }
    assert_eq!(newest_short(paths), None);
}

#[test]
fn a_backup_outlives_any_two_of_six_drives_and_a_flipped_bit() {
    let drives = drives(6);
    drives.write(1);
    let paths = &drives.paths;
    check(paths);
    for lost in [[0, 1], [0, 5], [4, 5], [2, 3]] {
        let left: Vec<PathBuf> = paths
            .iter()
            .enumerate()
            .filter(|(n, _)| !lost.contains(n))
            .map(|(_, path)| path.clone())
            .collect();
        check(&left);
        assert_eq!(find(&left[1..]).len(), 0, "three drives are lost");
        assert_eq!(newest_short(&left[1..]), Some((3, 4)));
    }
    let shard = backup_files(&paths[1]).remove(0);
    let mut bytes = fs::read(&shard).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    check(paths);
    check(&paths[..5]);
    assert!(find(&paths[..4])[0].frame(2).is_err(), "two drives are lost and a block is damaged");
}

#[test]
fn only_what_was_finished_is_found_and_what_failed_takes_its_files_along() {
    let drives = drives(6);
    drives.write(1);
    let folder = drives.paths[0].join(BACKUPS_FOLDER);
    let mut failed = drives.begin(2);
    failed.append(&vec![7; 9_000_000]).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    check(&drives.paths);
    drop(failed);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    check(&drives.paths);
}

/// The version before named them otherwise, and what was in them is the same.
#[test]
fn shards_are_known_by_what_is_in_them() {
    let drives = drives(6);
    drives.write(1);
    for (column, path) in drives.paths.iter().enumerate() {
        let shard = backup_files(path).remove(0);
        let name = format!("metadata-00000000000000000001-{}-{column}.shard", CLUSTER);
        fs::rename(&shard, shard.with_file_name(name)).unwrap();
    }
    check(&drives.paths);
}

#[test]
fn a_drive_that_refuses_is_named() {
    let drives = drives(6);
    fs::remove_dir_all(drives.paths[4].join("volumes")).unwrap();
    let profile = Profile::new(4, 2).unwrap();
    let begun = drives.runtime.block_on(ShardSink::create(&drives.drives, profile, LIMIT, CLUSTER, 1));
    assert!(matches!(begun, Err(NotBegun::Refused(id, _)) if id == drives.drives[4].id()));
    assert_eq!(fs::read_dir(drives.paths[0].join(BACKUPS_FOLDER)).unwrap().count(), 0);
}

/// The name alone told that it was there.
#[test]
fn a_shard_without_its_ends_or_in_the_wrong_place_is_not_counted() {
    let drives = drives(6);
    drives.write(1);
    let listed = || drives.runtime.block_on(drives.drives[1].backup_shards()).unwrap();
    let whole = listed();
    assert_eq!(whole.iter().map(|name| (name.created_ms, name.column)).collect::<Vec<_>>(), [(1, 1)]);
    let shard = backup_files(&drives.paths[1]).remove(0);
    let bytes = fs::read(&shard).unwrap();
    for length in [0, 7, 8, 44, 60, 2_000, bytes.len() / 2, bytes.len() - 9, bytes.len() - 1] {
        fs::write(&shard, &bytes[..length]).unwrap();
        assert_eq!(listed(), [], "cut to {length} bytes");
    }
    // The header, the end of the block of the manifest, the index, and what follows it.
    for at in [50, bytes.len() - 44 - 6 * 8 - 1, bytes.len() - 60, bytes.len() - 20] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&shard, flipped).unwrap();
        assert_eq!(listed(), [], "flipped at {at}");
    }
    // What was cut out of the middle moves the end.
    fs::write(&shard, [&bytes[..20_000], &bytes[30_000..]].concat()).unwrap();
    assert_eq!(listed(), []);
    fs::copy(backup_files(&drives.paths[2]).remove(0), &shard).unwrap();
    assert_eq!(listed(), [], "another column has its name");
    fs::write(&shard, bytes).unwrap();
    assert_eq!(listed(), whole);
    let of_another = ShardCheck::default().check(&shard, ClusterId::from_bytes([8; 16]), &whole[0]);
    assert!(of_another.is_err());
}

/// Each survey of each node warned of a damaged shard, for as long as it lay there.
#[test]
fn a_damaged_shard_was_warned_of_again_and_again() {
    let check = ShardCheck::default();
    let (one, other) = (Path::new("/a/one.shard"), Path::new("/a/other.shard"));
    assert!(check.is_news(one) && check.is_news(other));
    assert!(!check.is_news(one) && !check.is_news(other));
    check.forget(one);
    assert!(check.is_news(one) && !check.is_news(other));
    (0..3 * DAMAGED_MAX).for_each(|n| assert!(check.is_news(Path::new(&n.to_string()))));
    assert!(check.told.lock().len() <= DAMAGED_MAX);

    let drives = drives(6);
    drives.write(1);
    let shard = backup_files(&drives.paths[0]).remove(0);
    let name = drives.runtime.block_on(drives.drives[0].backup_shards()).unwrap().remove(0);
    let whole = fs::read(&shard).unwrap();
    let look = || {
        let is_whole = check.check(&shard, CLUSTER, &name).is_ok();
        (is_whole, check.told.lock().contains(&shard))
    };
    assert_eq!(look(), (true, false));
    fs::write(&shard, &whole[..20]).unwrap();
    assert_eq!((look(), look()), ((false, true), (false, true)));
    fs::write(&shard, &whole).unwrap();
    assert_eq!(look(), (true, false));
}
