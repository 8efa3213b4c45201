use granary_metadata::Extent;
use granary_types::VolumeId;

use super::{PIECE_BYTES_MAX, pieces};

fn extents(lengths: &[u64]) -> Vec<Extent> {
    let volume = VolumeId::from_bytes([1; 16]);
    lengths.iter().map(|length| Extent { volume, offset: 0, length_bytes: *length }).collect()
}

#[test]
fn short_extents_that_follow_each_other_are_one_piece_and_none_is_too_long() {
    const MIB: u64 = 1 << 20;
    let lengths =
        [4 * MIB, 4 * MIB, 7, 8, 4 * MIB, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, 1, PIECE_BYTES_MAX - 1];
    let extents = extents(&lengths);
    let pieces = pieces(&extents, |extent| extent.length_bytes != 7);
    let found: Vec<Vec<u64>> =
        pieces.iter().map(|piece| piece.iter().map(|extent| extent.length_bytes).collect()).collect();
    let wanted: [&[u64]; 6] = [
        &[4 * MIB, 4 * MIB],
        &[7],
        &[8, 4 * MIB],
        &[PIECE_BYTES_MAX],
        &[PIECE_BYTES_MAX + 1],
        &[1, PIECE_BYTES_MAX - 1],
    ];
    assert_eq!(found, wanted);
}
