//! A run of stripes being filled with the bytes of a blob.

use std::sync::Arc;

use bytes::BytesMut;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlobRecords, BlockKind, UNIT_LENGTH_BYTES, aligned_buffer};
use granary_erasure::Codec;
use granary_types::BlobId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{EngineError, Result};
use crate::layout::{BLOB_BLOCK_BYTES, BLOB_HEAD_BYTES, BLOB_RECORDS_BYTES, BlobStripe};
use crate::volume::{Run, RunStripe, seal_stripe};

/// The budget for buffers is counted in units of this.
pub(crate) const BUDGET_UNIT_BYTES: usize = 64 * 1024;

/// The run being filled.
pub(crate) struct Filling {
    codec: Arc<Codec>,
    /// In the stripe being filled those of the data are as long as they are filled, and those of the parity have their whole
    /// length: what is overwritten anyway is not cleared first.
    columns: Vec<Option<BytesMut>>,
    pub(crate) stripes: Vec<RunStripe>,
    /// Where the stripe being filled begins in the buffers.
    at: usize,
    /// Bytes of the blob in that stripe.
    filled: usize,
    /// Where that stripe begins in the blob.
    blob_offset: u64,
    /// Bytes of the blob in the sealed stripes.
    pub(crate) sealed_bytes: u64,
    /// How many stripes it is to have at most.
    stripes_max: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

/// What a full stripe takes of the budget.
pub(crate) fn stripe_units(codec: &Codec) -> u32 {
    let bytes = codec.profile().columns() * (BLOB_BLOCK_BYTES + BLOB_HEAD_BYTES) as usize;
    u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX)
}

const BLOCK: usize = BLOB_BLOCK_BYTES as usize;
const HEAD: usize = BLOB_HEAD_BYTES as usize;

impl Filling {
    pub(crate) fn new(
        codec: Arc<Codec>,
        blob_offset: u64,
        stripes_max: usize,
        permits: Vec<OwnedSemaphorePermit>,
    ) -> Self {
        let first = || first_stripe(blob_offset, stripes_max);
        let columns = (0..codec.profile().columns()).map(|_| Some(first())).collect();
        let mut filling = Self {
            codec,
            columns,
            stripes: Vec::new(),
            at: 0,
            filled: 0,
            blob_offset,
            sealed_bytes: 0,
            stripes_max,
            permits,
        };
        filling.extend();
        filling
    }

    /// Whether it has as many full stripes as it is to have.
    pub(crate) fn is_long(&self) -> bool {
        self.stripes.len() >= self.stripes_max
    }

    pub(crate) fn stripe_is_full(&self) -> bool {
        self.filled == BLOCK * self.codec.profile().data()
    }

    /// Copies as much of `bytes` as the stripe takes.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.stripe_is_full() {
            let (column, within) = (self.filled / BLOCK, self.filled % BLOCK);
            let count = (BLOCK - within).min(bytes.len() - taken);
            let target = self.columns.get_mut(column).and_then(Option::as_mut);
            let (Some(target), Some(source)) = (target, bytes.get(taken..taken + count)) else { break };
            if within == 0 {
                target.resize(self.at + HEAD, 0);
            }
            target.extend_from_slice(source);
            taken += count;
            self.filled += count;
        }
        taken
    }

    /// Makes room for one more stripe if the budget has it right now.
    pub(crate) fn grow(&mut self, budget: &Arc<Semaphore>) -> bool {
        let Ok(permit) = Arc::clone(budget).try_acquire_many_owned(stripe_units(&self.codec)) else {
            return false;
        };
        self.permits.push(permit);
        self.extend();
        true
    }

    /// Makes room for one more stripe.
    pub(crate) fn extend(&mut self) {
        let (length, k) = (self.at + HEAD + BLOCK, self.codec.profile().data());
        for (column, slot) in self.columns.iter_mut().enumerate() {
            let Some(buffer) = slot else { continue };
            if buffer.capacity() < length {
                let mut larger = aligned_buffer(length.max(self.stripes_max * (HEAD + BLOCK)));
                larger.extend_from_slice(buffer);
                *buffer = larger;
            }
            if column >= k {
                buffer.resize(length, 0);
            }
        }
    }

    /// Where the first stripe begins in the blob.
    pub(crate) fn first_blob_offset(&self) -> u64 {
        self.blob_offset - self.sealed_bytes
    }

    /// Seals what is left and gives back what there is to append: the full stripes, and the last one as a run of its
    /// own, because it has a geometry of its own.
    pub(crate) fn conclude(mut self, blob: BlobId, record: &[u8]) -> Result<Vec<Self>> {
        let mut runs = Vec::with_capacity(2);
        if self.filled > 0 {
            let mut last = self.split_last()?;
            last.shrink(last.filled);
            last.seal(blob, record)?;
            runs.push(last);
        }
        if !self.stripes.is_empty() {
            runs.insert(0, self);
        }
        Ok(runs)
    }

    /// The run to append, the bytes of the blob it holds, and the permits to keep until it is written.
    pub(crate) fn into_run(mut self) -> (Run, u64, Vec<OwnedSemaphorePermit>) {
        for buffer in self.columns.iter_mut().flatten() {
            // A stripe that was begun and got no bytes is no part of the run.
            buffer.truncate(self.at);
        }
        let profile = self.codec.profile();
        let profile = (profile.data_columns(), profile.parity_columns());
        let columns = self.columns.into_iter().map(|buffer| buffer.map(BytesMut::freeze)).collect();
        (
            Run { kind: BlockKind::Blob, profile, columns, stripes: self.stripes },
            self.sealed_bytes,
            self.permits,
        )
    }

    /// Takes the stripe being filled out of the run, as a run of its own.
    pub(crate) fn split_last(&mut self) -> Result<Self> {
        let at = self.at;
        let columns = self.columns.iter_mut().map(|slot| slot.as_mut().map(|b| take_from(b, at))).collect();
        Ok(Self {
            codec: Arc::clone(&self.codec),
            columns,
            stripes: Vec::new(),
            at: 0,
            filled: std::mem::take(&mut self.filled),
            blob_offset: self.blob_offset,
            sealed_bytes: 0,
            stripes_max: self.stripes_max,
            permits: self.permits.pop().into_iter().collect(),
        })
    }

    /// Lays the `length` bytes of a last stripe out in as few equal blocks as possible.
    fn shrink(&mut self, length: usize) {
        let k = self.codec.profile().data();
        let stripe = BlobStripe::new(0, 0, length as u64, u8::try_from(k).unwrap_or(1));
        let block = stripe.block_bytes as usize;
        if block == BLOCK {
            for slot in self.columns.iter_mut().take(k).skip(length.div_ceil(BLOCK)) {
                *slot = None;
            }
            self.columns.iter_mut().flatten().for_each(|buffer| buffer.resize(HEAD + BLOCK, 0));
            return;
        }
        let mut bytes = Vec::with_capacity(length);
        for buffer in self.columns.iter().take(k).flatten() {
            bytes.extend(buffer.iter().skip(HEAD).take((length - bytes.len()).min(BLOCK)));
        }
        for (column, slot) in self.columns.iter_mut().enumerate() {
            let data =
                bytes.get(column * block..).map(|rest| rest.get(..block).unwrap_or(rest)).unwrap_or_default();
            if column < k && data.is_empty() {
                *slot = None;
                continue;
            }
            let mut buffer = aligned_buffer(HEAD + block);
            buffer.resize(HEAD + block, 0);
            if column < k
                && let Some(target) = buffer.get_mut(HEAD..HEAD + data.len())
            {
                target.copy_from_slice(data);
            }
            *slot = Some(buffer);
        }
    }

    /// Hashes and encodes the stripe that was filled and starts the next.
    pub(crate) fn seal(&mut self, blob: BlobId, record: &[u8]) -> Result<()> {
        let k = self.codec.profile().data();
        let block = self
            .columns
            .iter()
            .flatten()
            .map(BytesMut::len)
            .max()
            .unwrap_or(0)
            .saturating_sub(self.at + HEAD);
        let mut data = Vec::with_capacity(k);
        for column in 0..k.min(self.filled.div_ceil(block.max(1))) {
            let blob_offset = self.blob_offset + (column * block) as u64;
            let length = (self.filled - column * block).min(block);
            let buffer = self.columns.get_mut(column).and_then(Option::as_mut);
            let buffer = buffer.ok_or(EngineError::Internal("a stripe without a buffer"))?;
            let records = write_records(buffer, self.at, length, blob, blob_offset, record)?;
            data.push((column, records, u32::try_from(length).unwrap_or(u32::MAX)));
        }
        let body = BLOB_RECORDS_BYTES + u32::try_from(block).unwrap_or(u32::MAX);
        let stripe = seal_stripe(&self.codec, &mut self.columns, self.at, body, &data)?;
        self.stripes.push(stripe);
        self.at += HEAD + block;
        self.blob_offset += self.filled as u64;
        self.sealed_bytes += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}

/// One column's buffer for a run. A run that does not begin its blob is likely to become full, and
/// gets room for that at once; a buffer that doubled instead would copy the run once more, to pages that the kernel has
/// to clear first.
fn first_stripe(blob_offset: u64, stripes_max: usize) -> BytesMut {
    let stripes = if blob_offset > 0 { stripes_max } else { 1 };
    aligned_buffer(stripes * (HEAD + BLOCK))
}

/// Moves what lies at and after `at` to a buffer of its own. Two halves of one buffer could not be stamped without a copy.
fn take_from(buffer: &mut BytesMut, at: usize) -> BytesMut {
    let rest = buffer.get(at..).unwrap_or_default();
    // It may be filled on, and must not move then.
    let mut taken = aligned_buffer(rest.len().max(HEAD + BLOCK));
    taken.extend_from_slice(rest);
    buffer.truncate(at);
    taken
}

/// Puts the records of one block in front of its data; they take the whole rest of the page.
fn write_records(
    buffer: &mut [u8],
    at: usize,
    length: usize,
    blob: BlobId,
    blob_offset: u64,
    record: &[u8],
) -> Result<u32> {
    let page = buffer.get_mut(at..).and_then(|block| block.split_at_mut_checked(HEAD));
    let (head, rest) = page.ok_or(EngineError::Internal("a block is too short"))?;
    let data = rest.get(..length).ok_or(EngineError::Internal("a block is too short"))?;
    let units = data.chunks(UNIT_LENGTH_BYTES).map(|unit| *blake3::hash(unit).as_bytes()).collect();
    let length_bytes = u32::try_from(length).map_err(|_| EngineError::Internal("a block is too long"))?;
    let encoded = BlobRecords { blob, blob_offset, length_bytes, units, record: record.to_vec() }.encode()?;
    let records = head.get_mut(BLOCK_HEADER_LENGTH_BYTES..).unwrap_or_default();
    let target =
        records.get_mut(..encoded.len()).ok_or(EngineError::Internal("a blob's records are too long"))?;
    target.copy_from_slice(&encoded);
    Ok(BLOB_RECORDS_BYTES)
}

/// The bytes of the blob in a run, in order.
pub(crate) fn data_of(run: &Run) -> Vec<u8> {
    let mut bytes = Vec::new();
    for stripe in &run.stripes {
        for (buffer, seal) in run.columns.iter().zip(&stripe.seals) {
            let start = stripe.at + HEAD;
            let data = buffer.as_ref().and_then(|b| b.get(start..start + seal.data_length_bytes as usize));
            bytes.extend_from_slice(data.unwrap_or_default());
        }
    }
    bytes
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;
