//! Moving one column of a sealed volume to another drive: copied block by block, each checked against its hashes; read back
//! and compared; and only then said to be there, if it is still where it was. The old file goes after the grace.
//!
//! The column's own blocks say how long they are, so only where it has none (a narrow stripe did not write it) or a bad one
//! do the other columns have to be asked. Blocks that are bad are rebuilt on the way, and reported: if the move is not made after
//! all, they are healed.

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
use crate::maintain::{DamageLog, block_of};
use crate::nodes::Claim;
use crate::read::{
    BlockPlace, Found, Stripe, VerifiedBlock, any_header, header_at, read_stripe, verify_block,
};
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
    let from = row.volume.drive_of(column).ok_or(EngineError::Internal("no such column"))?;
    let source = inner.map.shard(&view, column).await.inspect_err(|error| {
        if error.is_lost() || error.is_of_sector() {
            inner.damage.report(view.id, column, Some(from));
        }
    })?;
    let replacement = target.create_replacement(name, view.profile_columns()).await?;
    let copy = Copy {
        map: &inner.map,
        damage: &inner.damage,
        view: &view,
        column,
        source: source.as_ref(),
        end: row.committed_end,
    };
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
    if is_moved {
        // It was written anew, and whole.
        inner.damage.healed(row.volume.id, column);
    }
    Ok(is_moved)
}

struct Copy<'a> {
    map: &'a VolumeMap,
    damage: &'a DamageLog,
    view: &'a Arc<VolumeView>,
    column: u8,
    source: &'a dyn ShardAccess,
    end: u64,
}

/// How far a copy has come.
struct Place {
    at: u64,
    /// Up to here the column is read stripe by stripe, together with the others: some of it is in a bad sector.
    bad_to: u64,
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
        let mut place = Place { at: FileHeader::LENGTH_BYTES, bad_to: 0 };
        while place.at < self.end {
            let began = throttle.begin();
            let copied = self.step(&mut place, to, &mut written).await?;
            throttle.pace(began, copied).await;
            claim.check()?;
        }
        Ok(written)
    }

    /// Goes on by what was read of the column at once, or by one stripe. Returns how much was copied.
    async fn step(
        &self,
        place: &mut Place,
        to: &dyn ReplacementAccess,
        written: &mut Written,
    ) -> Result<u64> {
        if place.at >= place.bad_to {
            let wanted = usize::try_from(self.end - place.at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            match self.source.read(place.at, wanted).await {
                Ok(piece) => {
                    let copied = self.copy_blocks(&piece, place.at, to, written).await?;
                    if copied > 0 {
                        place.at += copied;
                        return Ok(copied);
                    }
                }
                // It is lost with its stripe, and not with all that is read together.
                Err(error) if error.is_of_sector() => place.bad_to = place.at + wanted as u64,
                Err(error) => return Err(error.into()),
            }
        }
        place.at = self.copy_other(place.at, to, written).await?;
        Ok(0)
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
            Found::Stripe(stripe) => {
                self.report(&stripe);
                if !stripe.is_written(self.column) {
                    return Ok(At::Hole(stripe.span_bytes()));
                }
                match block_of(&stripe, self.view, self.column)? {
                    Some(block) => Ok(At::Block(Box::new(block), stripe.span_bytes())),
                    None => Err(self.damaged(at)),
                }
            }
            Found::Nothing => Err(self.damaged(at)),
            Found::Unknown(_) => Err(uncertain()),
        }
    }

    fn report(&self, stripe: &Stripe) {
        stripe.lost().for_each(|column| self.damage.report(self.view.id, column, self.view.drive(column)));
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

#[cfg(test)]
#[path = "column_tests.rs"]
mod tests;
