use granary_drive::BLOCK_ALIGNMENT_BYTES;

use super::*;
use crate::maintain::sample::Sample;

async fn read(sample: &Sample, length_bytes: u64, known_end: u64) -> FoundVolume {
    let (map, view) = (sample.map(), Arc::clone(&sample.view));
    let walk = Walk::new(Arc::clone(&view), length_bytes);
    let found = FoundVolume::of_view(&view, known_end);
    read_walked(&map, view, walk, found).await.unwrap().volume
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
