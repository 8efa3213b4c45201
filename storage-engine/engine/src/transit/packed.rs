//! Moving packed objects: stripe by stripe in the order of the volumes, packed together again.
//!
//! Blocks are read ahead of what is written, until there is enough for the next lot: how much there is of companions is known only
//! then. So there are never more than the lots that are written, one that waits, and the blocks that are read at the same time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use granary_metadata::{Bucket, PackedLocation, Transition, Write};
use granary_types::{ObjectKey, VolumeId, crash_point};
use tokio::time::Instant;

use super::blocks::{Stripe, read_stripe_of};
use super::{Companions, Moved};
use crate::engine::Inner;
use crate::failures::reason;
use crate::maintain::Throttle;
use crate::tiers::Tier;
use crate::write::{GROUP_WRITES_MAX, PackWrite, lot_bytes};

/// While one lot is written, flushed, read back and committed, the next waits its turn.
const LOTS_TOGETHER: usize = 2;
/// Stripes that are read at the same time.
const STRIPES_TOGETHER: usize = 16;

/// Why an object is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It is in the batch.
    Batch,
    /// It is due, and lies in a block that was read for another.
    Companion,
}

/// A packed object to be moved.
pub(super) struct Packed {
    pub(super) at: PackedLocation,
    pub(super) transition: Transition,
    pub(super) tier: Tier,
    /// What is committed behind it.
    pub(super) events: Vec<Write>,
    pub(super) source: Source,
}

/// Packed objects by volume and stripe.
pub(super) type Stripes = BTreeMap<(VolumeId, u64), Vec<Packed>>;

/// An object that was read, as it is to be packed.
pub(super) struct Ready {
    pub(super) bytes: Bytes,
    pub(super) record: Vec<u8>,
    pub(super) tier: Tier,
    pub(super) transition: Transition,
    pub(super) events: Vec<Write>,
    pub(super) source: Source,
}

/// What was read and is not written yet.
#[derive(Default)]
struct Waiting {
    objects: VecDeque<Ready>,
    bytes: usize,
    writes: usize,
    /// For how long blocks were read since a lot was taken of it.
    read_for: Duration,
}

/// Objects that the packer is given at once.
#[derive(Default)]
struct Lot {
    objects: Vec<Ready>,
    read_for: Duration,
}

/// What goes to one tier.
#[derive(Default)]
struct OfTier {
    keys: Vec<(ObjectKey, Source)>,
    writes: Vec<(Bytes, Vec<u8>, PackWrite)>,
}

impl Ready {
    /// How many writes it takes in the metadata.
    fn writes(&self) -> usize {
        1 + self.events.len()
    }
}

impl Waiting {
    fn add(&mut self, objects: Vec<Ready>) {
        self.bytes += objects.iter().map(|object| object.bytes.len()).sum::<usize>();
        self.writes += objects.iter().map(Ready::writes).sum::<usize>();
        self.objects.extend(objects);
    }

    /// As many bytes as the packer takes at once, so that each disk is written in long pieces.
    fn lot_bytes(&self, inner: &Inner) -> usize {
        let tier = self.objects.front().map_or(inner.pool.tiers.usual(), |object| object.tier);
        lot_bytes(inner.pool.tiers.code(tier).data)
    }

    fn is_full(&self, bytes_max: usize) -> bool {
        self.bytes >= bytes_max || self.writes >= GROUP_WRITES_MAX
    }

    /// Takes a lot, or what there is of one.
    fn take(&mut self, bytes_max: usize) -> Lot {
        let mut lot = Lot { read_for: std::mem::take(&mut self.read_for), ..Lot::default() };
        let (mut bytes, mut writes) = (0, 0);
        let fits = |bytes: usize, writes: usize| writes <= GROUP_WRITES_MAX && bytes < bytes_max;
        while let Some(object) =
            self.objects.pop_front_if(|object| writes == 0 || fits(bytes, writes + object.writes()))
        {
            bytes += object.bytes.len();
            writes += object.writes();
            lot.objects.push(object);
        }
        self.bytes -= bytes;
        self.writes -= writes;
        lot
    }
}

/// Moves packed objects in lots that the packer writes as one: while one is written, the next is read.
pub(super) async fn move_all_packed(
    inner: &Arc<Inner>,
    (bucket, packed): (&Bucket, Stripes),
    companions: &impl Companions,
    moved: &mut Moved,
) {
    let mut ahead = packed.into_iter();
    let (mut reads, mut lots) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut waiting = Waiting::default();
    loop {
        if !inner.does_shared_work() {
            moved.left += left_of(&mut ahead);
        }
        let is_last = reads.is_empty() && ahead.len() == 0;
        let bytes_max = waiting.lot_bytes(inner);
        while lots.len() < LOTS_TOGETHER
            && !waiting.objects.is_empty()
            && (is_last || waiting.is_full(bytes_max))
        {
            lots.push(move_lot(inner, waiting.take(bytes_max)));
        }
        while reads.len() < STRIPES_TOGETHER && !waiting.is_full(bytes_max) {
            let Some(stripe) = ahead.next() else { break };
            reads.push(read_stripe_of(inner, bucket, stripe, companions));
        }
        let (began, is_reading) = (Instant::now(), !reads.is_empty());
        // All that was begun goes on, whatever is waited for: reads have deadlines.
        tokio::select! {
            Some((left, objects)) = reads.next() => {
                moved.merge(left);
                waiting.add(objects);
            }
            Some(done) = lots.next() => moved.merge(done),
            else => return,
        }
        if is_reading {
            waiting.read_for += began.elapsed();
        }
    }
}

/// Counts what is not read any more.
fn left_of(stripes: &mut impl Iterator<Item = Stripe>) -> u64 {
    stripes.map(|(_, objects)| objects.len() as u64).sum()
}

async fn move_lot(inner: &Arc<Inner>, Lot { objects, read_for }: Lot) -> Moved {
    if !inner.does_shared_work() {
        let left = objects.iter().filter(|object| object.source == Source::Batch).count() as u64;
        return Moved { left, ..Moved::default() };
    }
    let (mut throttle, mut moved) = (Throttle::new(inner), Moved::default());
    let began = throttle.begin();
    let bytes = objects.iter().map(|object| object.bytes.len() as u64).sum();
    pack_again(inner, objects, &mut moved).await;
    // Reading is work as well, and the wait for other lots in between is none.
    throttle.pace(began.checked_sub(read_for).unwrap_or(began), bytes).await;
    moved
}

/// Packs objects in the volumes of their new tiers.
async fn pack_again(inner: &Arc<Inner>, ready: Vec<Ready>, moved: &mut Moved) {
    let mut tiers: HashMap<Tier, OfTier> = HashMap::new();
    for Ready { bytes, record, tier, transition, events, source } in ready {
        let of_tier = tiers.entry(tier).or_default();
        of_tier.keys.push((transition.key.clone(), source));
        of_tier.writes.push((bytes, record, PackWrite::Transition(Box::new(transition), events)));
    }
    let writes = tiers.into_iter().map(|(tier, OfTier { keys, writes })| async move {
        let outcomes = inner.packer.write_lot(tier, writes).await;
        keys.into_iter().zip(outcomes)
    });
    for ((key, source), result) in join_all(writes).await.into_iter().flatten() {
        match (source, result) {
            (Source::Batch, Ok(outcome)) => moved.count(&outcome),
            (Source::Companion, Ok(outcome)) => moved.count_companion(&outcome),
            (Source::Companion, Err(error)) => {
                tracing::debug!(%key, %error, "what lies beside moved objects is left to the walk");
            }
            (Source::Batch, Err(error)) => {
                moved.fail("failed", reason(&key, &error));
                tracing::warn!(%key, %error, "a packed object could not be moved to its class and will be tried again");
            }
        }
    }
    inner.wake_for_events();
    crash_point("tier.after_pack_commit");
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
