//! Where the bytes of a blob's extent lie. Pure arithmetic, derived from the extent and k alone.
//!
//! An extent is a run of stripes. Each block of a blob is one page of header and records and then data, so that
//! data begins on a page. All stripes but the last hold k × [`BLOB_BLOCK_BYTES`]; the last holds the rest in
//! as few equal blocks as possible, from the first column on.

use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, block_span_bytes};
use granary_metadata::Extent;

/// Data bytes in a full block.
pub(crate) const BLOB_BLOCK_BYTES: u32 = 128 * 1024;
/// What header and records of a blob's block take together: one page.
pub(crate) const BLOB_HEAD_BYTES: u32 = 4096;
/// The records' share of it.
pub(crate) const BLOB_RECORDS_BYTES: u32 = 3936;
const _: () = assert!(BLOB_RECORDS_BYTES as usize + BLOCK_HEADER_LENGTH_BYTES == BLOB_HEAD_BYTES as usize);
/// Blocks of a last stripe are multiples of this.
const LAST_BLOCK_STEP_BYTES: u64 = 4096;

/// One stripe of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobStripe {
    /// Where it begins in each shard file.
    pub offset: u64,
    /// Where its bytes begin in the extent.
    pub extent_offset: u64,
    /// How many bytes of the blob it holds.
    pub length_bytes: u64,
    /// Data bytes in each block.
    pub block_bytes: u32,
    /// k.
    pub data_columns: u8,
}

/// The share of one column in a stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobBlock {
    /// The column.
    pub column: u8,
    /// Where its bytes begin in the stripe.
    pub stripe_offset: u64,
    /// How many bytes it holds.
    pub length_bytes: u32,
}

impl BlobStripe {
    /// The stripe that holds `length_bytes` (at most a full stripe) at `offset`.
    pub(crate) fn new(offset: u64, extent_offset: u64, length_bytes: u64, data_columns: u8) -> Self {
        let share = length_bytes.div_ceil(u64::from(data_columns.max(1)));
        let rounded = share.next_multiple_of(LAST_BLOCK_STEP_BYTES).max(LAST_BLOCK_STEP_BYTES);
        let block_bytes = u32::try_from(rounded).unwrap_or(BLOB_BLOCK_BYTES).min(BLOB_BLOCK_BYTES);
        Self { offset, extent_offset, length_bytes, block_bytes, data_columns }
    }

    /// The length of the body of each of its blocks.
    pub(crate) fn body_bytes(self) -> u32 {
        BLOB_RECORDS_BYTES + self.block_bytes
    }

    /// How many bytes of each shard file it takes.
    pub(crate) fn span_bytes(self) -> u64 {
        block_span_bytes(self.body_bytes())
    }

    /// The blocks that hold its bytes, in the order of the bytes.
    pub(crate) fn blocks(self) -> impl Iterator<Item = BlobBlock> {
        let block = u64::from(self.block_bytes);
        let used = self.length_bytes.div_ceil(block);
        let k = u64::from(self.data_columns.max(1));
        (0..used.min(k)).map(move |index| {
            let stripe_offset = index * block;
            BlobBlock {
                column: u8::try_from(index).unwrap_or(0),
                stripe_offset,
                length_bytes: u32::try_from((self.length_bytes - stripe_offset).min(block)).unwrap_or(0),
            }
        })
    }
}

/// Bytes of a blob in a full stripe of k data columns.
pub(crate) fn full_stripe_bytes(data_columns: u8) -> u64 {
    u64::from(BLOB_BLOCK_BYTES) * u64::from(data_columns)
}

/// The stripes of an extent that hold any byte of `from..to` (counted in the extent).
pub(crate) fn stripes(
    extent: &Extent,
    data_columns: u8,
    from: u64,
    to: u64,
) -> impl Iterator<Item = BlobStripe> + use<> {
    let full = full_stripe_bytes(data_columns);
    let span = block_span_bytes(BLOB_RECORDS_BYTES + BLOB_BLOCK_BYTES);
    let (offset, length_bytes) = (extent.offset, extent.length_bytes);
    let first = from / full.max(1);
    let last = to.min(length_bytes).div_ceil(full.max(1));
    (first..last).map(move |index| {
        let extent_offset = index * full;
        BlobStripe::new(
            offset + index * span,
            extent_offset,
            (length_bytes - extent_offset).min(full),
            data_columns,
        )
    })
}

/// One past the last byte of each shard file that the extent takes.
pub(crate) fn extent_end(extent: &Extent, data_columns: u8) -> u64 {
    stripes(extent, data_columns, 0, extent.length_bytes)
        .last()
        .map_or(extent.offset, |stripe| stripe.offset + stripe.span_bytes())
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
