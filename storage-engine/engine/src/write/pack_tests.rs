#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use granary_drive::BlockKind;
use granary_erasure::Profile;
use proptest::prelude::*;

use super::*;

fn codec(k: u8, m: u8) -> Codec {
    Codec::new(Profile::new(k, m).unwrap()).unwrap()
}

fn item(length: usize, seed: u8) -> Item {
    let bytes = Bytes::from(vec![seed; length]);
    Item { hash: *blake3::hash(&bytes).as_bytes(), bytes, record: vec![seed; 100] }
}

fn columns_written(stripe: &PackedStripe) -> u32 {
    stripe.run.stripes[0].columns_written.count_ones()
}

#[test]
fn a_lone_object_makes_one_data_block_and_the_parity() {
    let packed = pack_stripe(&codec(4, 2), &[item(10_000, 1)], 6).unwrap();
    assert_eq!(columns_written(&packed), 3);
    assert_eq!(packed.spots[0].column, 2);
    assert!(packed.run.stored_bytes() <= 3 * 12_288);
}

#[test]
fn a_busy_store_makes_full_stripes() {
    let items: Vec<Item> = (0..40).map(|i| item(16_384, i)).collect();
    let packed = pack_stripe(&codec(4, 2), &items, 0).unwrap();
    assert_eq!(columns_written(&packed), 6);
    assert_eq!(packed.spots.len(), 32);
    let live = 32 * 16_384;
    assert!(packed.run.stored_bytes() * 100 < live * 150 * 106 / 100, "{}", packed.run.stored_bytes());
}

#[test]
fn a_crumb_does_not_pay_for_a_column_of_its_own() {
    let packed = pack_stripe(&codec(4, 2), &[item(100_000, 1), item(10, 2)], 0).unwrap();
    assert_eq!(columns_written(&packed), 3);
}

#[test]
fn a_wide_stripe_has_a_block_in_every_column_if_there_are_objects_for_all() {
    let codec = codec(8, 4);
    // In seven columns the longest block would be no longer.
    let items: Vec<Item> = (0..20).map(|i| item(10_000, i)).collect();
    let (cheap, wide) =
        (pack_stripe(&codec, &items, 0).unwrap(), pack_wide_stripe(&codec, &items, 0).unwrap());
    assert_eq!((columns_written(&cheap), columns_written(&wide)), (11, 12));
    assert_eq!(wide.spots.len(), 20);
    let few = pack_wide_stripe(&codec, &items[..7], 0).unwrap();
    assert!(columns_written(&few) < 12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_object_lies_where_its_spot_says(
        k in 1_u8..=8, m in 0_u8..=4, turn: u16, lengths in proptest::collection::vec(1_usize..PACKED_LENGTH_BYTES_MAX, 1..40)
    ) {
        let codec = codec(k, m);
        let items: Vec<Item> = lengths.iter().enumerate().map(|(i, &l)| item(l, i as u8)).collect();
        let packed = pack_stripe(&codec, &items, turn.into()).unwrap();
        prop_assert!(!packed.spots.is_empty());
        prop_assert_eq!(packed.run.kind, BlockKind::Packed);
        for (spot, item) in packed.spots.iter().zip(&items) {
            let buffer = packed.run.columns[usize::from(spot.column)].as_ref().unwrap();
            prop_assert!(buffer[spot.at..].starts_with(&item.bytes));
        }
    }
}
