//! Reading a whole stripe from whatever columns are readable, and rebuilding the rest.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlockHeader, block_span_bytes};
use granary_erasure::Column;

use super::block::{BlockPlace, VerifiedBlock, header_at, verify_block};
use crate::error::{EngineError, Result};
use crate::volume::{VolumeMap, VolumeView};

/// What was found of a stripe.
#[derive(Debug)]
pub(crate) struct Stripe {
    /// The header of one readable column; what it says of the stripe holds for all.
    pub header: BlockHeader,
    /// By column: a checked block, or nothing (not written, unreadable or wrong).
    pub blocks: Vec<Option<VerifiedBlock>>,
    /// Whether a column could not be read for a reason that may pass: what is missing is then not known to be lost.
    pub uncertain: bool,
}

impl Stripe {
    /// What all columns that were asked answered. Where all is there without the bad sectors that some met, what these held is
    /// lost; where it is not, it may come back.
    pub(crate) fn of_answers(
        view: &VolumeView,
        header: BlockHeader,
        answers: Vec<Result<Option<VerifiedBlock>, Uncertain>>,
    ) -> Self {
        let met = |what: Uncertain| answers.iter().any(|answer| matches!(answer, Err(it) if *it == what));
        let (may_pass, has_bad_sectors) = (met(Uncertain::MayPass), met(Uncertain::BadSector));
        let blocks = answers.into_iter().map(Result::unwrap_or_default).collect();
        let mut stripe = Self { header, blocks, uncertain: may_pass };
        let is_enough = stripe.lost().count() <= view.codec.profile().parity();
        stripe.uncertain |= has_bad_sectors && !is_enough;
        stripe
    }

    /// Whether this column was written.
    pub(crate) fn is_written(&self, column: u8) -> bool {
        self.header.columns_written & (1 << column) != 0
    }

    /// Columns that were written and cannot be read.
    pub(crate) fn lost(&self) -> impl Iterator<Item = u8> {
        (0_u8..).zip(&self.blocks).filter(|(c, b)| b.is_none() && self.is_written(*c)).map(|(c, _)| c)
    }

    /// How many bytes of each shard file it takes.
    pub(crate) fn span_bytes(&self) -> u64 {
        block_span_bytes(self.header.body_length_bytes)
    }

    /// Rebuilds the bodies of `wanted` (written columns) from the readable ones.
    pub(crate) fn rebuild(&self, view: &VolumeView, wanted: &[u8]) -> Result<Vec<Bytes>> {
        let length = self.header.body_length_bytes as usize;
        let zeros = vec![0_u8; length];
        let mut available: Vec<Column<'_>> = Vec::with_capacity(self.blocks.len());
        for (column, block) in (0_u8..).zip(&self.blocks) {
            match block {
                Some(block) => available.push((column.into(), &block.body)),
                None if !self.is_written(column) => available.push((column.into(), &zeros)),
                None => {}
            }
        }
        let mut rebuilt: Vec<Vec<u8>> = wanted.iter().map(|_| vec![0; length]).collect();
        let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(Vec::as_mut_slice).collect();
        let wanted: Vec<usize> = wanted.iter().map(|column| usize::from(*column)).collect();
        view.codec.reconstruct(&available, &wanted, &mut out).map_err(|error| EngineError::Unreadable {
            context: format!("stripe {} of volume {}: {error}", self.header.stripe, view.id),
        })?;
        Ok(rebuilt.into_iter().map(Bytes::from).collect())
    }
}

/// What was found where a stripe should begin.
pub(crate) enum Found {
    /// At least one column has a valid header there.
    Stripe(Box<Stripe>),
    /// No column has, though all that are left were read.
    Nothing,
    /// No column has, and so many could not be read for a reason that may pass.
    Unknown(usize),
}

/// Reads and checks every column of the stripe at `offset`.
pub(crate) async fn read_stripe(map: &VolumeMap, view: &Arc<VolumeView>, offset: u64) -> Found {
    let columns = u8::try_from(view.drives.len()).unwrap_or(u8::MAX);
    let headers = join_all((0..columns).map(|column| read_header(map, view, column, offset))).await;
    let silent = headers.iter().filter(|header| header.is_err()).count();
    let Some(header) = headers.into_iter().flatten().flatten().next() else {
        return if silent > 0 { Found::Unknown(silent) } else { Found::Nothing };
    };
    let length = BLOCK_HEADER_LENGTH_BYTES + header.body_length_bytes as usize;
    let reads = (0..columns).map(|column| read_block(map, view, column, offset, length));
    Found::Stripe(Box::new(Stripe::of_answers(view, header, join_all(reads).await)))
}

/// Why a read says nothing of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncertain {
    /// It failed for a reason that may pass.
    MayPass,
    /// A sector could not be read: that is lost, if it is no sign of a drive that is unwell as a whole.
    BadSector,
}

/// The checked block of a column; `None` if it is gone or wrong.
pub(crate) async fn read_block(
    map: &VolumeMap,
    view: &VolumeView,
    column: u8,
    offset: u64,
    length: usize,
) -> Result<Option<VerifiedBlock>, Uncertain> {
    let block = read_at(map, view, column, offset, length).await?;
    let place = BlockPlace { volume: view.id, column, stripe_offset: offset };
    Ok(block.and_then(|block| verify_block(&block, place)))
}

/// Bytes of a column; `None` if the file or its drive is gone or wrong.
async fn read_at(
    map: &VolumeMap,
    view: &VolumeView,
    column: u8,
    offset: u64,
    length: usize,
) -> Result<Option<Bytes>, Uncertain> {
    let read = async { map.shard(view, column).await?.read(offset, length).await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_lost() => Ok(None),
        Err(error) => {
            tracing::debug!(volume = %view.id, column, %error, "a column cannot be read now");
            Err(if error.is_of_sector() { Uncertain::BadSector } else { Uncertain::MayPass })
        }
    }
}

/// The header of a column's block; `None` if it is gone or wrong.
pub(super) async fn read_header(
    map: &VolumeMap,
    view: &VolumeView,
    column: u8,
    offset: u64,
) -> Result<Option<BlockHeader>, Uncertain> {
    let bytes = read_at(map, view, column, offset, BLOCK_HEADER_LENGTH_BYTES).await?;
    let place = BlockPlace { volume: view.id, column, stripe_offset: offset };
    Ok(bytes.and_then(|bytes| header_at(&bytes, place)))
}

/// The header of the stripe at `offset` in whatever column has a valid one; what it says of the stripe holds for all.
pub(crate) async fn any_header(map: &VolumeMap, view: &VolumeView, offset: u64) -> Option<BlockHeader> {
    for column in map.by_health(view) {
        if let Ok(Some(header)) = read_header(map, view, column, offset).await {
            return Some(header);
        }
    }
    None
}
