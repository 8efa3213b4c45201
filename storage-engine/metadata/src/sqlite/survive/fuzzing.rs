//! What fuzz targets call: the formats of the survival's files are private.

use super::frame::{SEGMENT_HEADER_BYTES, decode_ops, frame_of_payload, read_segment, segment_header};
use super::snapshot::Seal;
use crate::sqlite::schema::Position;

/// Reads `data` as a segment, as what follows a sound header, and as the changes of a sound frame between damage.
///
/// # Panics
/// When what was read is not what was written.
pub fn log(data: &[u8]) {
    let _ = read_segment(data);
    let start = Position { store: [1; 16], generation: 3, seq: 7, chain: [9; 32] };
    let mut segment = segment_header(&start);
    segment.extend_from_slice(data);
    if let Some(read) = read_segment(&segment) {
        let ends = read.frames.iter().map(|frame| (frame.offset, frame.offset.saturating_add(frame.length)));
        let order: Vec<_> = ends.flat_map(|(from, to)| [from, to]).collect();
        assert!(
            order.is_sorted() && order.iter().all(|at| (SEGMENT_HEADER_BYTES..=segment.len()).contains(at))
        );
    }
    let (damage, payload) = data.split_at(usize::from(data.first().copied().unwrap_or(0)).min(data.len()));
    let Ok((framed, next)) = frame_of_payload(&start, payload) else { return };
    let mut segment = segment_header(&start);
    // Without what could be the magic, so that the damage cannot swallow the frame.
    segment.extend(damage.iter().filter(|byte| **byte != b'G'));
    segment.extend_from_slice(&framed);
    segment.resize(segment.len().saturating_add(700), 0);
    let found = read_segment(&segment).map(|read| read.frames).unwrap_or_default();
    let found = found.first().copied();
    assert_eq!(found.map(|frame| (frame.seq, frame.chain)), Some((next.seq, next.chain)));
    assert_eq!(found.and_then(|frame| segment.get(frame.offset..)?.get(..frame.length)), Some(payload));
    if let Ok(ops) = decode_ops(payload) {
        let again = postcard::to_stdvec(&ops).ok();
        let again = again.and_then(|bytes| decode_ops(&bytes).ok());
        assert_eq!(again, Some(ops));
    }
}

/// Reads `data` as a seal, and as the content of one with the right hash.
///
/// # Panics
/// When what was read is not what is written.
pub fn seal(data: &[u8]) {
    let _ = Seal::decode(data);
    let mut sealed = data.to_vec();
    sealed.extend_from_slice(blake3::hash(data).as_bytes());
    if let Some(seal) = Seal::decode(&sealed) {
        let again = seal.encode().ok();
        assert_eq!(again.and_then(|bytes| Seal::decode(&bytes)), Some(seal));
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
