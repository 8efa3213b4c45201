use granary_types::UnixMillis;
use proptest::prelude::*;

use super::*;
use crate::keyring::{KeyRing, Keys};

fn key() -> DataKey {
    KeyRing::new(Keys::generate(UnixMillis(1)).unwrap()).seal_managed().unwrap().1
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

/// Encrypts `plain` as it comes in pieces of these lengths, over and over.
fn seal(key: &DataKey, stream: StreamId, plain: &[u8], pieces: &[usize]) -> Vec<u8> {
    let mut sealer = Sealer::new(key, stream).unwrap();
    let mut stored = Vec::new();
    let mut rest = plain;
    for length in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        rest = behind;
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(unit) = sealer.push(&mut piece).unwrap() {
            stored.extend_from_slice(&unit);
        }
        assert!(piece.is_empty());
    }
    if let Some(unit) = sealer.finish().unwrap() {
        stored.extend_from_slice(&unit);
    }
    assert_eq!(sealer.plain_bytes(), plain.len() as u64);
    assert_eq!(stored.len() as u64, stored_length_bytes(plain.len() as u64));
    stored
}

fn open(
    key: &DataKey,
    stream: StreamId,
    stored: &[u8],
    plain_bytes: u64,
    (from, to): (u64, u64),
    pieces: usize,
) -> Result<Vec<u8>, KeyError> {
    let mut opener = Opener::new(key, stream, plain_bytes, (from, to))?;
    let (start, end) = stored_range(plain_bytes, from, to);
    let mut plain = Vec::new();
    for piece in stored[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].chunks(pieces) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(bytes) = opener.push(&mut piece)? {
            plain.extend_from_slice(&bytes);
        }
    }
    assert!(opener.is_done());
    Ok(plain)
}

#[test]
fn lengths_at_the_edges_of_units() {
    let unit = UNIT_BYTES;
    for (plain, stored) in
        [(0, 0), (1, 17), (unit, unit + 16), (unit + 1, unit + 33), (3 * unit - 1, 3 * unit + 47)]
    {
        assert_eq!(stored_length_bytes(plain), stored);
        let plain_bytes = content(usize::try_from(plain).unwrap());
        let key = key();
        let sealed = seal(&key, StreamId::Whole, &plain_bytes, &[1000]);
        let opened = open(&key, StreamId::Whole, &sealed, plain, (0, plain), 777).unwrap();
        assert_eq!(opened, plain_bytes);
    }
}

#[test]
fn nothing_of_the_plaintext_is_stored() {
    let plain = vec![b'A'; 200_000];
    let stored = seal(&key(), StreamId::Whole, &plain, &[4096]);
    assert!(!stored.windows(8).any(|part| part == b"AAAAAAAA"));
}

#[test]
fn units_fit_only_where_they_were_made() {
    let key = key();
    let unit = usize::try_from(STORED_UNIT_BYTES).unwrap();
    let plain = content(3 * UNIT);
    let bytes = plain.len() as u64;
    let part = StreamId::Part(BlobId::from_bytes([1; 16]));
    let stored = seal(&key, part, &plain, &[UNIT]);
    let whole = (0, bytes);
    assert!(open(&key, part, &stored, bytes, whole, unit).is_ok());
    // In another place.
    let mut swapped = stored.clone();
    let (first, second) = swapped.split_at_mut(unit);
    first.swap_with_slice(&mut second[..unit]);
    assert!(matches!(open(&key, part, &swapped, bytes, whole, unit), Err(KeyError::Unit)));
    // In another part, or under another key.
    let other = StreamId::Part(BlobId::from_bytes([2; 16]));
    assert!(matches!(open(&key, other, &stored, bytes, whole, unit), Err(KeyError::Unit)));
    assert!(matches!(open(&self::key(), part, &stored, bytes, whole, unit), Err(KeyError::Unit)));
    // Cut off behind a unit.
    let shorter = bytes - UNIT_BYTES;
    assert!(matches!(open(&key, part, &stored, shorter, (0, shorter), unit), Err(KeyError::Unit)));
    // A flipped bit.
    let mut flipped = stored;
    flipped[unit + 5] ^= 0x10;
    assert!(matches!(open(&key, part, &flipped, bytes, whole, unit), Err(KeyError::Unit)));
}

#[test]
fn a_part_sent_again_shares_no_bytes_with_the_first() {
    let key = key();
    let plain = content(100_000);
    let first = seal(&key, StreamId::Part(BlobId::from_bytes([1; 16])), &plain, &[5000]);
    let again = seal(&key, StreamId::Part(BlobId::from_bytes([2; 16])), &plain, &[5000]);
    assert!(first.iter().zip(&again).filter(|(a, b)| a == b).count() < first.len() / 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_of_any_stream_comes_back(
        length in 1_usize..300_000, from in 0..1000_usize, share in 0..1000_usize,
        pieces in proptest::collection::vec(1_usize..150_000, 1..6), read in 1_usize..100_000,
    ) {
        let plain = content(length);
        let key = key();
        let stored = seal(&key, StreamId::Whole, &plain, &pieces);
        let at = |share: usize| length * share / 1000;
        let from = at(from).min(length - 1);
        let to = (from + 1 + at(share)).min(length);
        let opened = open(&key, StreamId::Whole, &stored, length as u64, (from as u64, to as u64), read).unwrap();
        prop_assert_eq!(&opened[..], &plain[from..to]);
    }
}
