#![allow(clippy::cast_possible_truncation, reason = "test data may wrap")]

use proptest::prelude::*;
use reed_solomon_erasure::galois_8::ReedSolomon;

use super::*;

fn sample(k: usize, length: usize, seed: u8) -> Vec<Vec<u8>> {
    (0..k)
        .map(|c| (0..length).map(|i| (i * 31 + c * 7 + usize::from(seed)) as u8 ^ (i >> 8) as u8).collect())
        .collect()
}

fn encoded(codec: &Codec, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let length = data[0].len();
    let mut parity = vec![vec![0; length]; codec.profile().parity()];
    let columns: Vec<Column<'_>> = data.iter().enumerate().map(|(c, d)| (c, d.as_slice())).collect();
    let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&columns, &mut out).unwrap();
    data.iter().cloned().chain(parity).collect()
}

#[test]
fn parity_is_that_of_reed_solomon_erasure() {
    for (k, m) in [(1, 1), (2, 2), (4, 2), (8, 4), (16, 8)] {
        let codec = Codec::new(Profile::new(k, m).unwrap()).unwrap();
        let data = sample(k.into(), 70_000, 3);
        let ours = encoded(&codec, &data);
        let mut theirs: Vec<Vec<u8>> = data;
        theirs.resize(usize::from(k + m), vec![0; 70_000]);
        ReedSolomon::new(k.into(), m.into()).unwrap().encode(&mut theirs).unwrap();
        assert!(ours == theirs, "{k}+{m}");
    }
}

#[test]
fn columns_left_out_count_as_zero() {
    let codec = Codec::new(Profile::new(4, 2).unwrap()).unwrap();
    let mut data = vec![vec![0; 1000]; 4];
    data[2] = sample(1, 1000, 9).remove(0);
    let full = encoded(&codec, &data);
    let mut parity = vec![vec![0; 1000]; 2];
    let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&[(2, &data[2])], &mut out).unwrap();
    assert_eq!(parity, full[4..]);
}

#[test]
fn too_few_columns_are_refused() {
    let codec = Codec::new(Profile::new(3, 2).unwrap()).unwrap();
    let stripe = encoded(&codec, &sample(3, 100, 1));
    let mut out = vec![0; 100];
    let error = codec.reconstruct(&[(0, &stripe[0]), (4, &stripe[4])], &[1], &mut [&mut out]).unwrap_err();
    assert_eq!(error, ErasureError::TooFewColumns { available: 2, needed: 3 });
    let error =
        codec.reconstruct(&[(0, &stripe[0]), (0, &stripe[0]), (1, &stripe[1])], &[2], &mut [&mut out]);
    assert_eq!(error.unwrap_err(), ErasureError::Column(0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_k_columns_rebuild_any_other(
        k in 1_u8..=16, m in 0_u8..=8, length in 1_usize..3000, seed: u8, order in any::<u64>()
    ) {
        let codec = Codec::new(Profile::new(k, m).unwrap()).unwrap();
        let stripe = encoded(&codec, &sample(k.into(), length, seed));
        let mut columns: Vec<usize> = (0..stripe.len()).collect();
        columns.sort_by_key(|c| (order.rotate_left(*c as u32 * 7)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7);
        let available: Vec<Column<'_>> = columns[..usize::from(k)].iter().map(|&c| (c, stripe[c].as_slice())).collect();
        let wanted: Vec<usize> = columns[usize::from(k)..].to_vec();
        let mut rebuilt = vec![vec![0; length]; wanted.len()];
        let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(Vec::as_mut_slice).collect();
        codec.reconstruct(&available, &wanted, &mut out).unwrap();
        for (column, bytes) in wanted.iter().zip(&rebuilt) {
            prop_assert_eq!(bytes, &stripe[*column]);
        }
    }
}
