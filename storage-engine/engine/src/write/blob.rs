//! Streaming a large body into runs of full stripes.
//!
//! Bytes are copied once, from the body into the buffers of the columns. A full stripe is hashed and encoded while
//! it is warm in the cache; a full run (1 MiB a shard file, 2 MiB on disks) is handed to the drives while the next one fills.
//! Buffers count against a budget that all uploads share, so memory is bounded however many there are.
//!
//! Nothing is flushed until the end, but every [`FLUSH_EVERY_BYTES`] a flush is started in the background, so
//! that the last one is short.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_cluster::access::LaneKind;
use granary_drive::Flush;
use granary_metadata::{Extent, VolumeAdvance};
use granary_types::{BlobId, crash_point};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::filling::{Filling, data_of, stripe_units};
use crate::error::{EngineError, Result};
use crate::layout::{extent_end, full_stripe_bytes};
use crate::tiers::Tier;
use crate::volume::{OpenVolume, VolumePool};
use crate::waits::Waits;

/// Runs of one upload that may be on their way to the drives.
const RUNS_IN_FLIGHT_MAX: usize = 2;
const ATTEMPTS_MAX: usize = 3;
const FLUSH_EVERY_BYTES: u64 = 32 * 1024 * 1024;
/// How long a body may take for one stripe while others wait for buffers.
const STRIPE_PATIENCE: Duration = Duration::from_secs(30);

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
    tier: Tier,
    budget: Arc<Semaphore>,
    volume: Arc<OpenVolume>,
    filling: Option<Filling>,
    /// When the stripe being filled was begun.
    stripe_begun: Instant,
    base_bytes: u64,
    length_bytes: u64,
    in_flight: Vec<JoinHandle<Result<Vec<Appended>>>>,
    appended: Vec<Appended>,
    unflushed_bytes: u64,
}

impl BlobWriter {
    /// Begins to write a blob, or bytes of one that exists to a new place; the first is at `base_bytes` of the blob.
    pub(crate) async fn start_at(
        (pool, tier): (Arc<VolumePool>, Tier),
        budget: Arc<Semaphore>,
        record: Vec<u8>,
        id: BlobId,
        base_bytes: u64,
    ) -> Result<Self> {
        let volume = pool.current(LaneKind::Bulk, tier).await?;
        Ok(Self {
            id,
            record,
            pool,
            tier,
            budget,
            volume,
            filling: None,
            stripe_begun: Instant::now(),
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
                let grown = !filling.is_long() && filling.grow(&self.budget);
                if !grown {
                    self.submit(filling).await?;
                    continue;
                }
                self.stripe_begun = Instant::now();
            }
            self.filling = Some(filling);
        }
        Ok(())
    }

    /// Gives a body up that has not filled its stripe for long, if the buffers are used up. Otherwise as many slow clients
    /// as there are stripes in the budget would hold up all other large uploads.
    ///
    /// # Errors
    /// `Unavailable` then.
    pub(crate) fn check_pace(&self) -> Result<()> {
        if self.filling.is_none() {
            return Ok(());
        }
        let units = usize::try_from(stripe_units(&self.volume.codec)).unwrap_or(usize::MAX);
        if self.budget.available_permits() < units && self.stripe_begun.elapsed() > STRIPE_PATIENCE {
            return Err(EngineError::Unavailable { context: "others wait for the buffers of a slow upload" });
        }
        Ok(())
    }

    /// Hands the full stripes of the run being filled to the drives and keeps the one that is not full.
    pub(crate) async fn submit_full_stripes(&mut self) -> Result<()> {
        let Some(mut filling) = self.filling.take() else { return Ok(()) };
        if filling.stripes.is_empty() {
            self.filling = Some(filling);
            return Ok(());
        }
        self.filling = Some(filling.split_last()?);
        self.submit(filling).await
    }

    /// Writes what is left and makes everything durable. A blob whose runs met a failing drive is read back by the
    /// caller and written again; that is told by [`Finished::Rewrite`].
    pub(crate) async fn finish(mut self) -> Result<Finished> {
        let started = Instant::now();
        if let Some(filling) = self.filling.take() {
            for run in filling.conclude(self.id, &self.record)? {
                self.submit(run).await?;
            }
        }
        self.settle(0).await?;
        crash_point("blob.after_runs_before_flush");
        let finished = self.into_written().await;
        Waits { flush: started.elapsed(), ..Waits::default() }.note();
        finished
    }

    async fn new_run(&mut self) -> Result<Filling> {
        self.volume = self.pool.current(LaneKind::Bulk, self.tier).await?;
        let codec = Arc::clone(&self.volume.codec);
        let units = stripe_units(&codec);
        let permit = Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .map_err(|_| EngineError::Unavailable { context: "waiting for buffers" })?;
        self.stripe_begun = Instant::now();
        let at = self.base_bytes + self.length_bytes;
        Ok(Filling::new(codec, at, self.tier.run_stripes_max(), vec![permit]))
    }

    /// Hands a run to the drives; waits only if too many are on their way already.
    async fn submit(&mut self, filling: Filling) -> Result<()> {
        self.settle(RUNS_IN_FLIGHT_MAX - 1).await?;
        let volume = Arc::clone(&self.volume);
        self.unflushed_bytes += filling.sealed_bytes;
        let (blob, record) = (self.id, self.record.clone());
        let rerun = Rerun { blob, record, pool: Arc::clone(&self.pool), tier: self.tier };
        self.in_flight.push(tokio::spawn(append(volume, filling, rerun)));
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
            self.appended.extend(appended);
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

/// What it takes to write a run again.
struct Rerun {
    blob: BlobId,
    record: Vec<u8>,
    pool: Arc<VolumePool>,
    tier: Tier,
}

/// Appends a run; if a drive fails, to another volume, laid out anew if that has another code. If a drive is full, to one of
/// the tier that such bytes go to, if there is one.
async fn append(mut volume: Arc<OpenVolume>, filling: Filling, rerun: Rerun) -> Result<Vec<Appended>> {
    let blob_offset = filling.first_blob_offset();
    let (mut run, length_bytes, permits) = filling.into_run();
    let (mut tier, mut attempts) = (rerun.tier, ATTEMPTS_MAX);
    loop {
        let profile = volume.codec.profile();
        let result = if run.profile == (profile.data_columns(), profile.parity_columns()) {
            let appended = volume.append(&mut run, Flush::Later).await;
            appended.map(|offset| vec![(Arc::clone(&volume), offset, length_bytes)])
        } else {
            append_anew(&volume, &data_of(&run), blob_offset, &rerun).await
        };
        attempts -= 1;
        match result {
            Ok(appended) => {
                drop(permits);
                return Ok(appended);
            }
            Err(EngineError::Drive(error)) if error.is_no_space() => {
                // The volume was closed by that. What the drive told of its room may be older: its tier is not asked again.
                tier = rerun.pool.spill(tier).ok_or(EngineError::NoSpace)?;
                attempts = attempts.max(1);
            }
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
        volume = rerun.pool.current(LaneKind::Bulk, tier).await?;
    }
}

/// Lays bytes that were a run of another code out for this volume and appends them.
async fn append_anew(
    volume: &Arc<OpenVolume>,
    bytes: &[u8],
    blob_offset: u64,
    rerun: &Rerun,
) -> Result<Vec<Appended>> {
    let start = |at: usize| {
        let stripes_max = rerun.tier.run_stripes_max();
        Filling::new(Arc::clone(&volume.codec), blob_offset + at as u64, stripes_max, Vec::new())
    };
    let (mut runs, mut filling, mut at) = (Vec::new(), start(0), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += filling.fill(rest);
        if filling.stripe_is_full() {
            filling.seal(rerun.blob, &rerun.record)?;
            // What was one run of a wide code is several of a narrow one.
            if filling.is_long() {
                runs.push(std::mem::replace(&mut filling, start(at)));
            } else {
                filling.extend();
            }
        }
    }
    runs.extend(filling.conclude(rerun.blob, &rerun.record)?);
    let mut appended = Vec::with_capacity(runs.len());
    for run in runs {
        let (mut run, length_bytes, _) = run.into_run();
        let offset = volume.append(&mut run, Flush::Later).await?;
        appended.push((Arc::clone(volume), offset, length_bytes));
    }
    Ok(appended)
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
