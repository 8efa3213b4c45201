//! Any aws-chunked body, cut anywhere: never a panic, never more bytes than declared, and the same answer however
//! it is cut.
//!
//! Input: one byte for the length of the cuts, one for the declared length, then the body.

use bytes::Bytes;
use granary_auth::TrailerPresence;
use granary_auth::chunked::ChunkedDecoder;

fn decode(body: &[u8], declared: u64, step: usize) -> Option<Vec<u8>> {
    let announced = vec!["x-amz-checksum-crc32".to_owned()];
    let mut decoder = ChunkedDecoder::new(None, TrailerPresence::Present, declared, announced);
    let mut out = Vec::new();
    for part in body.chunks(step) {
        let mut part = Bytes::copy_from_slice(part);
        while let Some(data) = decoder.decode(&mut part).ok()? {
            out.extend_from_slice(&data);
            assert!(out.len() as u64 <= declared);
        }
    }
    decoder.finish().ok()?;
    assert_eq!(out.len() as u64, declared);
    Some(out)
}

pub(crate) fn run(data: &[u8]) {
    let [step, declared, body @ ..] = data else { return };
    let whole = decode(body, u64::from(*declared), usize::MAX);
    let cut = decode(body, u64::from(*declared), usize::from(*step).max(1));
    assert_eq!(whole, cut);
}
