use super::*;

const MIB: u64 = 1 << 20;
const LIMIT: VolumeLimit = VolumeLimit(1024 * MIB);
const LARGE: u64 = 4 << 40;

#[test]
fn compaction_takes_of_the_reserve_and_leaves_some_to_the_metadata() {
    // Small drives keep a tenth or 256 MiB, as they hold small volumes; large ones what a whole volume of theirs takes.
    for (total_bytes, reserve_bytes, metadata_bytes) in [
        (400 * MIB, 40 * MIB, 10 * MIB),
        (4096 * MIB, 256 * MIB, 64 * MIB),
        (8192 * MIB, (320 + 64) * MIB, 64 * MIB),
        (LARGE, (1280 + 64) * MIB, 64 * MIB),
    ] {
        assert!(Room::Free.is_left(LIMIT, reserve_bytes + 1, total_bytes));
        assert!(!Room::Free.is_left(LIMIT, reserve_bytes, total_bytes));
        assert!(Room::Reserve.is_left(LIMIT, reserve_bytes, total_bytes));
        assert!(!Room::Reserve.is_left(LIMIT, metadata_bytes, total_bytes));
    }
}

/// It was 256 MiB on drives whose volumes were 1 GiB: where all of them were merely half dead, the drive stayed full for good.
#[test]
fn a_volume_of_which_all_lives_fits_into_the_reserve_of_a_full_drive() {
    let limits = [MIB, 64 * MIB, LIMIT.0, LIMIT.0 << 10];
    for (limit, gib) in limits.iter().flat_map(|limit| [1_u64, 5, 33, 400, 4096].map(|gib| (*limit, gib))) {
        let (limit, total_bytes) = (VolumeLimit(limit), gib << 30);
        let reserve_bytes = limit.reserve_bytes(total_bytes);
        let full = Space { drive: DriveId::from_bytes([1; 16]), free_bytes: reserve_bytes, total_bytes };
        assert!(!Room::Free.has(limit, &[full], 1, 0));
        let live_bytes = limit.on(total_bytes);
        assert!(Room::Reserve.has(limit, &[full], 1, with_slack(live_bytes) - 1), "{limit:?} of {gib} GiB");
        assert!(reserve_bytes <= total_bytes / 10, "{limit:?} of {gib} GiB");
    }
}

/// Volumes may be larger than the reserve, from when the limit was another: it was used up for nothing.
#[test]
fn what_does_not_fit_into_the_reserve_is_not_begun_to_be_compacted() {
    let space = |free_mib| Space {
        drive: DriveId::from_bytes([1; 16]),
        free_bytes: free_mib * MIB,
        total_bytes: LARGE,
    };
    let full = [256, 256, 100, 64].map(space);
    let fits_in_reserve =
        |spaces: &[Space], columns, each_bytes| Room::Reserve.has(LIMIT, spaces, columns, each_bytes);
    assert!(fits_in_reserve(&full, 2, 191 * MIB) && !fits_in_reserve(&full, 2, 192 * MIB));
    assert!(fits_in_reserve(&full, 3, 35 * MIB) && !fits_in_reserve(&full, 3, 36 * MIB));
    assert!(!fits_in_reserve(&full, 4, 0));
    // Drives that are away are no full ones.
    assert!(fits_in_reserve(&full[..2], 4, 191 * MIB) && !Room::Free.has(LIMIT, &full, 1, 0));
}
