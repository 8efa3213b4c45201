//! A volume this process opened and appends to.
//!
//! Runs are given offsets in the order in which they are queued on the drives, may be in flight together, and
//! count as committed-able only in order: [`OpenVolume::written_end`] stops at the first run that has not
//! returned on all its columns, for ever if it failed. A failed or stalled write marks the drive and ends
//! the volume; the caller writes its run again to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_cluster::access::{DriveAccess, ShardAccess, ShardAppend};
use granary_drive::{Cache, DriveError, FileHeader, Flush};
use granary_erasure::Codec;
use granary_metadata::VolumeAdvance;
use granary_types::{ClusterId, Epoch, VolumeId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::pool::Slot;
use super::run::{Place, Run};
use crate::error::{EngineError, Result};

/// One column of an open volume.
#[derive(Debug)]
pub(crate) struct OpenColumn {
    pub drive: Arc<dyn DriveAccess>,
    pub shard: Arc<dyn ShardAccess>,
}

/// A volume being appended to.
#[derive(Debug)]
pub(crate) struct OpenVolume {
    pub id: VolumeId,
    pub codec: Arc<Codec>,
    cluster: ClusterId,
    epoch: Epoch,
    /// What it is open for.
    pub slot: Slot,
    columns: Vec<OpenColumn>,
    limit_bytes: u64,
    state: Mutex<State>,
    progress: Notify,
}

#[derive(Debug)]
struct State {
    next_offset: u64,
    next_stripe: u64,
    column_lengths_bytes: Vec<u64>,
    in_flight: BTreeSet<u64>,
    /// The first run that failed: nothing at or after it can ever be committed.
    failed_at: Option<u64>,
    /// Everything below was flushed on all columns: a failed flush puts what lies above in doubt.
    durable_end: u64,
    closed: bool,
    /// Bytes of the runs written and not yet reported in an advance, by where they end.
    unreported_bytes: BTreeMap<u64, u64>,
}

impl OpenVolume {
    pub(crate) fn new(
        id: VolumeId,
        codec: Arc<Codec>,
        cluster: ClusterId,
        slot: Slot,
        columns: Vec<OpenColumn>,
        limit_bytes: u64,
    ) -> Self {
        let state = State {
            next_offset: FileHeader::LENGTH_BYTES,
            next_stripe: 0,
            column_lengths_bytes: vec![FileHeader::LENGTH_BYTES; columns.len()],
            in_flight: BTreeSet::new(),
            failed_at: None,
            durable_end: FileHeader::LENGTH_BYTES,
            closed: false,
            unreported_bytes: BTreeMap::new(),
        };
        let epoch = Epoch::FIRST;
        Self {
            id,
            codec,
            cluster,
            epoch,
            slot,
            columns,
            limit_bytes,
            state: Mutex::new(state),
            progress: Notify::new(),
        }
    }

    /// Whether another run may be appended.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        !state.closed && state.next_offset < self.limit_bytes
    }

    /// Takes no more runs. What was written stays committable.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Everything below this offset has been written on all its columns.
    pub(crate) fn written_end(&self) -> u64 {
        self.state.lock().written_end()
    }

    /// Appends a run and waits until all its columns are written (and flushed, if asked). Gives back the offset. Must run to its end: a dropped append would hold up the volume, so callers spawn it.
    pub(crate) async fn append(self: &Arc<Self>, run: &mut Run, flush: Flush) -> Result<u64> {
        let in_flight = self.begin(run, flush)?;
        let offset = in_flight.offset;
        in_flight.landed().await?;
        Ok(offset)
    }

    /// Gives a run its place and queues it on the drives.
    pub(crate) fn begin(self: &Arc<Self>, run: &mut Run, flush: Flush) -> Result<InFlight> {
        let (offset, writes) = self.queue(run, flush)?;
        let (end, stored_bytes) = (offset + run.span_bytes(), run.stored_bytes());
        let settle = Settle { volume: Arc::clone(self), offset, run_end: None };
        Ok(InFlight { offset, end, stored_bytes, writes, settle })
    }

    /// Gives the run its place, stamps it and queues its columns, all under the lock: the order on each drive is
    /// the order of the offsets.
    fn queue(&self, run: &mut Run, flush: Flush) -> Result<(u64, Vec<ColumnWrite>)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EngineError::Unavailable { context: "appending to a closed volume" });
        }
        let offset = state.next_offset;
        let place = Place {
            cluster: self.cluster,
            volume: self.id,
            epoch: self.epoch,
            offset,
            first_stripe: state.next_stripe,
        };
        run.stamp(&place)?;
        state.next_offset += run.span_bytes();
        state.next_stripe += run.stripes.len() as u64;
        state.in_flight.insert(offset);
        let mut writes: Vec<ColumnWrite> = Vec::with_capacity(self.columns.len());
        for (number, (column, buffer)) in self.columns.iter().zip(&run.columns).enumerate() {
            let Some(bytes) = buffer.clone() else { continue };
            let Some(length) = state.column_lengths_bytes.get_mut(number) else { continue };
            let length_before_bytes = std::mem::replace(length, offset + bytes.len() as u64);
            let (lane, cache) = (self.slot.lane, Cache::Bypass);
            let append = ShardAppend { lane, offset, length_before_bytes, bytes, cache, flush };
            let answer = column.shard.append(append);
            writes.push(Box::pin(async move { (number, answer.await) }));
        }
        Ok((offset, writes))
    }

    /// Flushes all columns. What had been written before the call is durable after it; if one column fails, nothing
    /// that was not durable before can be committed any more.
    pub(crate) async fn flush(&self) -> Result<()> {
        let written = self.written_end();
        let flushes: Vec<ColumnWrite> = self
            .columns
            .iter()
            .enumerate()
            .map(|(number, column)| {
                let append = ShardAppend {
                    lane: self.slot.lane,
                    offset: 0,
                    length_before_bytes: 0,
                    bytes: Bytes::new(),
                    cache: Cache::Keep,
                    flush: Flush::Now,
                };
                let answer = column.shard.append(append);
                let flush: ColumnWrite = Box::pin(async move { (number, answer.await) });
                flush
            })
            .collect();
        let mut failure = None;
        for (column, result) in join_all(flushes).await {
            if let Err(error) = result {
                self.blame(column, &error);
                failure = Some(error);
            }
        }
        failure = failure.or_else(|| self.retired());
        let mut state = self.state.lock();
        match failure {
            None => {
                state.durable_end = state.durable_end.max(written);
                Ok(())
            }
            Some(error) => {
                state.closed = true;
                let durable_end = state.durable_end;
                state.failed_at = Some(state.failed_at.map_or(durable_end, |at| at.min(durable_end)));
                drop(state);
                self.progress.notify_waiters();
                Err(error.into())
            }
        }
    }

    /// The error of a drive that was taken out of use: what its open files took is not on it any more.
    fn retired(&self) -> Option<DriveError> {
        let retired = self.columns.iter().find(|column| column.drive.is_retired())?;
        Some(DriveError::Tampered { path: retired.drive.place().into(), what: "taken out of use" })
    }

    /// Waits until everything below `end` is written, and flushes it. Returns the offset below which everything is
    /// durable, or `None` if that can never reach `end`.
    pub(crate) async fn make_durable(&self, end: u64) -> Result<Option<u64>> {
        let written = loop {
            let changed = self.progress.notified();
            {
                let state = self.state.lock();
                let written = state.written_end();
                if written >= end {
                    break written;
                }
                if state.failed_at.is_some_and(|at| at < end) {
                    return Ok(None);
                }
            }
            changed.await;
        };
        match self.flush().await {
            // Another upload's flush may have failed while this one went well; what it lost may be ours.
            Ok(()) => Ok(Some(written).filter(|_| self.state.lock().failed_at.is_none_or(|at| at >= end))),
            Err(EngineError::Drive(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The advance that commits everything below `end`.
    pub(crate) fn advance_to(&self, end: u64) -> VolumeAdvance {
        let mut state = self.state.lock();
        let later = state.unreported_bytes.split_off(&(end + 1));
        let reported = std::mem::replace(&mut state.unreported_bytes, later);
        VolumeAdvance { volume: self.id, epoch: self.epoch, end, stored_bytes: reported.values().sum() }
    }

    /// The advance that will commit everything below `end` once the runs from `from` to there have landed, which take
    /// `stored_bytes`. `None` if something before them is in flight or failed.
    pub(crate) fn foresee(&self, (from, end): (u64, u64), stored_bytes: u64) -> Option<VolumeAdvance> {
        let state = self.state.lock();
        let is_next = state.failed_at.is_none() && state.in_flight.first().is_none_or(|first| *first >= from);
        let before: u64 = state.unreported_bytes.range(..=from).map(|(_, bytes)| bytes).sum();
        let stored_bytes = before + stored_bytes;
        is_next.then_some(VolumeAdvance { volume: self.id, epoch: self.epoch, end, stored_bytes })
    }

    /// The shard files by column, for readers.
    pub(crate) fn columns(&self) -> &[OpenColumn] {
        &self.columns
    }

    fn blame(&self, column: usize, error: &DriveError) {
        let Some(column) = self.columns.get(column) else { return };
        tracing::warn!(volume = %self.id, drive = %column.drive.place(), %error, "append failed; the volume is sealed");
        if !error.is_no_space() {
            column.drive.mark_failed();
        }
    }
}

/// A run that is queued on the drives.
pub(crate) struct InFlight {
    pub offset: u64,
    pub end: u64,
    /// What it takes in all shard files together.
    pub stored_bytes: u64,
    writes: Vec<ColumnWrite>,
    settle: Settle,
}

impl InFlight {
    /// Waits until all columns are written (and flushed, if that was asked). Must run to its end, as
    /// [`OpenVolume::append`].
    pub(crate) async fn landed(self) -> Result<()> {
        let Self { end, stored_bytes, writes, mut settle, .. } = self;
        let mut failure = None;
        for (column, result) in join_all(writes).await {
            if let Err(error) = result {
                settle.volume.blame(column, &error);
                failure = Some(error);
            }
        }
        match failure.or_else(|| settle.volume.retired()) {
            None => {
                settle.run_end = Some((end, stored_bytes));
                Ok(())
            }
            Some(error) => Err(error.into()),
        }
    }
}

/// Ends a run in flight, also when the append is dropped or panics: a run that did not say that it went well has
/// failed.
struct Settle {
    volume: Arc<OpenVolume>,
    offset: u64,
    /// Where the run ends and what it takes, once it is written.
    run_end: Option<(u64, u64)>,
}

impl Drop for Settle {
    fn drop(&mut self) {
        let mut state = self.volume.state.lock();
        state.in_flight.remove(&self.offset);
        match self.run_end {
            Some((end, stored_bytes)) => {
                state.unreported_bytes.insert(end, stored_bytes);
            }
            None => {
                state.closed = true;
                state.failed_at = Some(state.failed_at.map_or(self.offset, |at| at.min(self.offset)));
            }
        }
        drop(state);
        self.volume.progress.notify_waiters();
    }
}

type ColumnWrite = futures::future::BoxFuture<'static, (usize, Result<(), DriveError>)>;

impl State {
    fn written_end(&self) -> u64 {
        let first_open = self.in_flight.first().copied().unwrap_or(self.next_offset);
        self.failed_at.map_or(first_open, |at| at.min(first_open))
    }
}

#[cfg(test)]
#[path = "open_simulation.rs"]
mod simulation;
