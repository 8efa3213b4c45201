//! The log's format.
//!
//! A segment is a header and frames. A frame is the changes of one committed batch, with the hash of the frame
//! before it: `hash = BLAKE3(key of the store, previous hash, number, changes)`. The hashes make one chain through all
//! segments of all copies, and the database stores the hash it has come to; so a frame found anywhere tells which state
//! it continues, and frames of different copies can be put together.
//!
//! Frames are also looked for behind damage, so in what a torn frame held: names and attributes that clients chose. The
//! key is made of the store's random id, which no client learns, so that none of them can be made to look like a frame.
//! Segments of the first format have no key; they are read, no longer written.
//!
//! A segment is prepared with zeros and frames overwrite them, so behind the last frame there may be zeros, and behind
//! a torn one too. A segment is never written again where it holds anything: stale frames cannot follow new ones.

use crate::sqlite::op::Op;
use crate::sqlite::schema::Position;

const SEGMENT_MAGIC: &[u8; 8] = b"GRNMLOG2";
const SEGMENT_MAGIC_UNKEYED: &[u8; 8] = b"GRNMLOG1";
const KEY_CONTEXT: &str = "granary 2026-11-24 frames of the metadata log";
const FRAME_MAGIC: &[u8; 4] = b"GRNF";
/// Magic, store, generation, first number, hash before it, hash of all this.
pub(super) const SEGMENT_HEADER_BYTES: usize = 8 + 16 + 8 + 8 + 32 + 32;
/// Magic, length, number, previous hash, hash.
const FRAME_HEADER_BYTES: usize = 4 + 4 + 8 + 32 + 32;

/// Zeros are passed over in chunks of this.
const ZEROS: [u8; 256] = [0; 256];
/// Between two looks for zeros this much is searched for the next frame.
const PIECE_BYTES: usize = 1024;

/// A hash of the chain.
pub(in crate::sqlite) type Chain = [u8; 32];

/// The header of a segment whose first frame follows `position`.
pub(super) fn segment_header(position: &Position) -> Vec<u8> {
    let mut header = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    header.extend_from_slice(SEGMENT_MAGIC);
    header.extend_from_slice(&position.store);
    header.extend_from_slice(&position.generation.to_le_bytes());
    header.extend_from_slice(&position.seq.saturating_add(1).to_le_bytes());
    header.extend_from_slice(&position.chain);
    let hash = blake3::hash(&header);
    header.extend_from_slice(hash.as_bytes());
    header
}

/// A frame ready to be written, and the hash it leads to.
pub(in crate::sqlite) fn frame(
    position: &Position,
    ops: &[&Op],
) -> Result<(Vec<u8>, Position), postcard::Error> {
    finish(position, postcard::to_extend(ops, vec![0_u8; FRAME_HEADER_BYTES])?)
}

/// A frame with any payload.
#[cfg(any(test, fuzzing))]
pub(super) fn frame_of_payload(
    position: &Position,
    payload: &[u8],
) -> Result<(Vec<u8>, Position), postcard::Error> {
    finish(position, [&[0; FRAME_HEADER_BYTES], payload].concat())
}

/// Fills in the header before the payload.
fn finish(position: &Position, mut bytes: Vec<u8>) -> Result<(Vec<u8>, Position), postcard::Error> {
    let seq = position.seq.saturating_add(1);
    let (head, payload) = bytes.split_at_mut(FRAME_HEADER_BYTES);
    let chain = chain_hash(keyed(&position.store), &position.chain, seq, payload);
    let length = u32::try_from(payload.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    let fields: [&[u8]; 5] =
        [FRAME_MAGIC, &length.to_le_bytes(), &seq.to_le_bytes(), &position.chain, &chain];
    let mut rest = head;
    for field in fields {
        let (slot, tail) = rest.split_at_mut(field.len());
        slot.copy_from_slice(field);
        rest = tail;
    }
    Ok((bytes, Position { seq, chain, ..*position }))
}

/// The changes of a frame's payload.
pub(super) fn decode_ops(payload: &[u8]) -> Result<Vec<Op>, postcard::Error> {
    postcard::from_bytes(payload)
}

/// The hasher of a store's frames.
fn keyed(store: &[u8; 16]) -> blake3::Hasher {
    blake3::Hasher::new_keyed(&blake3::derive_key(KEY_CONTEXT, store))
}

fn chain_hash(mut hasher: blake3::Hasher, previous: &Chain, seq: u64, payload: &[u8]) -> Chain {
    hasher.update(previous);
    hasher.update(&seq.to_le_bytes());
    hasher.update(payload);
    *hasher.finalize().as_bytes()
}

/// A frame found in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seq: u64,
    pub(super) previous: Chain,
    pub(super) chain: Chain,
    /// Where the payload lies in the segment.
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) store: [u8; 16],
    pub(super) generation: u64,
    /// The number of its first frame.
    pub(super) first: u64,
    /// The hash before its first frame.
    pub(super) before: Chain,
    pub(super) frames: Vec<Found>,
}

/// Reads all sound frames of a segment, also behind damaged ones. `None` if the header is damaged.
pub(super) fn read_segment(bytes: &[u8]) -> Option<Segment> {
    let mut reader = Reader { bytes, at: 0 };
    let magic: [u8; 8] = reader.take()?;
    let store: [u8; 16] = reader.take()?;
    let generation = u64::from_le_bytes(reader.take()?);
    let first = u64::from_le_bytes(reader.take()?);
    let before: Chain = reader.take()?;
    let hashed = bytes.get(..reader.at)?;
    let hash: Chain = reader.take()?;
    if *blake3::hash(hashed).as_bytes() != hash {
        return None;
    }
    let hasher = match &magic {
        SEGMENT_MAGIC => keyed(&store),
        SEGMENT_MAGIC_UNKEYED => blake3::Hasher::new(),
        _ => return None,
    };
    let mut frames = Vec::new();
    while let Some(start) = find_magic(bytes, reader.at) {
        match read_frame(&hasher, bytes, start) {
            Some(found) => {
                reader.at = found.offset.saturating_add(found.length);
                frames.push(found);
            }
            None => reader.at = start.saturating_add(1),
        }
    }
    Some(Segment { store, generation, first, before, frames })
}

/// The next place from `from` on where a frame may begin.
fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        // Prepared and unused: the log ends here, unless a damaged stretch only reads as zeros and frames follow.
        let zeros =
            rest.chunks(ZEROS.len()).take_while(|chunk| ZEROS.starts_with(chunk)).map(<[u8]>::len).sum();
        let piece = rest.get(zeros..)?;
        let searched = piece.get(..PIECE_BYTES).unwrap_or(piece);
        if searched.len() < FRAME_MAGIC.len() {
            return None;
        }
        at = at.saturating_add(zeros);
        if let Some(found) = searched.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC) {
            return Some(at.saturating_add(found));
        }
        // The last bytes may begin a magic that goes on behind the piece.
        at = at.saturating_add(searched.len().saturating_sub(FRAME_MAGIC.len() - 1));
    }
}

fn read_frame(hasher: &blake3::Hasher, bytes: &[u8], start: usize) -> Option<Found> {
    let mut reader = Reader { bytes, at: start };
    let _magic: [u8; 4] = reader.take()?;
    let length = usize::try_from(u32::from_le_bytes(reader.take()?)).ok()?;
    let seq = u64::from_le_bytes(reader.take()?);
    let previous: Chain = reader.take()?;
    let chain: Chain = reader.take()?;
    let offset = reader.at;
    let payload = bytes.get(offset..offset.checked_add(length)?)?;
    let sound = chain_hash(hasher.clone(), &previous, seq, payload) == chain;
    sound.then_some(Found { seq, previous, chain, offset, length })
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let field = self.bytes.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(field)
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
