use super::*;

/// A file on which every write fails, as on a broken drive.
fn failing() -> ShardFile {
    let path = Path::new("/dev/full");
    ShardFile {
        file: OpenOptions::new().write(true).open(path).unwrap(),
        path: path.to_owned(),
        poisoned: AtomicBool::new(false),
        health: Arc::default(),
    }
}

#[test]
fn a_flush_after_a_failed_write_does_not_pretend_that_all_is_well() {
    let shard = failing();
    assert!(shard.write(0, b"x").unwrap_err().is_no_space());
    assert!(matches!(shard.flush(), Err(DriveError::Tampered { .. })));
    assert!(matches!(shard.write(0, b""), Err(DriveError::Tampered { .. })));
}

#[tokio::test]
async fn a_drive_that_hung_is_not_asked_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    std::fs::write(&path, [7; 100]).unwrap();
    let health = Arc::new(Health::default());
    let shard = Arc::new(ShardFile {
        file: File::open(&path).unwrap(),
        path,
        poisoned: AtomicBool::new(false),
        health: Arc::clone(&health),
    });
    assert_eq!(shard.read(0, 200).await.unwrap().len(), 100);
    health.read_stalled();
    assert!(matches!(shard.read(0, 200).await, Err(DriveError::Stalled { .. })));
}
