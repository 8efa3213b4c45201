use granary_types::VolumeId;
use proptest::prelude::*;

use super::*;

fn extent(length_bytes: u64) -> Extent {
    Extent { volume: VolumeId::from_bytes([1; 16]), offset: 4096 * 3, length_bytes }
}

proptest! {
    #[test]
    fn blocks_cover_the_extent_once_and_in_order(k in 1_u8..=16, length in 1_u64..20_000_000) {
        let extent = extent(length);
        let mut at = 0;
        let mut offset = extent.offset;
        for stripe in stripes(&extent, k, 0, length) {
            prop_assert_eq!(stripe.extent_offset, at);
            prop_assert_eq!(stripe.offset, offset);
            let mut columns = std::collections::HashSet::new();
            for block in stripe.blocks() {
                prop_assert_eq!(stripe.extent_offset + block.stripe_offset, at);
                prop_assert!(block.column < k && columns.insert(block.column));
                prop_assert!(block.length_bytes > 0 && block.length_bytes <= stripe.block_bytes);
                at += u64::from(block.length_bytes);
            }
            offset += stripe.span_bytes();
        }
        prop_assert_eq!(at, length);
        prop_assert_eq!(extent_end(&extent, k), offset);
    }

    #[test]
    fn a_range_touches_only_its_stripes(k in 1_u8..=8, length in 1_u64..9_000_000, a: u32, b: u32) {
        let (a, b) = (u64::from(a) % length, u64::from(b) % length);
        let (from, to) = (a.min(b), a.max(b) + 1);
        let touched: Vec<_> = stripes(&extent(length), k, from, to).collect();
        let expected: Vec<_> = stripes(&extent(length), k, 0, length)
            .filter(|s| s.extent_offset < to && s.extent_offset + s.length_bytes > from)
            .collect();
        prop_assert_eq!(touched, expected);
    }
}

#[test]
fn an_extent_without_bytes_has_no_stripes() {
    assert_eq!(extent_end(&extent(0), 4), 4096 * 3);
}
