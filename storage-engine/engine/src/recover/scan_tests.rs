use std::path::Path;
use std::time::Duration;

use granary_drive::{BLOCK_ALIGNMENT_BYTES, Drive, Member, write_identity};
use granary_metadata::Content;
use granary_metadata::conformance::sample;
use granary_types::ClusterId;

use super::*;
use crate::maintain::sample::Sample;
use crate::told::Told;

async fn contents(sample: &Sample, length_bytes: u64, known_end: u64) -> Contents {
    let (map, view) = (sample.map(), Arc::clone(&sample.view));
    let walk = Walk::new(Arc::clone(&view), length_bytes);
    let found = FoundVolume::of_view(&view, known_end);
    read_walked(&map, view, walk, found).await.unwrap()
}

async fn read(sample: &Sample, length_bytes: u64, known_end: u64) -> FoundVolume {
    contents(sample, length_bytes, known_end).await.volume
}

fn record(length_bytes: u64) -> Vec<u8> {
    let (bucket, object) = (sample::bucket(7), sample::object(9, Content::Empty, length_bytes));
    ObjectRecord::encode(bucket.id, &sample::key("k"), &object, &Told::put(&bucket)).unwrap()
}

/// A copy in a wide stripe of which too little was left counted as much as what had fewer columns, all of them there.
#[tokio::test]
async fn what_cannot_be_rebuilt_counts_as_if_no_column_was_left() {
    let mut sample = Sample::new();
    sample.record = Some(record(9_000));
    sample.add(9_000, &[0]);
    sample.add(9_000, &[0, 1, 2]);
    let (from, to) = sample.stripes[1];
    for (bytes, _) in sample.columns[1..4].iter_mut().flatten() {
        let to = bytes.len().min(usize::try_from(to).unwrap());
        bytes[usize::try_from(from).unwrap()..to].fill(0);
    }
    let records = contents(&sample, to, 0).await.records;
    let ranks: Vec<_> =
        records.iter().map(|record| (record.place.as_ref().unwrap().stripe_offset, record.columns)).collect();
    assert_eq!(ranks, [(sample.stripes[0].0, 3), (from, 0)]);
}

/// It ended at the last stripe that was readable, and what lay behind counted as never committed.
#[tokio::test]
async fn a_volume_ends_no_earlier_than_it_is_known_to_and_what_is_missing_there_is_told() {
    let mut sample = Sample::new();
    (0..3).for_each(|_| sample.add(9_000, &[0, 1, 2]));
    let (last, end) = sample.stripes[2];
    let whole = read(&sample, end, end).await;
    assert_eq!((whole.end, whole.lost_stripes), (end, 0));
    let of_two = read(&sample, last, last).await.stored_bytes;
    for (bytes, _) in sample.columns.iter_mut().flatten() {
        bytes.truncate(usize::try_from(last).unwrap());
    }
    // The files still reach so far, or they do not.
    for length_bytes in [end, last] {
        let found = read(&sample, length_bytes, end).await;
        assert_eq!((found.end, found.lost_stripes, found.stored_bytes), (end, 1, of_two));
    }
    // What was reserved and never written is not missing.
    let reserved = read(&sample, end + 9 * BLOCK_ALIGNMENT_BYTES, last).await;
    assert_eq!((reserved.end, reserved.lost_stripes), (last, 0));
    // Of a volume that nothing is known of, nothing is.
    let unknown = read(&sample, end, 0).await;
    assert_eq!((unknown.end, unknown.lost_stripes), (last, 0));
}

/// Nothing was recovered then.
#[tokio::test]
async fn a_header_that_cannot_be_read_ended_the_census() {
    let (dir, cluster) = (tempfile::tempdir().unwrap(), ClusterId::from_bytes([1; 16]));
    let volume = VolumeId::from_bytes([0xab; 16]);
    let members: Vec<Member> = (0..3)
        .map(|slot| Member { slot, drive: DriveId::from_bytes([7 + u8::try_from(slot).unwrap(); 16]) })
        .collect();
    let mut drives = Vec::new();
    for (column, member) in (0_u8..).zip(&members) {
        let path = dir.path().join(column.to_string());
        std::fs::create_dir(&path).unwrap();
        let identity = granary_drive::Identity::new(cluster, member, &members, "2+1");
        write_identity(&path, &identity).unwrap();
        let drive = Drive::open(&path, identity, Duration::from_mins(1)).unwrap();
        let shard = drive.create_shard(column, volume, (2, 1)).unwrap();
        if column == 1 {
            // Nothing is mapped at its begin: reading there is answered as a medium error is.
            std::fs::remove_file(shard.path()).unwrap();
            std::os::unix::fs::symlink(Path::new("/proc/self/mem"), shard.path()).unwrap();
        }
        drives.push(drive);
    }
    let opened = OpenDrives { cluster, drives, lost: BTreeMap::new(), nodes: 1 };
    let (found, _) = census(&opened, None).await.unwrap();
    let [(found, _)] = found.as_slice() else { panic!("{found:?}") };
    let (first, third) = (Some(members[0].drive), Some(members[2].drive));
    assert_eq!((found.profile, found.columns.clone()), ((2, 1), vec![first, None, third]));
}
