use granary_types::BlobId;

use super::*;

fn parts(lengths_bytes: &[u64]) -> Vec<PartRef> {
    (1_u8..)
        .zip(lengths_bytes)
        .map(|(number, length_bytes)| PartRef {
            number: PartNumber::new(u32::from(number) * 2).unwrap(),
            blob: BlobId::from_bytes([number; 16]),
            length_bytes: *length_bytes,
            checksum: None,
        })
        .collect()
}

fn found(lengths_bytes: &[u64], start: u64, end: u64) -> Option<Vec<u8>> {
    let parts = parts_of(&parts(lengths_bytes), ByteRange { start, end })?;
    Some(parts.iter().map(|part| part.blob.as_bytes()[0]).collect())
}

#[test]
fn only_ranges_of_whole_parts_are_shared() {
    let lengths = [5, 10, 3];
    assert_eq!(found(&lengths, 0, 18), Some(vec![1, 2, 3]));
    assert_eq!(found(&lengths, 0, 5), Some(vec![1]));
    assert_eq!(found(&lengths, 5, 15), Some(vec![2]));
    assert_eq!(found(&lengths, 5, 18), Some(vec![2, 3]));
    for (start, end) in [(0, 4), (0, 6), (1, 5), (4, 15), (5, 14), (6, 15), (5, 19), (18, 20), (0, 0)] {
        assert_eq!(found(&lengths, start, end), None, "{start}..{end}");
    }
    assert_eq!(found(&[0, 5, 0, 7], 0, 12), Some(vec![2, 4]));
    assert_eq!(found(&[0], 0, 0), None);
    assert_eq!(found(&[], 0, 0), None);
}

#[test]
fn a_copy_has_numbers_of_its_own() {
    let numbers: Vec<u16> =
        renumbered(&parts(&[5, 10])).unwrap().iter().map(|part| part.number.get()).collect();
    assert_eq!(numbers, [1, 2]);
}
