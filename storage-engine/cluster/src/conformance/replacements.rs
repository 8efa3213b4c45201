//! Rebuilding a shard beside the old one.

use super::{FIRST_OFFSET, Harness, PROFILE, append, create, fresh_name, sample};
use crate::access::LaneKind;

/// The new bytes are there after the install, and the old ones before it.
pub async fn installed_in_the_place_of_the_shard(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 9000))).await.unwrap();
    let replacement = harness.drive().create_replacement(name, PROFILE).await.unwrap();
    let bytes = sample(2, 5 * 1024 * 1024);
    replacement.write(FIRST_OFFSET, bytes.clone()).await.unwrap();
    let before = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(before.read(FIRST_OFFSET, 9000).await.unwrap(), sample(1, 9000));
    replacement.install().await.unwrap();
    let after = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(after.read(FIRST_OFFSET, bytes.len()).await.unwrap(), bytes);
    // Who had it open before still reads what was there.
    assert_eq!(before.read(FIRST_OFFSET, 9000).await.unwrap(), sample(1, 9000));
}

/// A shard that was lost is made again; it may be written in any order.
pub async fn installed_where_nothing_was(harness: &dyn Harness) {
    let name = fresh_name();
    let replacement = harness.drive().create_replacement(name, PROFILE).await.unwrap();
    replacement.write(FIRST_OFFSET + 5000, sample(2, 100)).await.unwrap();
    replacement.write(FIRST_OFFSET, sample(1, 5000)).await.unwrap();
    replacement.install().await.unwrap();
    drop(replacement);
    let shard = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(shard.read(FIRST_OFFSET, 5000).await.unwrap(), sample(1, 5000));
    assert_eq!(shard.read(FIRST_OFFSET + 5000, 1000).await.unwrap(), sample(2, 100));
}

/// One that is given up changes nothing.
pub async fn dropped_ones_leave_the_shard(harness: &dyn Harness) {
    let name = fresh_name();
    let shard = create(harness, name).await;
    shard.append(append(LaneKind::Packed, FIRST_OFFSET, sample(1, 100))).await.unwrap();
    let replacement = harness.drive().create_replacement(name, PROFILE).await.unwrap();
    replacement.write(FIRST_OFFSET, sample(2, 100)).await.unwrap();
    drop(replacement);
    let opened = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(opened.read(FIRST_OFFSET, 100).await.unwrap(), sample(1, 100));
}

/// After one was given up, the next begins from nothing.
pub async fn begun_again(harness: &dyn Harness) {
    let name = fresh_name();
    let first = harness.drive().create_replacement(name, PROFILE).await.unwrap();
    first.write(FIRST_OFFSET, sample(1, 50_000)).await.unwrap();
    drop(first);
    let second = harness.drive().create_replacement(name, PROFILE).await.unwrap();
    second.write(FIRST_OFFSET, sample(2, 100)).await.unwrap();
    second.install().await.unwrap();
    drop(second);
    let opened = harness.drive().open_shard(name, PROFILE).await.unwrap();
    assert_eq!(opened.read(FIRST_OFFSET, 1000).await.unwrap(), sample(2, 100));
}
