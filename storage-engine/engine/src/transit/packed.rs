//! Moving packed objects: stripe by stripe in the order of the volumes, packed together again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use granary_metadata::{PackedLocation, Transition, Write};
use granary_types::{ObjectKey, VolumeId, crash_point};

use super::Moved;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::failures::reason;
use crate::maintain::{Throttle, packed_entries};
use crate::record::ObjectRecord;
use crate::tiers::Tier;
use crate::write::{GROUP_WRITES_MAX, PackWrite, lot_bytes};

/// While one lot is written, flushed, read back and committed, the next is read.
const LOTS_TOGETHER: usize = 2;
/// Stripes of a lot that are read at the same time.
const STRIPES_TOGETHER: usize = 16;

/// A packed object to be moved.
pub(super) struct Packed {
    pub(super) at: PackedLocation,
    pub(super) transition: Transition,
    pub(super) tier: Tier,
    /// What is committed behind it.
    pub(super) events: Vec<Write>,
}

/// Packed objects by volume and stripe.
pub(super) type Stripes = BTreeMap<(VolumeId, u64), Vec<Packed>>;

/// An object that was read, as it is to be packed.
struct Ready {
    bytes: Bytes,
    record: Vec<u8>,
    tier: Tier,
    transition: Transition,
    events: Vec<Write>,
}

/// What goes to one tier.
#[derive(Default)]
struct Lot {
    keys: Vec<ObjectKey>,
    writes: Vec<(Bytes, Vec<u8>, PackWrite)>,
}

/// A stripe and what is to be moved of it.
type Stripe = ((VolumeId, u64), Vec<Packed>);

/// Moves packed objects in lots that the packer writes as one: while one is written, the next is read.
pub(super) async fn move_all_packed(inner: &Arc<Inner>, packed: Stripes, moved: &mut Moved) {
    let mut stripes = packed.into_iter().peekable();
    let lots = std::iter::from_fn(|| {
        let ((_, first), mut lot) = (stripes.peek()?, Vec::new());
        // As much as the packer takes at once, so that each disk is written in long pieces.
        let tier = first.first().map_or(inner.pool.tiers.usual(), |packed| packed.tier);
        let bytes_max = lot_bytes(inner.pool.tiers.code(tier).data);
        let (mut writes, mut bytes) = (0, 0);
        let fits = |writes: usize, bytes: usize, stripe: &Stripe| {
            writes == 0 || (bytes < bytes_max && writes + writes_of(stripe) <= GROUP_WRITES_MAX)
        };
        while let Some(stripe) = stripes.next_if(|stripe| fits(writes, bytes, stripe)) {
            writes += writes_of(&stripe);
            bytes += stripe.1.iter().map(|packed| packed.at.length_bytes as usize).sum::<usize>();
            lot.push(stripe);
        }
        Some(lot)
    });
    let moves = lots.map(|lot| move_lot(inner, lot));
    let mut moves = stream::iter(moves).buffer_unordered(LOTS_TOGETHER);
    while let Some(done) = moves.next().await {
        moved.merge(done);
    }
}

/// How many writes a stripe's objects take in the metadata.
fn writes_of((_, objects): &Stripe) -> usize {
    objects.iter().map(|packed| 1 + packed.events.len()).sum()
}

async fn move_lot(inner: &Arc<Inner>, lot: Vec<Stripe>) -> Moved {
    if !inner.does_shared_work() {
        let left = lot.iter().map(|(_, objects)| objects.len() as u64).sum();
        return Moved { left, ..Moved::default() };
    }
    let (mut throttle, mut moved) = (Throttle::new(inner), Moved::default());
    let began = throttle.begin();
    let mut reads = stream::iter(lot.into_iter().map(|stripe| read_stripe_of(inner, stripe)))
        .buffer_unordered(STRIPES_TOGETHER);
    let mut ready = Vec::new();
    while let Some((left, objects)) = reads.next().await {
        moved.merge(left);
        ready.extend(objects);
    }
    let bytes = ready.iter().map(|object| object.bytes.len() as u64).sum();
    pack_again(inner, ready, &mut moved).await;
    throttle.pace(began, bytes).await;
    moved
}

/// Reads what is to be moved of a stripe; tells what is not to be had.
async fn read_stripe_of(inner: &Arc<Inner>, ((volume, offset), objects): Stripe) -> (Moved, Vec<Ready>) {
    let keys: Vec<ObjectKey> = objects.iter().map(|packed| packed.transition.key.clone()).collect();
    let mut moved = Moved::default();
    match read_objects(inner, volume, offset, objects).await {
        Ok(ready) => {
            (ready.len()..keys.len()).for_each(|_| moved.add("changed"));
            (moved, ready)
        }
        Err(error) => {
            keys.iter().for_each(|key| moved.fail("failed", reason(key, &error)));
            tracing::warn!(%volume, offset, %error, "packed objects could not be moved to their class and will be tried again");
            (moved, Vec::new())
        }
    }
}

async fn read_objects(
    inner: &Arc<Inner>,
    volume: VolumeId,
    offset: u64,
    objects: Vec<Packed>,
) -> Result<Vec<Ready>> {
    let columns: BTreeSet<u8> = objects.iter().map(|packed| packed.at.column).collect();
    let columns: Vec<u8> = columns.into_iter().collect();
    let mut wanted: HashMap<PackedLocation, Packed> =
        objects.into_iter().map(|packed| (packed.at.clone(), packed)).collect();
    let mut ready = Vec::new();
    // Every byte of a block was checked against its hashes, and the place that is wanted names the object's.
    for (at, entry, bytes) in packed_entries(inner, volume, offset, &columns).await? {
        let Some(Packed { transition, tier, events, .. }) = wanted.remove(&at) else { continue };
        let record = ObjectRecord::with_class(&entry.record, transition.to)
            .ok_or_else(|| EngineError::Unreadable { context: format!("a record in volume {volume}") })?;
        // The block itself, which may be long, is let go.
        ready.push(Ready { bytes: Bytes::copy_from_slice(&bytes), record, tier, transition, events });
    }
    Ok(ready)
}

/// Packs objects in the volumes of their new tiers.
async fn pack_again(inner: &Arc<Inner>, ready: Vec<Ready>, moved: &mut Moved) {
    let mut lots: HashMap<Tier, Lot> = HashMap::new();
    for Ready { bytes, record, tier, transition, events } in ready {
        let lot = lots.entry(tier).or_default();
        lot.keys.push(transition.key.clone());
        lot.writes.push((bytes, record, PackWrite::Transition(Box::new(transition), events)));
    }
    let writes = lots.into_iter().map(|(tier, Lot { keys, writes })| async move {
        let outcomes = inner.packer.write_lot(tier, writes).await;
        keys.into_iter().zip(outcomes)
    });
    for (key, result) in join_all(writes).await.into_iter().flatten() {
        match result {
            Ok(outcome) => moved.count(&outcome),
            Err(error) => {
                moved.fail("failed", reason(&key, &error));
                tracing::warn!(%key, %error, "a packed object could not be moved to its class and will be tried again");
            }
        }
    }
    inner.wake_for_events();
    crash_point("tier.after_pack_commit");
}
