use proptest::prelude::*;

use super::*;

fn header() -> BlockHeader {
    BlockHeader {
        kind: BlockKind::Packed,
        column: 5,
        profile: (4, 2),
        cluster: ClusterId::from_bytes([1; 16]),
        volume: VolumeId::from_bytes([2; 16]),
        epoch: Epoch(3),
        stripe: 4,
        stripe_offset: 8192,
        columns_written: 0b11_0001,
        body_length_bytes: 1000,
        records_length_bytes: 0,
        data_length_bytes: 0,
        hash: [9; 32],
    }
}

#[test]
fn headers_come_back_as_they_were() {
    let mut block = vec![0; 200];
    assert!(header().write(&mut block));
    assert_eq!(BlockHeader::read(&block), Some(header()));
    let file = FileHeader {
        cluster: ClusterId::from_bytes([1; 16]),
        volume: VolumeId::from_bytes([2; 16]),
        column: 3,
        profile: (4, 2),
    };
    assert_eq!(FileHeader::read(&file.to_page()), Some(file));
}

#[test]
fn a_stripe_spans_whole_pages() {
    assert_eq!(block_span_bytes(0), 4096);
    assert_eq!(block_span_bytes(4096 - 160), 4096);
    assert_eq!(block_span_bytes(4097 - 160), 8192);
}

proptest! {
    #[test]
    fn any_flipped_bit_of_a_header_is_noticed(bit in 0_usize..BLOCK_HEADER_LENGTH_BYTES * 8) {
        let mut block = vec![0; BLOCK_HEADER_LENGTH_BYTES];
        prop_assert!(header().write(&mut block));
        block[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(BlockHeader::read(&block), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = BlockHeader::read(&bytes);
        let _ = FileHeader::read(&bytes);
    }
}
