use granary_erasure::Profile;
use proptest::prelude::*;

use super::*;

const PAGE: usize = 4096;

fn blob() -> BlobId {
    BlobId::from_bytes([7; 16])
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap()).collect()
}

/// Fills runs as a writer does, and gives them up after so many stripes; `split` leaves a run after each piece.
fn runs(code: (u8, u8), body: &[u8], piece: usize, (stripes_max, split): (usize, bool)) -> Vec<Run> {
    let codec = Arc::new(Codec::new(Profile::new(code.0, code.1).unwrap()).unwrap());
    let budget = Arc::new(Semaphore::new(1 << 20));
    let start = |offset: usize| {
        let permit = Arc::clone(&budget).try_acquire_owned().unwrap();
        Filling::new(Arc::clone(&codec), offset as u64, stripes_max, vec![permit])
    };
    let (mut done, mut filling, mut written) = (Vec::new(), start(0), 0);
    for mut piece in body.chunks(piece) {
        while !piece.is_empty() {
            let taken = filling.fill(piece);
            piece = &piece[taken..];
            written += taken;
            if filling.stripe_is_full() {
                filling.seal(blob(), b"record").unwrap();
                if !filling.is_long() {
                    assert!(filling.grow(&budget));
                } else {
                    done.push(std::mem::replace(&mut filling, start(written)));
                }
            }
        }
        if split && !filling.stripes.is_empty() {
            let rest = filling.split_last().unwrap();
            done.push(std::mem::replace(&mut filling, rest));
        }
    }
    done.extend(filling.conclude(blob(), b"record").unwrap());
    done.into_iter().map(|filling| filling.into_run().0).collect()
}

fn check(code: (u8, u8), length: usize, piece: usize, how: (usize, bool)) {
    let body = bytes(length);
    let runs = runs(code, &body, piece, how);
    let read: Vec<u8> = runs.iter().flat_map(data_of).collect();
    assert!(read == body, "{length} bytes in pieces of {piece} by {code:?}, {how:?}");
    for buffer in runs.iter().flat_map(|run| run.columns.iter().flatten()) {
        assert_eq!(
            buffer.as_ptr().align_offset(PAGE),
            0,
            "{length} bytes in pieces of {piece} by {code:?}, {how:?}"
        );
    }
}

#[test]
fn what_was_filled_in_is_in_the_runs_and_lies_on_pages() {
    for code in [(1, 0), (1, 1), (4, 2)] {
        let stripe = BLOCK * usize::from(code.0);
        for length in [1, BLOCK - 1, BLOCK, BLOCK + 1, stripe, stripe + 5, 3 * stripe + 777, 9 * stripe] {
            check(code, length, 100_000, (8, false));
            check(code, length, 100_000, (2, true));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_body_in_any_pieces(
        k in 1_u8..6, m in 0_u8..3, length in 1_usize..4_000_000, piece in 1_000_usize..700_000,
        stripes_max in 1_usize..9, split: bool,
    ) {
        check((k, m), length, piece, (stripes_max, split));
    }
}
