use std::os::unix::fs::FileExt;

use super::*;
use crate::sqlite::op::Op;
use granary_types::VolumeId;

const START: Position = Position { store: [1; 16], generation: 3, seq: 7, chain: [9; 32] };
const DEADLINE: Duration = Duration::from_mins(1);
/// For a drive that hangs; longer than one that is well takes for an append, on however loaded a machine.
const SHORT: Duration = Duration::from_secs(3);

struct Writing {
    log: Log,
    position: Position,
    last: u64,
}

impl Writing {
    fn start(dir: &Path, deadline: Duration) -> Self {
        let log = Log::start(dir, &START, deadline, InUse::default()).unwrap();
        Self { log, position: START, last: 0 }
    }

    fn frame(&mut self) -> (Arc<[u8]>, Position) {
        let op = Op::SealVolume(VolumeId::from_bytes([7; 16]));
        let (frame, next) = frame::frame(&self.position, &[&op]).unwrap();
        self.last = u64::try_from(frame.len()).unwrap();
        (frame.into(), next)
    }

    fn append(&mut self) -> io::Result<()> {
        let (frame, next) = self.frame();
        self.log.append(frame);
        self.position = next;
        self.log.wait()
    }

    /// Goes on in a prepared segment.
    fn rotate_into_spare(&mut self) {
        while !self.log.status.spare.load(Ordering::Acquire) {
            std::thread::sleep(LOOK_EVERY);
        }
        assert!(self.log.is_full(self.last));
        self.log.rotate(self.position).unwrap();
        assert!(!self.log.is_full(self.last));
    }
}

fn newest_segment(dir: &Path) -> PathBuf {
    let stamp = *files::Listing::read(dir).unwrap().segments.last().unwrap();
    dir.join(files::segment_name(stamp))
}

fn frames_in(path: &Path) -> Vec<u64> {
    let read = frame::read_segment(&std::fs::read(path).unwrap()).unwrap();
    read.frames.iter().map(|frame| frame.seq).collect()
}

#[test]
fn frames_overwrite_a_prepared_segment_that_keeps_its_length_until_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Writing::start(dir.path(), DEADLINE);
    writing.append().unwrap();
    writing.rotate_into_spare();
    let path = newest_segment(dir.path());
    for _ in 0..3 {
        writing.append().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), PREPARED_BYTES);
    }
    // A crash leaves it so; a clean end gives back what is unused.
    assert_eq!(frames_in(&path), [9, 10, 11]);
    drop(writing);
    assert_eq!(frames_in(&path), [9, 10, 11]);
    assert!(std::fs::metadata(&path).unwrap().len() < 1024);
    assert!(!dir.path().join(SPARE).exists());
}

#[test]
fn a_retracted_frame_is_not_read_behind_a_shorter_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Writing::start(dir.path(), DEADLINE);
    writing.append().unwrap();
    writing.rotate_into_spare();
    let before = writing.position;
    writing.append().unwrap();
    writing.log.retract().unwrap();
    let path = newest_segment(dir.path());
    assert_eq!(frames_in(&path), [0_u64; 0]);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes[frame::SEGMENT_HEADER_BYTES..].iter().all(|byte| *byte == 0));
    writing.position = before;
    writing.append().unwrap();
    assert_eq!(frames_in(&path), [9]);
}

#[test]
fn what_a_crash_left_of_a_spare_segment_is_never_used() {
    let dir = tempfile::tempdir().unwrap();
    // A spare file with sound frames in it, as if an old segment had been put there.
    let mut stale = frame::segment_header(&START);
    stale.extend_from_slice(&Writing::start(dir.path(), DEADLINE).frame().0);
    std::fs::write(dir.path().join(SPARE), &stale).unwrap();
    assert_eq!(files::Listing::read(dir.path()).unwrap().segments.len(), 1);
    let mut writing = Writing::start(dir.path(), DEADLINE);
    writing.append().unwrap();
    writing.rotate_into_spare();
    assert_eq!(frames_in(&newest_segment(dir.path())), [0_u64; 0]);
}

#[test]
fn a_truncated_or_replaced_segment_is_noticed() {
    for cut_bytes in [0, 200, PREPARED_BYTES / 2] {
        let dir = tempfile::tempdir().unwrap();
        let mut writing = Writing::start(dir.path(), DEADLINE);
        writing.append().unwrap();
        writing.rotate_into_spare();
        writing.append().unwrap();
        let file = File::options().write(true).open(newest_segment(dir.path())).unwrap();
        file.set_len(cut_bytes).unwrap();
        assert!(writing.append().is_err(), "{cut_bytes}");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Writing::start(dir.path(), DEADLINE);
    let path = newest_segment(dir.path());
    std::fs::copy(&path, dir.path().join("other")).unwrap();
    std::fs::rename(dir.path().join("other"), &path).unwrap();
    assert!(writing.append().is_err());
}

#[test]
fn a_segment_that_was_not_prepared_and_is_cut_short_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Writing::start(dir.path(), DEADLINE);
    writing.append().unwrap();
    File::options().write(true).open(newest_segment(dir.path())).unwrap().set_len(10).unwrap();
    assert!(writing.append().is_err());
}

#[test]
fn frames_behind_a_stretch_that_reads_as_zeros_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Writing::start(dir.path(), DEADLINE);
    for _ in 0..100 {
        writing.append().unwrap();
    }
    let path = newest_segment(dir.path());
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4096], 4096).unwrap();
    let found = frames_in(&path);
    assert!(found.len() < 100 && found.first() == Some(&8) && found.last() == Some(&107), "{found:?}");
}

#[test]
fn a_log_on_a_drive_that_hangs_gives_up_and_what_its_thread_does_later_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let in_use = InUse::default();
    let mut writing = Writing::start(dir.path(), SHORT);
    writing.log = Log::start(dir.path(), &START, SHORT, Arc::clone(&in_use)).unwrap();
    writing.append().unwrap();
    std::fs::write(dir.path().join("hang"), "").unwrap();
    let begun = Instant::now();
    assert_eq!(writing.append().unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(writing);
    assert!(begun.elapsed() < 10 * SHORT, "dropping it waited for the drive");
    assert_eq!(Arc::strong_count(&in_use), 2, "its thread is still in the home");
    std::fs::remove_file(dir.path().join("hang")).unwrap();
    while Arc::strong_count(&in_use) > 1 {
        std::thread::sleep(LOOK_EVERY);
    }
    assert_eq!(frames_in(&newest_segment(dir.path())), [8, 9], "a frame that is late is still a true one");
}
