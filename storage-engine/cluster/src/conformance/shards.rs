//! Creating, opening, reading and removing.

use futures::future::join_all;
use granary_drive::DriveError;

use super::{FIRST_OFFSET, Harness, PROFILE, append, create, fresh_name, sample};
use crate::access::LaneKind;

/// What was appended is read by who appended it and by who opens the shard.
pub async fn created_shards_are_read_back(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    let bytes = sample(1, 20_000);
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, bytes.clone())).await.unwrap();
    assert_eq!(shard.read(FIRST_OFFSET, bytes.len()).await.unwrap(), bytes);
    let opened = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(opened.read(FIRST_OFFSET + 100, 5000).await.unwrap(), bytes.slice(100..5100));
}

/// A shard that exists is not created again, and is unharmed.
pub async fn shards_are_created_once(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 100))).await.unwrap();
    let error = harness.drive().create_shard(name, PROFILE).await.unwrap_err();
    assert!(
        matches!(&error, DriveError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists),
        "{error:?}"
    );
    assert_eq!(shard.read(FIRST_OFFSET, 100).await.unwrap(), sample(1, 100));
}

/// A shard that is not there is lost, and the drive is not full.
pub async fn missing_shards_are_lost(harness: &dyn Harness) {
    let error = harness.drive().open_shard(fresh_name(), PROFILE).await.unwrap_err();
    assert!(error.is_lost() && !error.is_no_space(), "{error:?}");
}

/// A shard that is another than asked for is lost.
pub async fn shards_of_another_profile_are_lost(harness: &dyn Harness) {
    let name = fresh_name();
    create(harness, name).await;
    let error = harness.drive().open_shard(name, (2, 1)).await.unwrap_err();
    assert!(matches!(error, DriveError::Corrupt { .. }) && error.is_lost(), "{error:?}");
}

/// What was removed is gone.
pub async fn removed_shards_are_lost(harness: &dyn Harness) {
    let name = fresh_name();
    create(harness, name).await;
    harness.drive().remove_shard(name).await.unwrap();
    assert!(harness.drive().open_shard(name, PROFILE).await.unwrap_err().is_lost());
}

/// Who removes what is gone is done.
pub async fn removing_twice_is_as_good(harness: &dyn Harness) {
    let name = fresh_name();
    create(harness, name).await;
    harness.drive().remove_shard(name).await.unwrap();
    harness.drive().remove_shard(name).await.unwrap();
}

/// Fewer bytes come back only at the end.
pub async fn reads_end_with_the_shard(harness: &dyn Harness) {
    let shard = create(harness, fresh_name()).await;
    let bytes = sample(2, 10_000);
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, bytes.clone())).await.unwrap();
    assert_eq!(shard.read(FIRST_OFFSET + 9000, 5000).await.unwrap(), bytes.slice(9000..));
    assert!(shard.read(FIRST_OFFSET + 10_000, 5000).await.unwrap().is_empty());
    assert!(shard.read(1 << 40, 5000).await.unwrap().is_empty());
    assert!(shard.read(FIRST_OFFSET, 0).await.unwrap().is_empty());
}

/// Reads of several MiB are whole, and end with the shard too.
pub async fn long_reads_come_whole(harness: &dyn Harness) {
    let shard = create(harness, fresh_name()).await;
    let bytes = sample(3, 5 * 1024 * 1024 + 77);
    shard.append(append(LaneKind::Bulk, FIRST_OFFSET, bytes.clone())).await.unwrap();
    assert_eq!(shard.read(FIRST_OFFSET, bytes.len()).await.unwrap(), bytes);
    assert_eq!(shard.read(FIRST_OFFSET, bytes.len() + 4096).await.unwrap(), bytes);
    assert_eq!(
        shard.read(FIRST_OFFSET + 1, 2 * 1024 * 1024).await.unwrap(),
        bytes.slice(1..2 * 1024 * 1024 + 1)
    );
}

/// Eight readers of the same shard get their own bytes.
pub async fn many_readers(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    let bytes = sample(4, 1024 * 1024);
    shard.append(append(LaneKind::Bulk, FIRST_OFFSET, bytes.clone())).await.unwrap();
    let opened = harness.drive().open_shard(name, PROFILE).await.unwrap();
    let reader = |number: usize| {
        let (opened, bytes) = (std::sync::Arc::clone(&opened), bytes.clone());
        async move {
            for turn in 0..50 {
                let at = (number * 7919 + turn * 16_411) % (bytes.len() - 16_384);
                let read = opened.read(FIRST_OFFSET + at as u64, 16_384).await.unwrap();
                assert_eq!(read, bytes.slice(at..at + 16_384));
            }
        }
    };
    join_all((0..8).map(reader).map(tokio::spawn)).await.into_iter().for_each(Result::unwrap);
}

/// A drive that is well is usable, has room, and can be marked as failed.
pub async fn what_the_drive_says_of_itself(harness: &dyn Harness) {
    let drive = harness.drive();
    assert!(drive.is_usable() && !drive.is_retired());
    let (free_bytes, total_bytes) = drive.space_bytes();
    assert!(0 < free_bytes && free_bytes <= total_bytes);
    assert!(!drive.place().is_empty());
    drive.mark_failed();
    assert!(!drive.is_usable() && !drive.is_retired());
}
