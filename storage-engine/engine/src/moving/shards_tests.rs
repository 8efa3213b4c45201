use std::fs;

use super::*;

fn drives(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..count).map(|n| dir.path().join(format!("d{n}"))).collect();
    paths.iter().for_each(|path| fs::create_dir(path).unwrap());
    (dir, paths)
}

fn frames() -> Vec<Vec<u8>> {
    let long = (0..100_003_u32).map(|n| n.to_le_bytes()[0]).collect();
    vec![b"first".to_vec(), Vec::new(), long, b"x".to_vec()]
}

fn write(paths: &[PathBuf], created_ms: i64) {
    let profile = Profile::new(4, 2).unwrap();
    let cluster = ClusterId::from_bytes([7; 16]);
    let mut sink = Box::new(ShardSink::create(paths, profile, cluster, created_ms).unwrap());
    frames().iter().for_each(|frame| sink.append(frame).unwrap());
    sink.finish().unwrap();
}

fn check(paths: &[PathBuf]) {
    let found = find(paths);
    let [backup] = found.as_slice() else { unreachable!("{} backups", found.len()) };
    assert_eq!(backup.count(), frames().len());
    for (number, frame) in frames().iter().enumerate() {
        assert!(backup.frame(number).unwrap() == *frame, "frame {number}");
    }
}

#[test]
fn a_backup_outlives_any_two_of_six_drives_and_a_flipped_bit() {
    let (_dir, paths) = drives(6);
    write(&paths, 1);
    check(&paths);
    for lost in [[0, 1], [0, 5], [4, 5], [2, 3]] {
        let left: Vec<PathBuf> = paths
            .iter()
            .enumerate()
            .filter(|(n, _)| !lost.contains(n))
            .map(|(_, path)| path.clone())
            .collect();
        check(&left);
        assert_eq!(find(&left[1..]).len(), 0, "three drives are lost");
    }
    let shard = shards_in(&paths[1]).remove(0);
    let mut bytes = fs::read(&shard).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    check(&paths);
    check(&paths[..5]);
    assert!(find(&paths[..4])[0].frame(2).is_err(), "two drives are lost and a block is damaged");
}

#[test]
fn fewer_drives_keep_their_parity() {
    for (count, data, parity) in [(6, 4, 2), (5, 3, 2), (3, 1, 2), (2, 1, 1), (1, 1, 0)] {
        let profile = profile_for(Profile::new(4, 2).unwrap(), count).unwrap();
        assert_eq!((profile.data(), profile.parity()), (data, parity), "{count} drives");
        let (_dir, paths) = drives(count);
        write(&paths, 1);
        check(&paths);
    }
}

#[test]
fn only_the_newest_backups_are_kept_and_unfinished_ones_are_removed() {
    let (_dir, paths) = drives(6);
    for created_ms in 1..=5 {
        write(&paths, created_ms);
    }
    let profile = Profile::new(4, 2).unwrap();
    let folder = paths[0].join(FOLDER);
    drop(ShardSink::create(&paths, profile, ClusterId::from_bytes([7; 16]), 6).unwrap());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "a backup that failed takes its files along");
    fs::write(folder.join("metadata-00000000000000000006-killed-0.shard.new"), b"x").unwrap();
    retain(&paths, 2).unwrap();
    let kept: Vec<i64> = find(&paths).iter().map(|backup| backup.created_ms).collect();
    assert_eq!(kept, [5, 4]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    retain(&paths[..2], 1).unwrap();
    assert_eq!(find(&paths).len(), 2, "with too few drives nothing is removed");
}
