//! Shards of metadata backups.

use granary_drive::{BackupName, DriveError};
use granary_types::ClusterId;

use super::{Harness, PROFILE, sample};

fn begun(created_ms: i64) -> BackupName {
    BackupName { created_ms, id: ClusterId::random().unwrap(), profile: PROFILE, column: 5 }
}

async fn written(harness: &dyn Harness, name: BackupName) {
    let shard = harness.drive().create_backup_shard(name).await.unwrap();
    let bytes = sample(1, 3 * 1024 * 1024);
    shard.write(0, bytes.slice(..2_500_000)).await.unwrap();
    shard.write(2_500_000, bytes.slice(2_500_000..)).await.unwrap();
    shard.install().await.unwrap();
}

/// They are there when they are installed, and not before.
pub async fn listed_when_whole(harness: &dyn Harness) {
    let drive = harness.drive();
    assert!(drive.backup_shards().await.unwrap().is_empty());
    let (first, second) = (begun(1), begun(2));
    let shard = drive.create_backup_shard(first).await.unwrap();
    shard.write(0, sample(1, 100)).await.unwrap();
    assert!(drive.backup_shards().await.unwrap().is_empty());
    shard.install().await.unwrap();
    written(harness, second).await;
    let mut listed = drive.backup_shards().await.unwrap();
    listed.sort();
    assert_eq!(listed, [first, second]);
    assert!(drive.create_backup_shard(begun(3)).await.is_ok(), "another can be begun");
}

/// Older ones go, and what was begun and never finished, which can then not be finished.
pub async fn older_ones_are_removed(harness: &dyn Harness) {
    let drive = harness.drive();
    drive.remove_backup_shards(i64::MAX).await.unwrap();
    let names: Vec<BackupName> = (1..=4).map(begun).collect();
    for name in &names {
        written(harness, *name).await;
    }
    let unfinished = drive.create_backup_shard(begun(5)).await.unwrap();
    drive.remove_backup_shards(3).await.unwrap();
    let mut listed = drive.backup_shards().await.unwrap();
    listed.sort();
    assert_eq!(listed, names[2..]);
    let refused = unfinished.install().await.unwrap_err();
    assert!(matches!(refused, DriveError::Io { .. }), "{refused}");
}
