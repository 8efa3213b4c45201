//! Moving one column of a sealed volume to another drive: copied block by block, each checked against its hashes; read back
//! and compared; and only then said to be there, if it is still where it was. The old file goes after the grace.
//!
//! The column's own blocks say how long they are, so only where it has none (a narrow stripe did not write it) or a bad one
//! do the other columns have to be asked.

use std::sync::Arc;

use bytes::Bytes;
use granary_cluster::access::{DriveAccess, ReplacementAccess, ShardAccess};
use granary_drive::{
    BLOCK_ALIGNMENT_BYTES, BLOCK_HEADER_LENGTH_BYTES, FileHeader, ShardName, aligned_buffer, block_span_bytes,
};
use granary_metadata::{ShardMove, VolumeRow};
use granary_types::crash_point;

use super::throttle::Throttle;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::maintain::block_of;
use crate::nodes::Claim;
use crate::read::{BlockPlace, Found, VerifiedBlock, any_header, header_at, read_stripe, verify_block};
use crate::volume::{VolumeMap, VolumeView};

/// Read at a time; no block is longer.
const PIECE_BYTES: usize = 2 * 1024 * 1024;

/// What a copy wrote: where, and the hash over all of it.
struct Written {
    ranges: Vec<(u64, u64)>,
    hash: blake3::Hasher,
}

impl Written {
    fn add(&mut self, offset: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.hash.update(bytes);
        match self.ranges.last_mut() {
            Some((start, so_far)) if *start + *so_far == offset => *so_far += length,
            _ => self.ranges.push((offset, length)),
        }
    }
}

/// Moves a column. `false` if the volume changed meanwhile: nothing was done then.
pub(super) async fn move_column(
    inner: &Arc<Inner>,
    claim: &Claim,
    row: &VolumeRow,
    column: u8,
    target: &Arc<dyn DriveAccess>,
    throttle: &mut Throttle,
) -> Result<bool> {
    let view = Arc::new(VolumeView::of(row)?);
    let name = ShardName { volume: row.volume.id, column };
    let from = *row.volume.drives.get(usize::from(column)).ok_or(EngineError::Internal("no such column"))?;
    let source = inner.map.shard(&view, column).await?;
    let replacement = target.create_replacement(name, view.profile_columns()).await?;
    let copy = Copy { map: &inner.map, view: &view, column, source: source.as_ref(), end: row.committed_end };
    let written = copy.run(replacement.as_ref(), throttle, claim).await?;
    replacement.install().await?;
    crash_point("move.after_install_before_check");
    let shard = target.open_shard(name, view.profile_columns()).await?;
    check(shard.as_ref(), written, throttle).await?;
    claim.check()?;
    crash_point("move.after_check_before_swap");
    let moved = ShardMove { volume: row.volume.id, column, from, to: target.id() };
    let is_moved = inner.store.move_shard(moved).await?;
    crash_point("move.after_swap");
    inner.map.forget(row.volume.id);
    Ok(is_moved)
}

struct Copy<'a> {
    map: &'a VolumeMap,
    view: &'a Arc<VolumeView>,
    column: u8,
    source: &'a dyn ShardAccess,
    end: u64,
}

/// What is at a place of a column.
enum At {
    /// A block; the stripe is so long.
    Block(Box<VerifiedBlock>, u64),
    /// The stripe did not write the column.
    Hole(u64),
}

impl Copy<'_> {
    async fn run(
        &self,
        to: &dyn ReplacementAccess,
        throttle: &mut Throttle,
        claim: &Claim,
    ) -> Result<Written> {
        let mut written = Written { ranges: Vec::new(), hash: blake3::Hasher::new() };
        let mut at = FileHeader::LENGTH_BYTES;
        while at < self.end {
            let wanted = usize::try_from(self.end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let began = throttle.begin();
            let piece = self.source.read(at, wanted).await?;
            let copied = self.copy_blocks(&piece, at, to, &mut written).await?;
            at = if copied > 0 { at + copied } else { self.copy_other(at, to, &mut written).await? };
            throttle.pace(began, copied).await;
            claim.check()?;
        }
        Ok(written)
    }

    /// Copies the sound blocks that `piece` begins with, in as few writes as possible. Returns how far that is.
    async fn copy_blocks(
        &self,
        piece: &Bytes,
        offset: u64,
        to: &dyn ReplacementAccess,
        written: &mut Written,
    ) -> Result<u64> {
        let (mut end, mut sound) = (0_usize, 0_usize);
        while let Some(rest) = piece.get(end..).filter(|rest| rest.len() >= BLOCK_HEADER_LENGTH_BYTES) {
            let place = self.place(offset + end as u64);
            let Some(header) = header_at(rest, place) else { break };
            let length = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
            if rest.len() < length || verify_block(&piece.slice(end..end + length), place).is_none() {
                break;
            }
            let span = usize::try_from(block_span_bytes(header.body_length_bytes)).unwrap_or(length);
            sound = end + length;
            end += span;
            // What pads a block to its page is no part of it, and is written only if it is what it should be.
            if piece.get(sound..end).is_none_or(|padding| padding.iter().any(|byte| *byte != 0)) {
                break;
            }
        }
        if sound > 0 {
            let bytes = piece.slice(..sound);
            written.add(offset, &bytes);
            to.write(offset, bytes).await?;
        }
        Ok(end as u64)
    }

    /// Goes past what is not a sound block of this column at `at`: nothing, or a block to be rebuilt. Returns where it ends.
    async fn copy_other(&self, at: u64, to: &dyn ReplacementAccess, written: &mut Written) -> Result<u64> {
        match self.ask_others(at).await? {
            At::Hole(span) => Ok(at + span),
            At::Block(block, span) => {
                let mut bytes = aligned_buffer(BLOCK_HEADER_LENGTH_BYTES + block.body.len());
                bytes.resize(BLOCK_HEADER_LENGTH_BYTES, 0);
                if !block.header.write(&mut bytes) {
                    return Err(EngineError::Internal("a block's header does not fit"));
                }
                bytes.extend_from_slice(&block.body);
                let bytes = bytes.freeze();
                written.add(at, &bytes);
                to.write(at, bytes).await?;
                Ok(at + span)
            }
        }
    }

    async fn ask_others(&self, at: u64) -> Result<At> {
        if let Some(header) = any_header(self.map, self.view, at).await
            && header.columns_written & (1 << self.column) == 0
        {
            return Ok(At::Hole(block_span_bytes(header.body_length_bytes)));
        }
        match read_stripe(self.map, self.view, at).await {
            Found::Stripe(stripe) if stripe.uncertain => Err(uncertain()),
            Found::Stripe(stripe) if !stripe.is_written(self.column) => Ok(At::Hole(stripe.span_bytes())),
            Found::Stripe(stripe) => match block_of(&stripe, self.view, self.column)? {
                Some(block) => Ok(At::Block(Box::new(block), stripe.span_bytes())),
                None => Err(self.damaged(at)),
            },
            Found::Nothing => Err(self.damaged(at)),
            Found::Unknown(_) => Err(uncertain()),
        }
    }

    /// A column with a hole that should not be there stays where it is: what can still be read of it is there.
    fn damaged(&self, at: u64) -> EngineError {
        let context = format!(
            "column {} of volume {} at {at} (aligned to {BLOCK_ALIGNMENT_BYTES}); it is not moved",
            self.column, self.view.id
        );
        EngineError::Unreadable { context }
    }

    fn place(&self, stripe_offset: u64) -> BlockPlace {
        BlockPlace { volume: self.view.id, column: self.column, stripe_offset }
    }
}

fn uncertain() -> EngineError {
    EngineError::Unavailable { context: "moving a shard: a drive cannot be read now" }
}

/// Reads back what was written.
async fn check(shard: &dyn ShardAccess, written: Written, throttle: &mut Throttle) -> Result<()> {
    let mut hash = blake3::Hasher::new();
    for (start, length) in written.ranges {
        let mut at = start;
        let end = start + length;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let began = throttle.begin();
            let bytes = shard.read(at, wanted).await?;
            if bytes.is_empty() {
                break;
            }
            hash.update(&bytes);
            at += bytes.len() as u64;
            throttle.pace(began, 0).await;
        }
    }
    if hash.finalize() == written.hash.finalize() {
        return Ok(());
    }
    Err(EngineError::Unavailable { context: "moving a shard: what was written reads back differently" })
}
