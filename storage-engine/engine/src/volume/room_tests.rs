use super::*;

#[test]
fn compaction_takes_of_the_reserve_and_leaves_some_to_the_metadata() {
    let (small, large, mib) = (400 << 20, 4 << 40, 1 << 20);
    for (total_bytes, reserve_bytes) in [(small, 40 * mib), (large, 256 * mib)] {
        assert!(Room::Free.is_left(reserve_bytes + 1, total_bytes));
        assert!(!Room::Free.is_left(reserve_bytes, total_bytes));
        assert!(Room::Reserve.is_left(reserve_bytes, total_bytes));
        assert!(!Room::Reserve.is_left(reserve_bytes / 4, total_bytes));
    }
}

/// Volumes of large drives are larger than the reserve: it was used up for nothing.
#[test]
fn what_does_not_fit_into_the_reserve_is_not_begun_to_be_compacted() {
    let (total_bytes, mib) = (4 << 40, 1_u64 << 20);
    let space = |free_bytes| Space { drive: DriveId::from_bytes([1; 16]), free_bytes, total_bytes };
    let full = [256, 256, 100, 64].map(|free| space(free * mib));
    let fits_in_reserve =
        |spaces: &[Space], columns, each_bytes| Room::Reserve.has(spaces, columns, each_bytes);
    assert!(fits_in_reserve(&full, 2, 191 * mib) && !fits_in_reserve(&full, 2, 192 * mib));
    assert!(fits_in_reserve(&full, 3, 35 * mib) && !fits_in_reserve(&full, 3, 36 * mib));
    assert!(!fits_in_reserve(&full, 4, 0));
    // Drives that are away are no full ones.
    assert!(fits_in_reserve(&full[..2], 4, 191 * mib) && !Room::Free.has(&full, 1, 0));
}
