//! Laying a group of small objects down: packed into stripes, appended, flushed, and read back where that is asked for.
//! Where each will lie is known as soon as its stripe is queued on the drives.

use std::sync::Arc;

use futures::future::join_all;
use granary_cluster::access::LaneKind;
use granary_drive::{DriveError, FileHeader, Flush, block_span_bytes};
use granary_metadata::{PackedLocation, VolumeAdvance};
use granary_types::crash_point;
use tokio::task::JoinHandle;

use super::pack::{Item, PackedStripe, Spot, pack_stripe, pack_wide_stripe};
use crate::error::{EngineError, Result};
use crate::read::{WrittenStripe, read_back};
use crate::tiers::Tier;
use crate::volume::{OpenVolume, Run, VolumePool};

/// Stripes of moves are appended together until they are this long in each shard file: disks take long writes well.
const JOINED_BYTES: u64 = 8 * 1024 * 1024;

/// What shows that a group is where it should be, before it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The drives said that they have flushed it.
    Flushed,
    /// It was read back from every column as well: it takes the place of bytes that are freed then.
    ReadBack,
}

/// Items on their way to places that are known already.
pub(super) struct Laying {
    pub(super) volume: Arc<OpenVolume>,
    /// One for each item.
    pub(super) locations: Vec<PackedLocation>,
    proof: Proof,
    runs: Vec<JoinHandle<Result<()>>>,
    stripes: Vec<WrittenStripe>,
    /// Where the first run begins and the last one ends.
    span: (u64, u64),
    /// What the runs take in all shard files together.
    stored_bytes: u64,
}

/// Packs the items and queues the stripes on the current volume, all in flight together.
pub(super) async fn lay(
    items: &[Item],
    pool: &Arc<VolumePool>,
    tier: Tier,
    turn: &mut usize,
    proof: Proof,
) -> Result<Laying> {
    let volume = pool.current(LaneKind::Packed, tier).await?;
    append(items, volume, turn, proof)
}

fn append(items: &[Item], volume: Arc<OpenVolume>, turn: &mut usize, proof: Proof) -> Result<Laying> {
    let mut rest = items;
    let mut waiting = Waiting::default();
    let mut laying = Laying::new(volume, proof);
    while !rest.is_empty() {
        let codec = &laying.volume.codec;
        let PackedStripe { run, spots } = match proof {
            Proof::Flushed => pack_stripe(codec, rest, *turn)?,
            // The last stripe of a move is to go with the others.
            Proof::ReadBack => pack_wide_stripe(codec, rest, *turn)?,
        };
        *turn = turn.wrapping_add(1);
        rest = rest.get(spots.len()..).unwrap_or_default();
        let is_wide = run.columns.iter().all(Option::is_some);
        if !is_wide {
            laying.append(std::mem::take(&mut waiting), items)?;
        }
        waiting.add(run, spots);
        // What a client waits for is on its way at once.
        let goes_on = proof == Proof::ReadBack && is_wide && waiting.span_bytes < JOINED_BYTES;
        if !goes_on || rest.is_empty() {
            laying.append(std::mem::take(&mut waiting), items)?;
        }
    }
    Ok(laying)
}

/// Stripes that are to be appended as one run.
#[derive(Default)]
struct Waiting {
    runs: Vec<Run>,
    /// Where each begins in the run, and the spots of its items.
    spots: Vec<(u64, Vec<Spot>)>,
    span_bytes: u64,
}

impl Waiting {
    fn add(&mut self, run: Run, spots: Vec<Spot>) {
        self.spots.push((self.span_bytes, spots));
        self.span_bytes += run.span_bytes();
        self.runs.push(run);
    }
}

impl Laying {
    fn new(volume: Arc<OpenVolume>, proof: Proof) -> Self {
        let (locations, runs, stripes) = (Vec::new(), Vec::new(), Vec::new());
        let span = (u64::MAX, FileHeader::LENGTH_BYTES);
        Self { volume, locations, proof, runs, stripes, span, stored_bytes: 0 }
    }

    /// Queues what waits, if something does.
    fn append(&mut self, waiting: Waiting, items: &[Item]) -> Result<()> {
        let Some(mut run) = Run::joined(waiting.runs)? else { return Ok(()) };
        let in_flight = self.volume.begin(&mut run, Flush::Now)?;
        let offset = in_flight.offset;
        self.span = (self.span.0.min(offset), self.span.1.max(in_flight.end));
        self.stored_bytes += in_flight.stored_bytes;
        self.stripes.extend(run.stripes.iter().map(|stripe| WrittenStripe {
            offset: offset + stripe.at as u64,
            span_bytes: block_span_bytes(stripe.body_length_bytes),
            columns_written: stripe.columns_written,
        }));
        // It has to run to its end, whoever goes away.
        self.runs.push(tokio::spawn(in_flight.landed()));
        for (at, spot) in
            waiting.spots.into_iter().flat_map(|(at, spots)| spots.into_iter().map(move |spot| (at, spot)))
        {
            let item = items.get(self.locations.len()).ok_or(EngineError::Internal("packing lost count"))?;
            self.locations.push(spot.location(self.volume.id, offset + at, item));
        }
        Ok(())
    }

    /// What will commit the items once they have landed; `None` if that cannot be known before.
    pub(super) fn foresee(&self) -> Option<VolumeAdvance> {
        self.volume.foresee(self.span, self.stored_bytes)
    }

    /// Waits until the items are durable at their places. Gives back what commits them.
    pub(super) async fn landed(&mut self) -> Result<VolumeAdvance> {
        let mut failure = None;
        for run in self.runs.drain(..) {
            if let Err(error) = run.await.map_err(|_| EngineError::Internal("an append panicked"))? {
                failure = Some(error);
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if self.volume.written_end() < self.span.1 {
            // A run before ours never came back: what lies behind it cannot be committed.
            self.volume.close();
            return Err(EngineError::Internal("a run was left in flight"));
        }
        if self.proof == Proof::ReadBack {
            crash_point("tier.after_pack_before_verify");
            self.stripes.sort_unstable_by_key(|stripe| stripe.offset);
            prove(&self.volume, &self.stripes).await?;
            crash_point("tier.after_pack_verify_before_commit");
        }
        Ok(self.volume.advance_to(self.span.1))
    }
}

/// Reads stripes, in their order, back from every column that has a block of them. A volume of which a column does not give
/// back what it took gets no more, and neither does its drive.
async fn prove(volume: &OpenVolume, stripes: &[WrittenStripe]) -> Result<()> {
    let columns = (0_u8..).zip(volume.columns());
    let read = columns.map(|(number, column)| read_back(column.shard.as_ref(), (volume.id, number), stripes));
    let mut failure = None;
    for (column, result) in volume.columns().iter().zip(join_all(read).await) {
        if let Err(error) = result {
            tracing::warn!(volume = %volume.id, drive = %column.drive.place(), %error, "what was packed cannot be read back; the volume is sealed");
            if !matches!(&error, EngineError::Drive(DriveError::Stalled { .. } | DriveError::Peer { .. })) {
                column.drive.mark_failed();
            }
            failure = Some(error);
        }
    }
    match failure {
        None => Ok(()),
        Some(error) => {
            volume.close();
            Err(error)
        }
    }
}

#[cfg(test)]
#[path = "lay_tests.rs"]
mod tests;
