//! Checking one block: its header against its place, its records and its data against their hashes.

use bytes::Bytes;
use granary_drive::{
    BLOCK_HEADER_LENGTH_BYTES, BlobRecords, BlockHeader, BlockKind, PackedRecords, UNIT_LENGTH_BYTES,
};
use granary_types::VolumeId;

/// The records of a data block, parsed.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    Packed(PackedRecords),
    Blob(BlobRecords),
    Parity,
}

/// A block every byte of which was checked.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedBlock {
    pub header: BlockHeader,
    pub records: Records,
    pub body: Bytes,
}

impl VerifiedBlock {
    /// The data behind the records.
    pub(crate) fn data(&self) -> Bytes {
        let start = self.header.records_length_bytes as usize;
        let end = start + self.header.data_length_bytes as usize;
        if end <= self.body.len() { self.body.slice(start..end) } else { Bytes::new() }
    }
}

/// The place a block must say it is at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockPlace {
    pub volume: VolumeId,
    pub column: u8,
    pub stripe_offset: u64,
}

/// The header, if it is whole and says that it belongs where it was read.
pub(crate) fn header_at(block: &[u8], place: BlockPlace) -> Option<BlockHeader> {
    let header = BlockHeader::read(block)?;
    let fits = header.volume == place.volume
        && header.column == place.column
        && header.stripe_offset == place.stripe_offset;
    fits.then_some(header)
}

/// Checks a whole block.
pub(crate) fn verify_block(block: &Bytes, place: BlockPlace) -> Option<VerifiedBlock> {
    let header = header_at(block, place)?;
    let end = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
    if block.len() < end {
        return None;
    }
    let body = block.slice(BLOCK_HEADER_LENGTH_BYTES..end);
    verify_body(header, body)
}

/// Checks a body against its header; also used on bodies that were rebuilt.
pub(crate) fn verify_body(header: BlockHeader, body: Bytes) -> Option<VerifiedBlock> {
    if header.is_parity() {
        let fits = blake3::hash(&body).as_bytes() == &header.hash;
        return fits.then_some(VerifiedBlock { header, records: Records::Parity, body });
    }
    let records_end = header.records_length_bytes as usize;
    let data_end = records_end + header.data_length_bytes as usize;
    let records_bytes = body.get(..records_end)?;
    if blake3::hash(records_bytes).as_bytes() != &header.hash {
        return None;
    }
    let data = body.get(records_end..data_end)?;
    // Padding carries no hash, but parity was computed over it: it has to be what it was written as.
    if body.get(data_end..)?.iter().any(|byte| *byte != 0) {
        return None;
    }
    let records = match header.kind {
        BlockKind::Packed => {
            let records = PackedRecords::decode(records_bytes)?;
            let covered = records.entries.iter().try_fold(0_usize, |at, entry| {
                let end = at + entry.length_bytes as usize;
                let fits = entry.offset as usize == at && hash_fits(data.get(at..end)?, &entry.hash);
                fits.then_some(end)
            })?;
            (covered == data.len()).then_some(Records::Packed(records))?
        }
        BlockKind::Blob => {
            let records = BlobRecords::decode(records_bytes)?;
            let fits = units_fit(data, &records.units);
            fits.then_some(Records::Blob(records))?
        }
    };
    Some(VerifiedBlock { header, records, body })
}

/// Whether `data` is exactly the units with these hashes.
pub(crate) fn units_fit(data: &[u8], units: &[[u8; 32]]) -> bool {
    data.len().div_ceil(UNIT_LENGTH_BYTES) == units.len()
        && data.chunks(UNIT_LENGTH_BYTES).zip(units).all(|(unit, hash)| hash_fits(unit, hash))
}

pub(crate) fn hash_fits(bytes: &[u8], hash: &[u8; 32]) -> bool {
    blake3::hash(bytes).as_bytes() == hash
}
