#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use granary_types::VolumeId;

use super::*;

const MIB: u64 = 1 << 20;

/// Extents of a part that hold so many bytes together.
fn part(lengths: &[u64]) -> Vec<Extent> {
    let volume = VolumeId::from_bytes([1; 16]);
    lengths.iter().map(|length_bytes| Extent { volume, offset: 0, length_bytes: *length_bytes }).collect()
}

fn at(index: usize, from: u64, held_bytes: u64) -> At {
    At { index, from, held_bytes }
}

#[test]
fn a_copy_goes_on_behind_what_is_there() {
    let lengths = [10, 0, 20];
    let behind = |begun: &[&[u64]]| {
        At::behind(&begun.iter().map(|lengths| part(lengths)).collect::<Vec<_>>(), &lengths)
    };
    assert_eq!(behind(&[]), Some(at(0, 0, 0)));
    assert_eq!(behind(&[&[3]]), Some(at(0, 3, 3)));
    assert_eq!(behind(&[&[3, 7]]), Some(at(1, 0, 10)));
    assert_eq!(behind(&[&[10], &[]]), Some(at(2, 0, 10)));
    assert_eq!(behind(&[&[10], &[], &[5, 5]]), Some(at(2, 10, 20)));
    assert_eq!(behind(&[&[10], &[], &[20]]), Some(at(3, 0, 30)));
    for wrong in [&[&[11_u64][..]][..], &[&[9], &[]], &[&[10], &[1]], &[&[10], &[], &[20], &[]]] {
        assert_eq!(behind(wrong), None, "{wrong:?}");
    }
}

/// From whatever place, the pieces go through every part once, in order, also through those that hold nothing.
#[test]
fn pieces_go_through_everything_once() {
    let lengths = [10, 0, 25, 5, 0];
    for piece_bytes in [1, 7, 10, 12, 40, 100] {
        let (mut place, mut seen) = (At::default(), vec![Vec::new(); lengths.len()]);
        loop {
            let slices = place.piece(&lengths, piece_bytes);
            if slices.is_empty() {
                break;
            }
            let taken: u64 = slices.iter().map(|slice| slice.to - slice.from).sum();
            assert!(taken <= piece_bytes, "{piece_bytes}: {slices:?}");
            for slice in slices {
                seen.get_mut(slice.index).unwrap().push((slice.from, slice.to));
                place = place.after(slice, *lengths.get(slice.index).unwrap());
            }
        }
        assert_eq!(place, at(lengths.len(), 0, 40));
        for (slices, length) in seen.iter().zip(lengths) {
            let ends = slices.iter().try_fold(0, |end, (from, to)| (end == *from).then_some(*to));
            assert_eq!(ends, Some(length), "{piece_bytes}: {slices:?}");
            assert!(!slices.is_empty(), "every part is told of");
        }
    }
}

#[test]
fn pieces_are_no_longer_than_volumes_and_not_too_many() {
    assert_eq!(piece_bytes(1 << 30, 5 << 30), PIECE_BYTES);
    assert_eq!(piece_bytes(4 * MIB, 100 * MIB), 4 * MIB);
    let huge = 5 << 40;
    assert!(huge / piece_bytes(1 << 30, huge) <= PIECES_MAX);
    assert_eq!(piece_bytes(0, 0), 1);
}
