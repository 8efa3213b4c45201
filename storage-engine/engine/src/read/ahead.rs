//! Reading ahead in long runs.
//!
//! A disk is read well in pieces of a MiB, several at a time, and badly in pieces of a block. So the stripes of a range are
//! read in runs: one long read of each shard file that holds any of it, all files at once, while the run before is
//! checked and sent. Runs grow from two stripes to eight, so that the first byte is not kept waiting. Nothing outside
//! the range is read but what the blocks at its ends need to be checked.
//!
//! A run's bytes count against the budget of all readers until the network has taken the last of them. A reader that holds
//! nothing waits for room for one stripe, so that everybody goes on; longer runs, and a run while another is held, are only
//! read while half the budget is free: many readers, or slow ones, get shorter runs. Who copies has a budget apart, and never
//! waits for it (see [`super::copying`]).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_metadata::Extent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::blob::{HEAD, unit_end, wanted_blocks};
use super::gather::hedged;
use super::handle::Reader;
use crate::error::{EngineError, Result};
use crate::layout::{BlobStripe, stripes};
use crate::volume::VolumeView;

/// Stripes in the longest run: a little more than a MiB of each shard file.
const RUN_STRIPES_MAX: usize = 8;
const RUN_STRIPES_FIRST: usize = 2;
const BUDGET_UNIT_BYTES: u64 = 64 * 1024;

/// A stripe, and the bytes of it (from, to) that are wanted.
pub(super) type Wanted = (BlobStripe, (u64, u64));

/// Memory for what is read and not used up yet.
#[derive(Clone)]
pub(crate) struct Room {
    /// In units of 64 KiB.
    budget: Arc<Semaphore>,
    /// As many of them are not used to read ahead.
    reserve_units: usize,
}

impl Room {
    /// Room that nobody waits for.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes / usize::try_from(BUDGET_UNIT_BYTES).unwrap_or(bytes);
        Self { budget: Arc::new(Semaphore::new(units)), reserve_units: 0 }
    }

    fn of(reader: &Reader) -> Self {
        Self { budget: Arc::clone(&reader.budget), reserve_units: reader.reserve_units }
    }

    /// A share of the budget, if enough is left for those who need one stripe to go on.
    pub(crate) fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = units(bytes);
        let left = self.budget.available_permits().checked_sub(units as usize)?;
        if left < self.reserve_units {
            return None;
        }
        Arc::clone(&self.budget).try_acquire_many_owned(units).ok()
    }

    /// A share of nothing.
    fn take_nothing(&self) -> Result<OwnedSemaphorePermit> {
        let none = Arc::clone(&self.budget).try_acquire_many_owned(0);
        none.map_err(|_| EngineError::Internal("a budget was closed"))
    }
}

/// What is still to be read of a range.
pub(super) struct Plan {
    room: Room,
    extents: VecDeque<(Arc<VolumeView>, Extent, u64)>,
    at: u64,
    to: u64,
    run_stripes: usize,
    /// Held by the run that waited for its room: a reader waits for no more while it holds that.
    turn: Arc<Semaphore>,
}

/// Stripes being read.
pub(super) struct Run {
    pub view: Arc<VolumeView>,
    pub stripes: Vec<Wanted>,
    pub windows: JoinHandle<Vec<Window>>,
    pub hold: Hold,
}

/// A long piece of one shard file.
pub(crate) struct Window {
    column: u8,
    offset: u64,
    bytes: Bytes,
}

impl Window {
    /// The bytes of `column` at `offset`, if all of them are here.
    pub(super) fn get(&self, column: u8, offset: u64, length_bytes: usize) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let end = start.checked_add(length_bytes)?;
        (self.column == column && end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// A run's share of the budget.
#[derive(Clone)]
pub(super) struct Hold {
    _permits: Arc<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)>,
}

struct Held {
    bytes: Bytes,
    _hold: Hold,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Hold {
    /// The same bytes; the share is held until nobody has them any more.
    pub(super) fn keep(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _hold: self.clone() })
    }
}

impl Plan {
    /// Bytes `at..to` of the blob that these extents make up.
    pub(super) async fn new(reader: &Reader, extents: &[Extent], at: u64, to: u64) -> Result<Self> {
        Self::within(Room::of(reader), reader, extents, (at, to)).await
    }

    /// Bytes of what these extents make up (from, to), in long runs from the start on.
    pub(super) async fn to_copy(
        room: Room,
        reader: &Reader,
        extents: &[Extent],
        range: (u64, u64),
    ) -> Result<Self> {
        let plan = Self::within(room, reader, extents, range).await?;
        Ok(Self { run_stripes: RUN_STRIPES_MAX, ..plan })
    }

    async fn within(room: Room, reader: &Reader, extents: &[Extent], (at, to): (u64, u64)) -> Result<Self> {
        let mut needed = VecDeque::new();
        let mut start = 0_u64;
        for extent in extents {
            let end = start + extent.length_bytes;
            if end > at && start < to {
                let view = reader.map.view(extent.volume).await?;
                needed.push_back((view, extent.clone(), start));
            }
            start = end;
        }
        let turn = Arc::new(Semaphore::new(1));
        Ok(Self { room, extents: needed, at, to, run_stripes: RUN_STRIPES_FIRST, turn })
    }

    /// The next run, as soon as there is room for its first stripe; `None` at the end of the range.
    pub(super) async fn run(&mut self, reader: &Arc<Reader>) -> Result<Option<Run>> {
        let Some(bytes) = self.first_bytes() else { return Ok(None) };
        if let Some(permit) = self.room.take(bytes) {
            return Ok(self.start(reader, permit, None));
        }
        let closed = |_| EngineError::Unavailable { context: "waiting for buffers" };
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(closed)?;
        let permit = Arc::clone(&self.room.budget).acquire_many_owned(units(bytes)).await.map_err(closed)?;
        Ok(self.start(reader, permit, Some(turn)))
    }

    /// The next run at once: if there is no room, a stripe that counts for none.
    pub(super) fn run_at_once(&mut self, reader: &Arc<Reader>) -> Result<Option<Run>> {
        if let Some(run) = self.run_if_room(reader) {
            return Ok(Some(run));
        }
        let permit = self.room.take_nothing()?;
        Ok(self.start(reader, permit, None))
    }

    /// The next run if there is room to read ahead.
    pub(super) fn run_if_room(&mut self, reader: &Arc<Reader>) -> Option<Run> {
        let permit = self.room.take(self.first_bytes()?)?;
        self.start(reader, permit, None)
    }

    fn first_bytes(&self) -> Option<u64> {
        let (view, extent, start) = self.extents.front()?;
        self.wanted(view, extent, *start).next().map(|(stripe, _)| stripe.length_bytes)
    }

    /// What is wanted of an extent that begins at byte `start` of the blob.
    fn wanted(&self, view: &VolumeView, extent: &Extent, start: u64) -> impl Iterator<Item = Wanted> + use<> {
        let (from, to) = (self.at.saturating_sub(start), self.to - start);
        stripes(extent, view.profile_columns().0, from, to.min(extent.length_bytes)).map(move |stripe| {
            let wanted = (from.saturating_sub(stripe.extent_offset), to - stripe.extent_offset);
            (stripe, wanted)
        })
    }

    /// Begins to read the next run, whose first stripe has its share of the budget.
    fn start(
        &mut self,
        reader: &Arc<Reader>,
        mut permit: OwnedSemaphorePermit,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Option<Run> {
        let (view, extent, start) = self.extents.front().cloned()?;
        let mut run: Vec<Wanted> = Vec::with_capacity(self.run_stripes);
        for (stripe, wanted) in self.wanted(&view, &extent, start).take(self.run_stripes) {
            if !run.is_empty() {
                match self.room.take(stripe.length_bytes) {
                    Some(more) => permit.merge(more),
                    None => break,
                }
            }
            self.at = start + stripe.extent_offset + stripe.length_bytes;
            run.push((stripe, wanted));
        }
        if self.at >= start + extent.length_bytes || self.at >= self.to {
            self.extents.pop_front();
        }
        self.run_stripes = (self.run_stripes * 2).min(RUN_STRIPES_MAX);
        let hold = Hold { _permits: Arc::new((permit, turn)) };
        let reading = read_windows(Arc::clone(reader), Arc::clone(&view), run.clone());
        // Who goes away does not end the reads that have begun, and their buffers are there until they end.
        let held = hold.clone();
        let windows = tokio::spawn(async move {
            let windows = reading.await;
            drop(held);
            windows
        });
        Some(Run { view, stripes: run, windows, hold })
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Reads what a run needs of each shard file, in one piece a file. What cannot be read is missing: whoever needs it asks
/// again, and learns why.
async fn read_windows(reader: Arc<Reader>, view: Arc<VolumeView>, run: Vec<Wanted>) -> Vec<Window> {
    let mut pieces: Vec<(u8, u64, u64)> = Vec::new();
    for (stripe, wanted) in run {
        for (block, _, to) in wanted_blocks(stripe, wanted) {
            let to = usize::try_from(to).unwrap_or(usize::MAX);
            let end = stripe.offset + (HEAD + unit_end(block, to)) as u64;
            match pieces.iter_mut().find(|(column, _, _)| *column == block.column) {
                Some((_, _, piece_end)) => *piece_end = end,
                None => pieces.push((block.column, stripe.offset, end)),
            }
        }
    }
    let reads = pieces.into_iter().map(|(column, offset, end)| {
        let (reader, view) = (&reader, &view);
        // A node that says nothing is given up as early here as anywhere.
        hedged(&reader.map, async move {
            let length_bytes = usize::try_from(end - offset).ok()?;
            let shard = reader.map.shard(view, column).await.ok()?;
            let bytes = shard.read(offset, length_bytes).await.ok()?;
            Some(Window { column, offset, bytes })
        })
    });
    join_all(reads).await.into_iter().flatten().flatten().collect()
}
