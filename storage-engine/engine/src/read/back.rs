//! Reading back what was just written, before it takes the place of bytes that are freed then.

use bytes::Bytes;
use granary_cluster::access::ShardAccess;
use granary_drive::block_span_bytes;
use granary_types::VolumeId;

use super::block::{BlockPlace, verify_block};
use crate::error::{EngineError, Result};
use crate::layout::{BLOB_BLOCK_BYTES, BLOB_HEAD_BYTES};

/// What is read of a column at once: eight full stripes of a large object, which is long enough for a disk, and less than what a
/// node is asked for at most.
const PIECE_BYTES: u64 = 8 * (BLOB_HEAD_BYTES + BLOB_BLOCK_BYTES) as u64;

/// A stripe as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrittenStripe {
    /// Where it begins in each shard file.
    pub offset: u64,
    /// How many bytes of each shard file it takes.
    pub span_bytes: u64,
    /// The columns that have a block of it, a bit for each.
    pub columns_written: u32,
}

/// Reads the blocks that a column has of these stripes, which are in the order of their offsets, and checks every byte.
///
/// # Errors
/// [`EngineError::Unreadable`] if a block is not what was written; those of the drive.
pub(crate) async fn read_back(
    shard: &dyn ShardAccess,
    (volume, column): (VolumeId, u8),
    stripes: &[WrittenStripe],
) -> Result<()> {
    let mut rest = stripes;
    while let Some(first) = rest.first() {
        let piece_end = first.offset + PIECE_BYTES;
        let within = |stripe: &&WrittenStripe| stripe.offset + stripe.span_bytes <= piece_end;
        let count = rest.iter().take_while(within).count().max(1);
        let (piece, behind) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        rest = behind;
        let ours = || piece.iter().filter(|stripe| stripe.columns_written & (1 << column) != 0);
        let Some((from, to)) = ours().next().zip(ours().next_back()) else { continue };
        let length_bytes = to.offset + to.span_bytes - from.offset;
        let length_bytes = usize::try_from(length_bytes).unwrap_or(usize::MAX);
        let bytes = shard.read(from.offset, length_bytes).await?;
        for stripe in ours() {
            check_block(&bytes, from.offset, (volume, column), *stripe)?;
        }
    }
    Ok(())
}

fn check_block(
    bytes: &Bytes,
    read_at: u64,
    (volume, column): (VolumeId, u8),
    stripe: WrittenStripe,
) -> Result<()> {
    let at = usize::try_from(stripe.offset - read_at).unwrap_or(usize::MAX);
    let place = BlockPlace { volume, column, stripe_offset: stripe.offset };
    let block = (at <= bytes.len()).then(|| bytes.slice(at..));
    match block.and_then(|block| verify_block(&block, place)) {
        Some(block) if block_span_bytes(block.header.body_length_bytes) == stripe.span_bytes => Ok(()),
        _ => Err(EngineError::Unreadable {
            context: format!("column {column} of stripe {} of volume {volume}, just written", stripe.offset),
        }),
    }
}
