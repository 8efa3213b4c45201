#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

fn encoded(frames: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = FrameEncoder::begin(&mut out);
    frames.iter().for_each(|frame| encoder.append(frame, &mut out).unwrap());
    encoder.finish(&mut out).unwrap();
    out
}

fn open(bytes: &[u8]) -> io::Result<FrameFile> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    std::fs::write(&path, bytes).unwrap();
    FrameFile::open(&path)
}

fn refusal(bytes: &[u8]) -> String {
    let error = open(bytes).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    error.to_string()
}

#[test]
fn what_was_written_is_read() {
    let file = open(&encoded(&[b"first", b"", b"third"])).unwrap();
    let frames: Vec<Vec<u8>> = (0..file.count()).map(|number| file.frame(number).unwrap()).collect();
    assert_eq!(frames, [b"first".as_slice(), b"", b"third"]);
    assert!(file.frame(3).is_err());
    assert_eq!(open(&encoded(&[])).unwrap().count(), 0);
}

/// Each survey of the drives opens all backups, and what is damaged lies there for long.
#[test]
fn the_length_of_an_index_was_believed_before_it_was_looked_at() {
    let whole = encoded(&[b"first", b"", b"third"]);
    let length_at = whole.len() - 44;
    let with_length = |length: u32| {
        let mut bytes = whole.clone();
        bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    assert!(open(&with_length(24)).is_ok());
    for length in [1, 23, 25, u32::MAX - 7, u32::MAX] {
        assert!(refusal(&with_length(length)).contains("impossible length"), "{length}");
    }
    for length in [32, 40, 1 << 20] {
        assert!(refusal(&with_length(length)).contains("longer than its frames allow"), "{length}");
    }
    assert!(refusal(&with_length(16)).contains("does not match its hash"));
    let mut foreign = with_length(u32::MAX);
    *foreign.last_mut().unwrap() ^= 1;
    assert!(refusal(&foreign).contains("is no backup"));
    // However long the file is.
    let most = FRAMES_MAX * OFFSET_BYTES;
    assert!(index_at(u64::MAX, most).is_ok());
    assert!(index_at(u64::MAX, most + OFFSET_BYTES).is_err());
}

#[test]
fn the_length_of_a_frame_was_believed_before_it_was_looked_at() {
    let whole = encoded(&[b"first", &[7; 1_000]]);
    // The second frame's length comes to be longer or shorter, within the file or not.
    for length in [0_u32, 4, 999, 1_001, 1_016, FRAME_BYTES_MAX, u32::MAX] {
        let mut bytes = whole.clone();
        let at = 8 + 36 + 5;
        assert_eq!(bytes[at..at + 4], 1_000_u32.to_le_bytes());
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let file = open(&bytes).unwrap();
        assert_eq!(file.frame(0).unwrap(), b"first");
        assert!(file.frame(1).unwrap_err().to_string().contains("impossible length"), "{length}");
    }
}
