use super::*;

/// A file on which every write fails, as on a broken drive.
fn failing() -> ShardFile {
    let path = Path::new("/dev/full");
    ShardFile {
        file: OpenOptions::new().write(true).open(path).unwrap(),
        direct: OnceLock::new(),
        path: path.to_owned(),
        poisoned: AtomicBool::new(false),
        unread: Arc::default(),
        health: Arc::default(),
    }
}

#[test]
fn a_flush_after_a_failed_write_does_not_pretend_that_all_is_well() {
    let shard = failing();
    assert!(shard.write(0, b"x", Cache::Bypass).unwrap_err().is_no_space());
    assert!(matches!(shard.flush(), Err(DriveError::Tampered { .. })));
    assert!(matches!(shard.write(0, b"", Cache::Keep), Err(DriveError::Tampered { .. })));
}

#[tokio::test]
async fn a_sector_that_cannot_be_read_is_told_apart_from_a_lost_file_and_from_a_drive_that_is_gone() {
    // Nothing is mapped at its begin: reading there is answered as a medium error is.
    let path = Path::new("/proc/self/mem");
    let shard = Arc::new(ShardFile {
        file: File::open(path).unwrap(),
        direct: OnceLock::new(),
        path: path.to_owned(),
        poisoned: AtomicBool::new(false),
        unread: Arc::default(),
        health: Arc::default(),
    });
    for length_bytes in [4096, LONG_READ_BYTES] {
        let error = shard.read(4096, length_bytes).await.unwrap_err();
        assert!(error.is_of_sector() && !error.is_lost(), "{error:?}");
    }
    let gone = std::io::Error::from_raw_os_error(rustix::io::Errno::NODEV.raw_os_error());
    assert!(!DriveError::io("reading", path, gone).is_of_sector());
}

/// Opening took it for the header of another file, which is one that is lost.
#[test]
fn a_header_that_cannot_be_read_is_no_wrong_header() {
    let header = FileHeader {
        cluster: granary_types::ClusterId::from_bytes([1; 16]),
        volume: granary_types::VolumeId::from_bytes([2; 16]),
        column: 0,
        profile: (1, 0),
    };
    // Nothing is mapped at its begin.
    let path = Path::new("/proc/self/mem");
    let bad = ShardFile::of(File::open(path).unwrap(), OnceLock::new(), path, Arc::default());
    let error = bad.check_header(header).unwrap_err();
    assert!(error.is_of_sector() && !error.is_lost(), "{error:?}");
    let dir = tempfile::tempdir().unwrap();
    let short = dir.path().join("shard");
    for content in [header.to_page()[..100].to_vec(), vec![0; 5000]] {
        std::fs::write(&short, content).unwrap();
        assert!(ShardFile::open(&short, header, Arc::default()).unwrap_err().is_lost());
    }
}

async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(1), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Such a disk only ever stalled, so that what was in the sector was never known to be lost.
#[tokio::test]
async fn a_bad_sector_that_is_told_too_late_is_known_to_the_next_reader() {
    static SOUND: [u8; 64] = [7; 64];
    let path = Path::new("/proc/self/mem");
    let shard = Arc::new(ShardFile::of(File::open(path).unwrap(), OnceLock::new(), path, Arc::default()));
    let patience = Patience {
        read: Duration::from_millis(20),
        again: Duration::ZERO,
        witness: SOUND.as_ptr().addr() as u64,
    };
    let (told, answer) = std::sync::mpsc::channel();
    let late = shard.read_apart((4096 + 10, 2 * 4096), patience, move |shard| {
        answer.recv().unwrap();
        read_full(&shard.file, &mut [0; 100], 4096).map(|_| Bytes::new())
    });
    assert!(matches!(late.await, Err(DriveError::Stalled { .. })));
    let is_known = || shard.check_readable(0, 1 << 20).is_err();
    assert!(!is_known());
    told.send(()).unwrap();
    wait_for("the bad sector to be known", is_known).await;
    // Other reads of the drive are still avoided; this one is answered.
    for length_bytes in [1, LONG_READ_BYTES] {
        let error = shard.read(4096 + 5, length_bytes).await.unwrap_err();
        assert!(error.is_of_sector() && !error.is_lost(), "{error:?}");
    }
    assert!(matches!(shard.read(8192, 1).await, Err(DriveError::Stalled { .. })));
    // A drive that reads nothing at all has no bad sector.
    let gone = Arc::new(ShardFile::of(File::open(path).unwrap(), OnceLock::new(), path, Arc::default()));
    gone.look_for_bad_page(4096, 4096, Patience { witness: 8192, ..patience });
    assert!(gone.check_readable(0, 1 << 20).is_ok());
}

/// A drive that is reset, or has lost its link, answers nothing for long and is well afterwards.
#[tokio::test]
async fn a_late_error_of_a_drive_that_then_reads_well_is_no_bad_sector() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    std::fs::write(&path, [7; 10_000]).unwrap();
    let shard = Arc::new(ShardFile::of(File::open(&path).unwrap(), OnceLock::new(), &path, Arc::default()));
    let patience = Patience { read: Duration::from_millis(5), again: Duration::ZERO, witness: 0 };
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let late = shard.read_apart((0, 10_000), patience, move |_| {
        std::thread::sleep(Duration::from_millis(50));
        drop(done);
        Err(std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
    });
    assert!(matches!(late.await, Err(DriveError::Stalled { .. })));
    assert!(is_done.recv().is_err());
    // When it has the turn again, nobody looks any more, or nobody has begun to.
    std::thread::sleep(Duration::from_millis(50));
    wait_for("the look for a bad sector to end", || shard.health.bad_pages.turn().is_some()).await;
    assert!(shard.check_readable(0, 10_000).is_ok());
}

#[tokio::test]
async fn a_bad_sector_that_is_read_well_once_more_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    std::fs::write(&path, [7; 10_000]).unwrap();
    let shard = Arc::new(ShardFile::of(File::open(&path).unwrap(), OnceLock::new(), &path, Arc::default()));
    let inode = shard.file.metadata().unwrap().ino();
    for offset in [0, 4096] {
        let page = BadPage { path: path.clone(), inode, offset, errno: 5 };
        shard.health.bad_pages.note(page, Instant::now());
    }
    let read = shard.read_apart((0, 100), PATIENCE, |shard| {
        read_full(&shard.file, &mut [0; 100], 0).map(|length| Bytes::from(vec![7; length]))
    });
    assert_eq!(read.await.unwrap().len(), 100);
    assert!(shard.check_readable(0, 4096).is_ok() && shard.check_readable(0, 4097).is_err());
}

#[tokio::test]
async fn a_drive_that_hung_is_not_asked_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    std::fs::write(&path, [7; 100]).unwrap();
    let health = Arc::new(Health::default());
    let shard = Arc::new(ShardFile {
        file: File::open(&path).unwrap(),
        direct: OnceLock::new(),
        path,
        poisoned: AtomicBool::new(false),
        unread: Arc::default(),
        health: Arc::clone(&health),
    });
    assert_eq!(shard.read(0, 200).await.unwrap().len(), 100);
    health.read_stalled();
    assert!(matches!(shard.read(0, 200).await, Err(DriveError::Stalled { .. })));
}

#[tokio::test]
async fn bytes_written_past_the_cache_are_read_back_whatever_their_length_and_alignment() {
    let dir = tempfile::tempdir().unwrap();
    let header = FileHeader {
        cluster: granary_types::ClusterId::from_bytes([1; 16]),
        volume: granary_types::VolumeId::from_bytes([2; 16]),
        column: 0,
        profile: (1, 0),
    };
    let shard = ShardFile::create(&dir.path().join("shard"), header, Arc::default()).unwrap();
    let mut expected = Vec::new();
    for (round, length) in [8192, 5000, 4096, 3, 12288].into_iter().enumerate() {
        let mut buffer = crate::aligned_buffer(length + 8);
        buffer.resize(length + 8, u8::try_from(round + 1).unwrap());
        let bytes = if round == 4 { &buffer[8..] } else { &buffer[..length] };
        shard.write(4096 + expected.len() as u64, bytes, Cache::Bypass).unwrap();
        expected.extend_from_slice(bytes);
        expected.resize(expected.len().next_multiple_of(4096), 0);
    }
    shard.flush().unwrap();
    let read = Arc::new(shard).read(4096, expected.len()).await.unwrap();
    assert!(read == expected);
}

#[tokio::test]
async fn long_reads_are_exact_whether_the_page_cache_has_the_bytes_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard");
    let length: usize = 1_000_001;
    let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
    std::fs::write(&path, &content).unwrap();
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    let shard = Arc::new(ShardFile::of(file, OnceLock::new(), &path, Arc::default()));
    for (offset, wanted) in
        [(0, 300_000), (4096, 400_001), (4096, 2_000_000), (4097, 300_000), (2_000_000, 300_000)]
    {
        let _advice = rustix::fs::fadvise(&shard.file, 0, None, rustix::fs::Advice::DontNeed);
        let expected = content.get(offset..).unwrap_or_default();
        let expected = &expected[..expected.len().min(wanted)];
        for _cold_marked_and_warm in 0..3 {
            let read = shard.read(offset as u64, wanted).await.unwrap();
            assert!(read == expected, "{wanted} bytes at {offset}");
        }
    }
}
