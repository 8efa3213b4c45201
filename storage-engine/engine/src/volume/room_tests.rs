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
