//! Streaming a large body into runs of full stripes.
//!
//! Bytes are copied once, from the body into the buffers of the columns. A full stripe is hashed and encoded while
//! it is warm in the cache; a full run (1 MiB a shard file) is handed to the drives while the next one fills.
//! Buffers count against a budget that all uploads share, so memory is bounded however many there are.
//!
//! Nothing is flushed until the end, but every [`FLUSH_EVERY_BYTES`] a flush is started in the background, so
//! that the last one is short.

use std::sync::Arc;

use bytes::Bytes;
use granary_drive::{BLOCK_HEADER_LENGTH_BYTES, BlobRecords, BlockKind, Flush, UNIT_LENGTH_BYTES};
use granary_erasure::Codec;
use granary_metadata::{Extent, VolumeAdvance};
use granary_types::{BlobId, crash_point};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::{EngineError, Result};
use crate::layout::{
    BLOB_BLOCK_BYTES, BLOB_HEAD_BYTES, BLOB_RECORDS_BYTES, BlobStripe, extent_end, full_stripe_bytes,
};
use crate::volume::{LaneKind, OpenVolume, Run, RunStripe, VolumePool, seal_stripe};

/// Full stripes in a run: 1 MiB of data in each shard file.
const RUN_STRIPES_MAX: usize = 8;
/// Runs of one upload that may be on their way to the drives.
const RUNS_IN_FLIGHT_MAX: usize = 2;
const ATTEMPTS_MAX: usize = 3;
const FLUSH_EVERY_BYTES: u64 = 32 * 1024 * 1024;
/// The budget is counted in units of this.
pub(crate) const BUDGET_UNIT_BYTES: usize = 64 * 1024;

type Appended = (Arc<OpenVolume>, u64, u64);

/// A blob written and flushed, ready to be committed.
#[derive(Debug)]
pub(crate) struct WrittenBlob {
    pub id: BlobId,
    pub extents: Vec<Extent>,
    pub length_bytes: u64,
    pub advances: Vec<VolumeAdvance>,
    /// Kept until the commit is done: a held volume is not sealed.
    pub volumes: Vec<Arc<OpenVolume>>,
}

/// Writes one blob.
pub(crate) struct BlobWriter {
    id: BlobId,
    record: Vec<u8>,
    pool: Arc<VolumePool>,
    budget: Arc<Semaphore>,
    volume: Arc<OpenVolume>,
    filling: Option<Filling>,
    base_bytes: u64,
    length_bytes: u64,
    in_flight: Vec<JoinHandle<Result<Appended>>>,
    appended: Vec<Appended>,
    unflushed_bytes: u64,
}

/// The run being filled.
struct Filling {
    codec: Arc<Codec>,
    columns: Vec<Option<Vec<u8>>>,
    stripes: Vec<RunStripe>,
    /// Where the stripe being filled begins in the buffers.
    at: usize,
    /// Bytes of the blob in that stripe.
    filled: usize,
    /// Where that stripe begins in the blob.
    blob_offset: u64,
    /// Bytes of the blob in the sealed stripes.
    sealed_bytes: u64,
    permits: Vec<OwnedSemaphorePermit>,
}

impl BlobWriter {
    /// Begins a new blob.
    pub(crate) async fn start(
        pool: Arc<VolumePool>,
        budget: Arc<Semaphore>,
        record: Vec<u8>,
    ) -> Result<Self> {
        let id =
            BlobId::random().map_err(|source| EngineError::Io { context: "drawing a blob id", source })?;
        Self::start_at(pool, budget, record, id, 0).await
    }

    /// Begins to write bytes of an existing blob to a new place; the first is at `base_bytes` of the blob.
    pub(crate) async fn start_at(
        pool: Arc<VolumePool>,
        budget: Arc<Semaphore>,
        record: Vec<u8>,
        id: BlobId,
        base_bytes: u64,
    ) -> Result<Self> {
        let volume = pool.current(LaneKind::Bulk).await?;
        Ok(Self {
            id,
            record,
            pool,
            budget,
            volume,
            filling: None,
            base_bytes,
            length_bytes: 0,
            in_flight: Vec::new(),
            appended: Vec::new(),
            unflushed_bytes: 0,
        })
    }

    /// Takes the next bytes of the body.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let mut filling = match self.filling.take() {
                Some(filling) => filling,
                None => self.new_run().await?,
            };
            let taken = filling.fill(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.length_bytes += taken as u64;
            if filling.stripe_is_full() {
                filling.seal(self.id, &self.record)?;
                let grown = filling.stripes.len() < RUN_STRIPES_MAX && filling.grow(&self.budget);
                if !grown {
                    self.submit(filling).await?;
                    continue;
                }
            }
            self.filling = Some(filling);
        }
        Ok(())
    }

    /// Writes what is left and makes everything durable. A blob whose runs met a failing drive is read back by the
    /// caller and written again; that is told by [`Finished::Rewrite`].
    pub(crate) async fn finish(mut self) -> Result<Finished> {
        if let Some(mut filling) = self.filling.take() {
            if filling.filled > 0 {
                let (last, full) = (filling.filled, filling.sealed_bytes);
                if full > 0 {
                    // The last stripe has a geometry of its own; it is a run of its own, right behind.
                    let rest = filling.split_last()?;
                    self.submit(filling).await?;
                    filling = rest;
                }
                filling.shrink(last);
                filling.seal(self.id, &self.record)?;
            }
            self.submit(filling).await?;
        }
        self.settle(0).await?;
        crash_point("blob.after_runs_before_flush");
        self.into_written().await
    }

    async fn new_run(&mut self) -> Result<Filling> {
        if !self.volume.has_room() {
            self.volume = self.pool.current(LaneKind::Bulk).await?;
        }
        let codec = Arc::clone(&self.volume.codec);
        let units = stripe_units(&codec);
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .map_err(|_| EngineError::Unavailable { context: "waiting for buffers" })?;
        Ok(Filling::new(codec, self.base_bytes + self.length_bytes, permit))
    }

    /// Hands a run to the drives; waits only if too many are on their way already.
    async fn submit(&mut self, mut filling: Filling) -> Result<()> {
        if filling.stripes.is_empty() {
            return Ok(());
        }
        for buffer in filling.columns.iter_mut().flatten() {
            buffer.truncate(filling.at);
        }
        self.settle(RUNS_IN_FLIGHT_MAX - 1).await?;
        let (volume, pool) = (Arc::clone(&self.volume), Arc::clone(&self.pool));
        self.unflushed_bytes += filling.sealed_bytes;
        self.in_flight.push(tokio::spawn(append(volume, pool, filling)));
        if self.unflushed_bytes >= FLUSH_EVERY_BYTES {
            self.unflushed_bytes = 0;
            let volume = Arc::clone(&self.volume);
            // Only a head start: the flush that counts is the last one, and it reports what goes wrong.
            tokio::spawn(async move { volume.flush().await });
        }
        Ok(())
    }

    /// Waits until at most `left` runs are in flight.
    async fn settle(&mut self, left: usize) -> Result<()> {
        while self.in_flight.len() > left {
            let run = self.in_flight.remove(0);
            let appended = run.await.map_err(|_| EngineError::Internal("an append panicked"))??;
            if appended.0.id != self.volume.id && appended.0.has_room() {
                self.volume = Arc::clone(&appended.0);
            }
            self.appended.push(appended);
        }
        Ok(())
    }

    async fn into_written(self) -> Result<Finished> {
        let mut extents: Vec<Extent> = Vec::new();
        let mut volumes: Vec<Arc<OpenVolume>> = Vec::new();
        for (volume, offset, length_bytes) in &self.appended {
            if !volumes.iter().any(|known| known.id == volume.id) {
                volumes.push(Arc::clone(volume));
            }
            add_extent(&mut extents, volume, *offset, *length_bytes);
        }
        let mut advances = Some(Vec::with_capacity(volumes.len()));
        for volume in &volumes {
            let k = volume.codec.profile().data_columns();
            let ours = extents.iter().filter(|extent| extent.volume == volume.id);
            let end = ours.map(|extent| extent_end(extent, k)).max().unwrap_or(0);
            match (volume.make_durable(end).await?, &mut advances) {
                (Some(end), Some(advances)) => advances.push((volume, end)),
                (None, advances) => *advances = None,
                (Some(_), None) => {}
            }
        }
        crash_point("blob.after_flush_before_commit");
        let written = |advances| WrittenBlob {
            id: self.id,
            extents,
            length_bytes: self.length_bytes,
            advances,
            volumes: volumes.clone(),
        };
        Ok(match advances {
            Some(ends) => {
                Finished::Durable(written(ends.into_iter().map(|(v, end)| v.advance_to(end)).collect()))
            }
            None => Finished::Rewrite(written(Vec::new())),
        })
    }
}

/// What became of a blob's bytes.
#[derive(Debug)]
pub(crate) enum Finished {
    /// Written and flushed on all columns.
    Durable(WrittenBlob),
    /// Written, but a drive failed on the way: readable, not yet with full redundancy.
    Rewrite(WrittenBlob),
}

/// Appends a run, to another volume if the first fails and has the same code.
async fn append(mut volume: Arc<OpenVolume>, pool: Arc<VolumePool>, filling: Filling) -> Result<Appended> {
    let Filling { codec, columns, stripes, sealed_bytes, permits, .. } = filling;
    let profile = (codec.profile().data_columns(), codec.profile().parity_columns());
    let columns = columns.into_iter().map(|buffer| buffer.map(Bytes::from)).collect();
    let mut run = Run { kind: BlockKind::Blob, profile, columns, stripes };
    let mut failure = EngineError::Unavailable { context: "writing to the drives" };
    for _ in 0..ATTEMPTS_MAX {
        if volume.codec.profile() != codec.profile() {
            return Err(EngineError::Unavailable { context: "writing: the code changed with the drives" });
        }
        match volume.append(&mut run, Flush::Later).await {
            Ok(offset) => {
                drop(permits);
                return Ok((volume, offset, sealed_bytes));
            }
            Err(EngineError::Drive(error)) if error.is_no_space() => return Err(EngineError::NoSpace),
            Err(error) => failure = error,
        }
        volume = pool.current(LaneKind::Bulk).await?;
    }
    Err(failure)
}

/// Adds a run's bytes to the extents, to the last one if it goes on where that ends.
fn add_extent(extents: &mut Vec<Extent>, volume: &OpenVolume, offset: u64, length_bytes: u64) {
    let k = volume.codec.profile().data_columns();
    if let Some(last) = extents.last_mut() {
        let whole = last.length_bytes.is_multiple_of(full_stripe_bytes(k));
        if last.volume == volume.id && whole && extent_end(last, k) == offset {
            last.length_bytes += length_bytes;
            return;
        }
    }
    extents.push(Extent { volume: volume.id, offset, length_bytes });
}

fn stripe_units(codec: &Codec) -> u32 {
    let bytes = codec.profile().columns() * (BLOB_BLOCK_BYTES + BLOB_HEAD_BYTES) as usize;
    u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX)
}

const BLOCK: usize = BLOB_BLOCK_BYTES as usize;
const HEAD: usize = BLOB_HEAD_BYTES as usize;

impl Filling {
    fn new(codec: Arc<Codec>, blob_offset: u64, permit: OwnedSemaphorePermit) -> Self {
        let columns = (0..codec.profile().columns()).map(|_| Some(vec![0; HEAD + BLOCK])).collect();
        let permits = vec![permit];
        Self { codec, columns, stripes: Vec::new(), at: 0, filled: 0, blob_offset, sealed_bytes: 0, permits }
    }

    fn stripe_is_full(&self) -> bool {
        self.filled == BLOCK * self.codec.profile().data()
    }

    /// Copies as much of `bytes` as the stripe takes.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.stripe_is_full() {
            let (column, within) = (self.filled / BLOCK, self.filled % BLOCK);
            let count = (BLOCK - within).min(bytes.len() - taken);
            let start = self.at + HEAD + within;
            let target = self
                .columns
                .get_mut(column)
                .and_then(Option::as_mut)
                .and_then(|b| b.get_mut(start..start + count));
            let (Some(target), Some(source)) = (target, bytes.get(taken..taken + count)) else { break };
            target.copy_from_slice(source);
            taken += count;
            self.filled += count;
        }
        taken
    }

    /// Makes room for one more stripe if the budget has it right now.
    fn grow(&mut self, budget: &Arc<Semaphore>) -> bool {
        let Ok(permit) = Arc::clone(budget).try_acquire_many_owned(stripe_units(&self.codec)) else {
            return false;
        };
        self.permits.push(permit);
        for buffer in self.columns.iter_mut().flatten() {
            buffer.resize(self.at + HEAD + BLOCK, 0);
        }
        true
    }

    /// Takes the stripe being filled out of the run, as a run of its own.
    fn split_last(&mut self) -> Result<Self> {
        let at = self.at;
        let columns =
            self.columns.iter_mut().map(|buffer| buffer.as_mut().map(|b| b.split_off(at))).collect();
        let permit = self.permits.pop().ok_or(EngineError::Internal("a stripe without a permit"))?;
        Ok(Self {
            codec: Arc::clone(&self.codec),
            columns,
            stripes: Vec::new(),
            at: 0,
            filled: std::mem::take(&mut self.filled),
            blob_offset: self.blob_offset,
            sealed_bytes: 0,
            permits: vec![permit],
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
            let mut buffer = vec![0; HEAD + block];
            if column < k
                && let Some(target) = buffer.get_mut(HEAD..HEAD + data.len())
            {
                target.copy_from_slice(data);
            }
            *slot = Some(buffer);
        }
    }

    /// Hashes and encodes the stripe that was filled and starts the next.
    fn seal(&mut self, blob: BlobId, record: &[u8]) -> Result<()> {
        let k = self.codec.profile().data();
        let block =
            self.columns.iter().flatten().map(Vec::len).max().unwrap_or(0).saturating_sub(self.at + HEAD);
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
