use granary_types::VolumeId;

use super::*;

const START: Position = Position { store: [1; 16], generation: 3, seq: 7, chain: [9; 32] };

fn segment(frames: u8) -> (Vec<u8>, Vec<Position>) {
    let mut bytes = segment_header(&START);
    let mut positions = vec![START];
    for n in 0..frames {
        let op = Op::SealVolume(VolumeId::from_bytes([n; 16]));
        let (framed, next) = frame(positions.last().unwrap(), &[&op]).unwrap();
        bytes.extend_from_slice(&framed);
        positions.push(next);
    }
    (bytes, positions)
}

#[test]
fn a_segment_reads_back_as_written() {
    let (bytes, positions) = segment(3);
    let read = read_segment(&bytes).unwrap();
    assert_eq!((read.store, read.generation, read.before), ([1; 16], 3, [9; 32]));
    let seqs: Vec<_> = read.frames.iter().map(|frame| (frame.seq, frame.chain)).collect();
    assert_eq!(seqs, positions[1..].iter().map(|p| (p.seq, p.chain)).collect::<Vec<_>>());
    let ops = decode_ops(&bytes[read.frames[2].offset..][..read.frames[2].length]).unwrap();
    assert_eq!(ops, [Op::SealVolume(VolumeId::from_bytes([2; 16]))]);
}

#[test]
fn every_flipped_bit_costs_its_frame_and_no_other() {
    let (bytes, _) = segment(3);
    for at in 0..bytes.len() {
        let mut rotten = bytes.clone();
        rotten[at] ^= 0x10;
        match read_segment(&rotten) {
            None => assert!(at < SEGMENT_HEADER_BYTES),
            Some(read) => assert_eq!(read.frames.len(), 2, "byte {at}"),
        }
    }
}

#[test]
fn a_torn_tail_costs_the_frames_it_holds() {
    let (bytes, _) = segment(3);
    let (two, _) = segment(2);
    for end in SEGMENT_HEADER_BYTES..bytes.len() {
        let frames = read_segment(&bytes[..end]).unwrap().frames.len();
        assert!(frames <= 2 && (frames == 2) == (end >= two.len()), "{end}");
    }
}

/// The first format: the same bytes under another magic, with hashes that anybody can compute.
fn unkeyed_segment() -> (Vec<u8>, Chain) {
    let mut header = segment_header(&START);
    header[..8].copy_from_slice(SEGMENT_MAGIC_UNKEYED);
    let hashed = SEGMENT_HEADER_BYTES - 32;
    let hash = *blake3::hash(&header[..hashed]).as_bytes();
    header[hashed..].copy_from_slice(&hash);
    let (forged, chain) = forged_frame(START.seq + 1);
    (([header, forged].concat()), chain)
}

/// A frame as somebody makes it who knows everything but the store's id.
fn forged_frame(seq: u64) -> (Vec<u8>, Chain) {
    let op = Op::SealVolume(VolumeId::from_bytes([5; 16]));
    let (mut framed, _) = frame(&Position { seq: seq - 1, ..START }, &[&op]).unwrap();
    let chain = chain_hash(blake3::Hasher::new(), &START.chain, seq, &framed[FRAME_HEADER_BYTES..]);
    framed[FRAME_HEADER_BYTES - 32..FRAME_HEADER_BYTES].copy_from_slice(&chain);
    (framed, chain)
}

#[test]
fn what_a_client_left_in_a_torn_frame_is_no_frame() {
    let (mut bytes, _) = segment(1);
    // A torn frame: its header is gone, and what it held, names that clients chose, is searched for the next one.
    let (forged, _) = forged_frame(START.seq + 1_000_000);
    bytes.extend_from_slice(&forged);
    let (other, _) = frame(&Position { store: [2; 16], ..START }, &[]).unwrap();
    bytes.extend_from_slice(&other);
    assert_eq!(read_segment(&bytes).unwrap().frames.len(), 1);
}

#[test]
fn segments_of_the_first_format_are_still_read() {
    let (bytes, chain) = unkeyed_segment();
    let read = read_segment(&bytes).unwrap();
    assert_eq!(read.frames.iter().map(|frame| (frame.seq, frame.chain)).collect::<Vec<_>>(), [(8, chain)]);
}
