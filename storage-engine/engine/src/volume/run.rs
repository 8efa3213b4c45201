//! Stripes in memory, from sealing to stamping.
//!
//! A [`Run`] is consecutive stripes of one volume, a buffer for each column. It is sealed (records hashed,
//! parity computed) without knowing where it will go, and stamped with its place when the volume reserved one;
//! so the expensive work is done in parallel and a run can be stamped again for another volume.

use bytes::{Bytes, BytesMut};
use granary_drive::{
    BLOCK_HEADER_LENGTH_BYTES, BlockHeader, BlockKind, aligned_buffer, aligned_copy, block_span_bytes,
};
use granary_erasure::{Codec, Column};
use granary_types::{ClusterId, Epoch, VolumeId};

use crate::error::{EngineError, Result};

/// What a block's header says of the block's content.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BlockSeal {
    pub records_length_bytes: u32,
    pub data_length_bytes: u32,
    pub hash: [u8; 32],
}

/// One sealed stripe of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunStripe {
    /// Where it begins in the column buffers.
    pub at: usize,
    pub body_length_bytes: u32,
    pub columns_written: u32,
    /// By column; unwritten columns have the default.
    pub seals: Vec<BlockSeal>,
}

/// Consecutive stripes with a buffer for each column; `None` for columns that are not written.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub kind: BlockKind,
    pub profile: (u8, u8),
    pub columns: Vec<Option<Bytes>>,
    pub stripes: Vec<RunStripe>,
}

/// The place a volume gave to a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub cluster: ClusterId,
    pub volume: VolumeId,
    pub epoch: Epoch,
    pub offset: u64,
    pub first_stripe: u64,
}

impl Run {
    /// How many bytes of each shard file the run takes.
    pub(crate) fn span_bytes(&self) -> u64 {
        self.stripes.iter().map(|stripe| block_span_bytes(stripe.body_length_bytes)).sum()
    }

    /// Runs that follow each other as one. Those of several have all their columns; one alone stays as it is.
    ///
    /// # Errors
    /// When a column is missing, or they are of different codes.
    pub(crate) fn joined(mut runs: Vec<Self>) -> Result<Option<Self>> {
        if runs.len() <= 1 {
            return Ok(runs.pop());
        }
        let apart = || EngineError::Internal("runs that do not fit are joined");
        let first = runs.first().ok_or_else(apart)?;
        let (kind, profile, width) = (first.kind, first.profile, first.columns.len());
        let length = runs.iter().map(Self::span_bytes).sum::<u64>();
        let length = usize::try_from(length).map_err(|_| apart())?;
        let mut columns: Vec<BytesMut> = (0..width).map(|_| aligned_buffer(length)).collect();
        let (mut stripes, mut at) = (Vec::new(), 0);
        for run in runs {
            if (run.kind, run.profile, run.columns.len()) != (kind, profile, width) {
                return Err(apart());
            }
            for (to, from) in columns.iter_mut().zip(&run.columns) {
                to.extend_from_slice(from.as_ref().ok_or_else(apart)?);
            }
            stripes.extend(run.stripes.into_iter().map(|stripe| RunStripe { at: at + stripe.at, ..stripe }));
            at = columns.first().map_or(0, BytesMut::len);
        }
        let columns = columns.into_iter().map(|column| Some(column.freeze())).collect();
        Ok(Some(Self { kind, profile, columns, stripes }))
    }

    /// How many bytes it takes in all shard files together.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stripes
            .iter()
            .map(|s| block_span_bytes(s.body_length_bytes) * u64::from(s.columns_written.count_ones()))
            .sum()
    }

    /// Writes every block's header for `place`. A buffer that a stalled drive still holds is copied first.
    pub(crate) fn stamp(&mut self, place: &Place) -> Result<()> {
        for (column, slot) in (0_u8..).zip(&mut self.columns) {
            let Some(bytes) = slot.take() else { continue };
            let mut buffer = bytes.try_into_mut().unwrap_or_else(|shared| aligned_copy(&shared));
            for (index, stripe) in (0_u64..).zip(&self.stripes) {
                let header = header(self.kind, self.profile, column, stripe, index, place);
                let written = header.is_none_or(|header| {
                    buffer.get_mut(stripe.at..).is_some_and(|block| header.write(block))
                });
                if !written {
                    return Err(EngineError::Internal("a stripe's buffer is too short"));
                }
            }
            *slot = Some(buffer.freeze());
        }
        Ok(())
    }
}

/// The header of one block; `None` if the column is not written in this stripe.
fn header(
    kind: BlockKind,
    profile: (u8, u8),
    column: u8,
    stripe: &RunStripe,
    index: u64,
    place: &Place,
) -> Option<BlockHeader> {
    if stripe.columns_written & (1 << column) == 0 {
        return None;
    }
    let seal = stripe.seals.get(usize::from(column))?;
    Some(BlockHeader {
        kind,
        column,
        profile,
        cluster: place.cluster,
        volume: place.volume,
        epoch: place.epoch,
        stripe: place.first_stripe + index,
        stripe_offset: place.offset + stripe.at as u64,
        columns_written: stripe.columns_written,
        body_length_bytes: stripe.body_length_bytes,
        records_length_bytes: seal.records_length_bytes,
        data_length_bytes: seal.data_length_bytes,
        hash: seal.hash,
    })
}

/// Computes the parity of one stripe whose data blocks lie at `at` in the data columns' buffers, and the seals of
/// the parity blocks. `data` holds (column, records length, data length) of the data blocks that are written.
pub(crate) fn seal_stripe(
    codec: &Codec,
    columns: &mut [Option<BytesMut>],
    at: usize,
    body_length_bytes: u32,
    data: &[(usize, u32, u32)],
) -> Result<RunStripe> {
    let profile = codec.profile();
    let start = at + BLOCK_HEADER_LENGTH_BYTES;
    let body = start..start + body_length_bytes as usize;
    let short = || EngineError::Internal("a stripe's buffer is too short");
    let (data_columns, parity_columns) = columns.split_at_mut_checked(profile.data()).ok_or_else(short)?;
    let mut seals = vec![BlockSeal::default(); profile.columns()];
    let mut columns_written = 0_u32;
    let mut inputs: Vec<Column<'_>> = Vec::with_capacity(data.len());
    for &(column, records_length_bytes, data_length_bytes) in data {
        let buffer = data_columns.get(column).and_then(Option::as_ref).ok_or_else(short)?;
        let bytes = buffer.get(body.clone()).ok_or_else(short)?;
        let records = bytes.get(..records_length_bytes as usize).ok_or_else(short)?;
        let seal = seals.get_mut(column).ok_or_else(short)?;
        *seal =
            BlockSeal { records_length_bytes, data_length_bytes, hash: *blake3::hash(records).as_bytes() };
        inputs.push((column, bytes));
        columns_written |= 1 << column;
    }
    let mut parity: Vec<&mut [u8]> = parity_columns
        .iter_mut()
        .map(|buffer| buffer.as_mut().and_then(|b| b.get_mut(body.clone())).ok_or_else(short))
        .collect::<Result<_>>()?;
    codec.encode(&inputs, &mut parity)?;
    for (number, bytes) in parity.iter().enumerate() {
        let column = profile.data() + number;
        if let Some(seal) = seals.get_mut(column) {
            seal.hash = *blake3::hash(bytes).as_bytes();
        }
        columns_written |= 1 << column;
    }
    Ok(RunStripe { at, body_length_bytes, columns_written, seals })
}
