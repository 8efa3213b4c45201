use md5::Digest as _;
use proptest::prelude::*;

use super::*;

fn expected(data: &[u8]) -> [u8; 16] {
    md5::Md5::digest(data).into()
}

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Adds each stream piece by piece, a round of pieces at a time.
fn digests(
    kernel: Kernel,
    streams: &[Vec<u8>],
    piece_bytes: impl Fn(usize, usize) -> usize,
) -> Vec<[u8; 16]> {
    let mut hashes = vec![Md5::default(); streams.len()];
    let mut rests: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
    let mut round = 0;
    while rests.iter().any(|rest| !rest.is_empty()) {
        let pieces: Vec<_> = rests
            .iter_mut()
            .enumerate()
            .map(|(stream, rest)| {
                let (data, left) = rest.split_at(piece_bytes(stream, round).min(rest.len()));
                *rest = left;
                // Cut again, so that lanes have several pieces, some of them empty.
                let (first, second) = data.split_at(data.len() / 3);
                [first, &[], second]
            })
            .collect();
        let lanes = hashes.iter_mut().zip(&pieces).map(|(md5, pieces)| Lane { md5, pieces });
        kernel.update(&mut lanes.collect::<Vec<_>>());
        round += 1;
    }
    hashes.into_iter().map(Md5::finish).collect()
}

#[test]
fn all_kernels_agree_with_the_md5_crate_for_every_number_of_lanes() {
    for kernel in Kernel::available() {
        for count in 1..=2 * LANES_MAX + 1 {
            let streams: Vec<_> = (0..count).map(|lane| bytes(64 * 40 + lane * 37, lane as u64)).collect();
            let found = digests(kernel, &streams, |_, _| usize::MAX);
            for (stream, found) in streams.iter().zip(found) {
                assert_eq!(found, expected(stream), "{} with {count} lanes", kernel.name());
            }
        }
    }
}

#[test]
fn all_lengths_around_the_padding_are_right() {
    for kernel in Kernel::available() {
        let streams: Vec<_> = (0..200).map(|length| bytes(length, 7)).collect();
        let found = digests(kernel, &streams, |_, _| usize::MAX);
        for (stream, found) in streams.iter().zip(found) {
            assert_eq!(found, expected(stream), "{} bytes", stream.len());
        }
    }
}

#[test]
fn the_suite_of_rfc_1321() {
    for (text, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ] {
        for kernel in Kernel::available() {
            let found = digests(kernel, &[text.into()], |_, _| usize::MAX);
            let hex: String = found[0].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, digest);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lengths_in_any_pieces_are_right(
        lengths in prop::collection::vec(0_usize..3_000, 1..20),
        pieces in prop::collection::vec(0_usize..700, 1..30),
        seed: u64,
    ) {
        let streams: Vec<_> = lengths.iter().map(|length| bytes(*length, seed)).collect();
        for kernel in Kernel::available() {
            // One more than drawn, so that each round makes progress.
            let found = digests(kernel, &streams, |stream, round| {
                pieces[(stream * 7 + round) % pieces.len()] + 1
            });
            for (stream, found) in streams.iter().zip(found) {
                prop_assert_eq!(found, expected(stream), "{}", kernel.name());
            }
        }
    }
}
