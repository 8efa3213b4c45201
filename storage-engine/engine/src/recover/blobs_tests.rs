use super::*;

const FULL: u64 = 4 * BLOB_BLOCK_BYTES as u64;

fn segment(volume: u8, stripe: u64, start: u64, length_bytes: u64) -> Segment {
    let offset = 4096 + stripe * full_span_bytes();
    Segment { volume: VolumeId::from_bytes([volume; 16]), offset, start, length_bytes, data_columns: 4 }
}

#[test]
fn stripes_that_follow_each_other_are_one_segment() {
    let mut first = segment(1, 0, 0, FULL);
    assert!(first.extend(&segment(1, 1, FULL, 100)));
    assert!(
        !first.extend(&segment(1, 2, FULL + 100, 100)),
        "behind a stripe that is not full nothing follows"
    );
    assert!(!segment(1, 0, 0, FULL).extend(&segment(1, 2, FULL, FULL)), "another upload lies between");
    assert_eq!(first.length_bytes, FULL + 100);
}

#[test]
fn a_run_that_was_written_again_elsewhere_is_found_whole() {
    // The second run failed after one stripe and was written again to another volume, from the run's beginning.
    let segments =
        [segment(1, 0, 0, 9 * FULL), segment(2, 5, 8 * FULL, 8 * FULL), segment(2, 13, 16 * FULL, 7)];
    let found = chain(&segments, 16 * FULL + 7).unwrap();
    assert_eq!(found.iter().map(|extent| extent.length_bytes).sum::<u64>(), 16 * FULL + 7);
    assert_eq!(found[1].offset, segments[1].offset + full_span_bytes());
    assert!(chain(&segments[..2], 16 * FULL + 7).is_none(), "the last bytes are missing");
    assert!(chain(&segments[1..], 16 * FULL + 7).is_none(), "the first bytes are missing");
}

#[test]
fn a_longer_piece_that_leads_nowhere_is_left_for_a_shorter_one() {
    let long = segment(1, 0, 0, 3 * FULL);
    let short = segment(2, 0, 0, FULL);
    let rest = Segment { data_columns: 2, ..segment(3, 0, FULL, FULL + FULL / 2) };
    let found = chain(&[long, short, rest], 2 * FULL + FULL / 2).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].volume, short.volume);
}
