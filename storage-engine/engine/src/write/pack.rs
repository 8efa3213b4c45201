//! How waiting small objects are laid out in stripes. Pure: objects in, sealed stripes and places out.
//!
//! Objects are taken in the order of their arrival. A stripe is filled by giving each object to the emptiest of
//! k bins until one does not fit; then the same objects are tried in fewer bins, and the number of data
//! columns that costs least on disk, parity included, is used. So a lone object makes one data block and m
//! parity blocks, and a busy store makes full stripes.

use bytes::{Bytes, BytesMut};
use granary_drive::{
    BLOCK_HEADER_LENGTH_BYTES, BlockKind, PackedEntry, PackedRecords, aligned_buffer, block_span_bytes,
};
use granary_erasure::Codec;
use granary_metadata::PackedLocation;
use granary_types::VolumeId;

use crate::error::{EngineError, Result};
use crate::volume::{Run, RunStripe, seal_stripe};

/// The longest object that is packed; longer ones become blobs.
pub(crate) const PACKED_LENGTH_BYTES_MAX: usize = 128 * 1024;
/// A bin is full when its objects have this many bytes; records come on top.
const BIN_DATA_BYTES_MAX: usize = 128 * 1024;
/// Records of a bin take at most about this much.
const BIN_RECORDS_BYTES_MAX: usize = 64 * 1024;
/// What an entry takes in the records besides the object's own record.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 48;
/// Bodies are multiples of this, so that the codec's vectors have no tails.
const BODY_STEP_BYTES: usize = 64;

/// A small object to be packed.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub bytes: Bytes,
    pub hash: [u8; 32],
    pub record: Vec<u8>,
}

/// Where an item lies in its run: offsets count from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub column: u8,
    pub at: usize,
}

impl Spot {
    /// The place of `item`, whose run begins at `offset` of a volume.
    pub(super) fn location(self, volume: VolumeId, offset: u64, item: &Item) -> PackedLocation {
        PackedLocation {
            volume,
            stripe_offset: offset,
            column: self.column,
            offset: offset + self.at as u64,
            length_bytes: u32::try_from(item.bytes.len()).unwrap_or(u32::MAX),
            hash: item.hash,
        }
    }
}

/// A sealed stripe as a run of its own, and the spots of its items in their order.
pub(crate) struct PackedStripe {
    pub run: Run,
    pub spots: Vec<Spot>,
}

#[derive(Debug, Clone, Default)]
struct Bin {
    items: Vec<usize>,
    data_bytes: usize,
    records_bytes: usize,
}

impl Bin {
    fn fits(&self, item: &Item) -> bool {
        self.items.is_empty()
            || (self.data_bytes + item.bytes.len() <= BIN_DATA_BYTES_MAX
                && self.records_bytes + item.record.len() + ENTRY_OVERHEAD_BYTES <= BIN_RECORDS_BYTES_MAX)
    }

    fn add(&mut self, index: usize, item: &Item) {
        self.items.push(index);
        self.data_bytes += item.bytes.len();
        self.records_bytes += item.record.len() + ENTRY_OVERHEAD_BYTES;
    }

    fn fill(&self) -> usize {
        self.data_bytes + self.records_bytes
    }
}

/// Packs the first of `items` into one stripe; the number of spots tells how many. `turn` rotates the first column.
pub(crate) fn pack_stripe(codec: &Codec, items: &[Item], turn: usize) -> Result<PackedStripe> {
    let k = codec.profile().data();
    let (mut best, count) = distribute(items, k);
    let chosen = items.get(..count).ok_or(EngineError::Internal("packing lost count"))?;
    let parity = codec.profile().parity();
    let cost = |bins: &[Bin]| {
        let body = bins.iter().map(Bin::fill).max().unwrap_or(0);
        (bins.len() + parity) as u64 * block_span_bytes(u32::try_from(body).unwrap_or(u32::MAX))
    };
    for columns in (1..k.min(count)).rev() {
        let (bins, fitted) = distribute(chosen, columns);
        if fitted < count {
            break;
        }
        if cost(&bins) < cost(&best) {
            best = bins;
        }
    }
    build(codec, chosen, &best, turn)
}

/// As [`pack_stripe`], but with a block in every column if there are items for all of them, though fewer may cost a block less:
/// such stripes are written together.
pub(crate) fn pack_wide_stripe(codec: &Codec, items: &[Item], turn: usize) -> Result<PackedStripe> {
    let (bins, count) = distribute(items, codec.profile().data());
    if bins.len() < codec.profile().data() {
        return pack_stripe(codec, items, turn);
    }
    let chosen = items.get(..count).ok_or(EngineError::Internal("packing lost count"))?;
    build(codec, chosen, &bins, turn)
}

/// Gives each item to the emptiest of `columns` bins until one does not fit. Returns the bins used and the count.
fn distribute(items: &[Item], columns: usize) -> (Vec<Bin>, usize) {
    let mut bins = vec![Bin::default(); columns];
    let mut count = 0;
    for (index, item) in items.iter().enumerate() {
        let Some(bin) = bins.iter_mut().min_by_key(|bin| bin.fill()) else { break };
        if !bin.fits(item) {
            break;
        }
        bin.add(index, item);
        count += 1;
    }
    bins.retain(|bin| !bin.items.is_empty());
    (bins, count)
}

fn build(codec: &Codec, items: &[Item], bins: &[Bin], turn: usize) -> Result<PackedStripe> {
    let profile = codec.profile();
    let mut blocks = Vec::with_capacity(bins.len());
    for bin in bins {
        blocks.push((records_of(items, bin)?, bin));
    }
    let used = blocks.iter().map(|(records, bin)| records.len() + bin.data_bytes).max().unwrap_or(0);
    let body = used.next_multiple_of(BODY_STEP_BYTES);
    let body_length_bytes =
        u32::try_from(body).map_err(|_| EngineError::Internal("a packed block is too long"))?;
    // Whole pages on a page boundary, so that the drives can write them past the page cache.
    let span = usize::try_from(block_span_bytes(body_length_bytes))
        .map_err(|_| EngineError::Internal("a packed block is too long"))?;
    let mut columns: Vec<Option<BytesMut>> = (0..profile.columns()).map(|_| None).collect();
    let mut sealed = Vec::with_capacity(blocks.len());
    let mut spots = vec![Spot { column: 0, at: 0 }; items.len()];
    let narrow = blocks.len() < profile.data();
    for (number, (records, bin)) in blocks.iter().enumerate() {
        let column = if narrow { (turn + number) % profile.data() } else { number };
        let mut buffer = aligned_buffer(span);
        buffer.resize(BLOCK_HEADER_LENGTH_BYTES, 0);
        buffer.extend_from_slice(records);
        for &index in &bin.items {
            let (Some(item), Some(spot)) = (items.get(index), spots.get_mut(index)) else { continue };
            *spot = Spot { column: u8::try_from(column).unwrap_or(0), at: buffer.len() };
            buffer.extend_from_slice(&item.bytes);
        }
        buffer.resize(span, 0);
        let too_long = |_| EngineError::Internal("a packed block is too long");
        let records_length = u32::try_from(records.len()).map_err(too_long)?;
        let data_length = u32::try_from(bin.data_bytes).map_err(too_long)?;
        sealed.push((column, records_length, data_length));
        if let Some(slot) = columns.get_mut(column) {
            *slot = Some(buffer);
        }
    }
    for slot in columns.iter_mut().skip(profile.data()) {
        let mut parity = aligned_buffer(span);
        parity.resize(span, 0);
        *slot = Some(parity);
    }
    let stripe: RunStripe = seal_stripe(codec, &mut columns, 0, body_length_bytes, &sealed)?;
    let profile = (profile.data_columns(), profile.parity_columns());
    let columns = columns.into_iter().map(|buffer| buffer.map(BytesMut::freeze)).collect();
    Ok(PackedStripe { run: Run { kind: BlockKind::Packed, profile, columns, stripes: vec![stripe] }, spots })
}

fn records_of(items: &[Item], bin: &Bin) -> Result<Vec<u8>> {
    let mut entries = Vec::with_capacity(bin.items.len());
    let mut offset = 0_u32;
    for item in bin.items.iter().filter_map(|&index| items.get(index)) {
        let length_bytes = u32::try_from(item.bytes.len())
            .map_err(|_| EngineError::Internal("a packed object is too long"))?;
        entries.push(PackedEntry { offset, length_bytes, hash: item.hash, record: item.record.clone() });
        offset += length_bytes;
    }
    Ok(PackedRecords { entries }.encode()?)
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
