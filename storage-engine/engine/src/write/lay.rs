//! Laying a group of small objects down: packed into stripes, appended, flushed, and read back where that is asked for.

use std::sync::Arc;

use futures::future::join_all;
use granary_cluster::access::LaneKind;
use granary_drive::{DriveError, FileHeader, Flush, block_span_bytes};
use granary_metadata::{PackedLocation, VolumeAdvance};
use granary_types::crash_point;
use tokio::task::JoinHandle;

use super::pack::{Item, PackedStripe, Spot, pack_stripe};
use crate::error::{EngineError, Result};
use crate::read::{WrittenStripe, read_back};
use crate::tiers::Tier;
use crate::volume::{OpenVolume, Run, VolumePool};

/// Stripes of moves are appended together until they are this long in each shard file: disks take long writes well.
const JOINED_BYTES: u64 = 4 * 1024 * 1024;

/// What shows that a group is where it should be, before it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The drives said that they have flushed it.
    Flushed,
    /// It was read back from every column as well: it takes the place of bytes that are freed then.
    ReadBack,
}

/// Items that are durable at their places.
pub(super) struct Laid {
    pub(super) volume: Arc<OpenVolume>,
    /// One for each item.
    pub(super) locations: Vec<PackedLocation>,
    pub(super) advance: VolumeAdvance,
}

/// Packs the items and appends the stripes to the current volume, all in flight together.
pub(super) async fn lay(
    items: &[Item],
    pool: &Arc<VolumePool>,
    tier: Tier,
    turn: &mut usize,
    proof: Proof,
) -> Result<Laid> {
    let volume = pool.current(LaneKind::Packed, tier).await?;
    let (locations, mut stripes) = append(items, &volume, turn, proof).await?;
    let needed = stripes.iter().map(|stripe| stripe.offset + stripe.span_bytes).max();
    let end = volume.written_end();
    if end < needed.unwrap_or(FileHeader::LENGTH_BYTES) {
        // A run before ours never came back: what lies behind it cannot be committed.
        volume.close();
        return Err(EngineError::Internal("a run was left in flight"));
    }
    if proof == Proof::ReadBack {
        crash_point("tier.after_pack_before_verify");
        stripes.sort_unstable_by_key(|stripe| stripe.offset);
        prove(&volume, &stripes).await?;
        crash_point("tier.after_pack_verify_before_commit");
    }
    let advance = volume.advance_to(end);
    Ok(Laid { volume, locations, advance })
}

async fn append(
    items: &[Item],
    volume: &Arc<OpenVolume>,
    turn: &mut usize,
    proof: Proof,
) -> Result<(Vec<PackedLocation>, Vec<WrittenStripe>)> {
    let mut rest = items;
    let (mut waiting, mut appending) = (Waiting::default(), Vec::new());
    while !rest.is_empty() {
        let PackedStripe { run, spots } = pack_stripe(&volume.codec, rest, *turn)?;
        *turn = turn.wrapping_add(1);
        rest = rest.get(spots.len()..).unwrap_or_default();
        let is_wide = run.columns.iter().all(Option::is_some);
        if !is_wide {
            appending.extend(waiting.append(volume)?);
        }
        waiting.add(run, spots);
        // What a client waits for is on its way at once.
        let goes_on = proof == Proof::ReadBack && is_wide && waiting.span_bytes < JOINED_BYTES;
        if !goes_on || rest.is_empty() {
            appending.extend(waiting.append(volume)?);
        }
    }
    let mut locations = Vec::with_capacity(items.len());
    let mut stripes = Vec::new();
    let mut failure = None;
    for Appending { spots, append } in appending {
        match append.await.map_err(|_| EngineError::Internal("an append panicked"))? {
            Ok((offset, written)) => {
                stripes.extend(written);
                for (at, spot) in
                    spots.into_iter().flat_map(|(at, spots)| spots.into_iter().map(move |spot| (at, spot)))
                {
                    let item =
                        items.get(locations.len()).ok_or(EngineError::Internal("packing lost count"))?;
                    locations.push(spot.location(volume.id, offset + at, item));
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        None => Ok((locations, stripes)),
        Some(error) => Err(error),
    }
}

/// Stripes that are to be appended as one run.
#[derive(Default)]
struct Waiting {
    runs: Vec<Run>,
    /// Where each begins in the run, and the spots of its items.
    spots: Vec<(u64, Vec<Spot>)>,
    span_bytes: u64,
}

/// A run on its way to the drives.
struct Appending {
    spots: Vec<(u64, Vec<Spot>)>,
    append: JoinHandle<Result<(u64, Vec<WrittenStripe>)>>,
}

impl Waiting {
    fn add(&mut self, run: Run, spots: Vec<Spot>) {
        self.spots.push((self.span_bytes, spots));
        self.span_bytes += run.span_bytes();
        self.runs.push(run);
    }

    /// Appends them, if there are any.
    fn append(&mut self, volume: &Arc<OpenVolume>) -> Result<Option<Appending>> {
        let Self { runs, spots, .. } = std::mem::take(self);
        let Some(run) = Run::joined(runs)? else { return Ok(None) };
        Ok(Some(Appending { spots, append: tokio::spawn(append_run(Arc::clone(volume), run)) }))
    }
}

async fn append_run(volume: Arc<OpenVolume>, mut run: Run) -> Result<(u64, Vec<WrittenStripe>)> {
    let offset = volume.append(&mut run, Flush::Now).await?;
    let written = run.stripes.iter().map(|stripe| WrittenStripe {
        offset: offset + stripe.at as u64,
        span_bytes: block_span_bytes(stripe.body_length_bytes),
        columns_written: stripe.columns_written,
    });
    Ok((offset, written.collect()))
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
