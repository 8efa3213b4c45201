//! Reading blocks of packed objects to move what is due of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_drive::PackedEntry;
use granary_metadata::{Bucket, PackedLocation};
use granary_types::{ObjectKey, VolumeId};

use super::packed::{Packed, Ready, Source};
use super::{Companions, Due, Moved, transition_of};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::failures::reason;
use crate::maintain::{Entry, packed_entries};
use crate::record::ObjectRecord;

/// A stripe and what is to be moved of it.
pub(super) type Stripe = ((VolumeId, u64), Vec<Packed>);

/// Reads what is to be moved of a stripe, and its companions; tells what is not to be had.
pub(super) async fn read_stripe_of(
    inner: &Arc<Inner>,
    bucket: &Bucket,
    ((volume, offset), objects): Stripe,
    companions: &impl Companions,
) -> (Moved, Vec<Ready>) {
    let keys: Vec<ObjectKey> = objects.iter().map(|packed| packed.transition.key.clone()).collect();
    let mut moved = Moved::default();
    match read_objects(inner, (volume, offset), objects).await {
        Ok((mut ready, others)) => {
            (ready.len()..keys.len()).for_each(|_| moved.add("changed"));
            ready.extend(due_of(inner, bucket, others, companions).await);
            (moved, ready)
        }
        Err(error) => {
            keys.iter().for_each(|key| moved.fail("failed", reason(key, &error)));
            tracing::warn!(%volume, offset, %error, "packed objects could not be moved to their class and will be tried again");
            (moved, Vec::new())
        }
    }
}

/// Reads the blocks in which these objects lie. What else is in them comes beside them.
async fn read_objects(
    inner: &Arc<Inner>,
    (volume, offset): (VolumeId, u64),
    objects: Vec<Packed>,
) -> Result<(Vec<Ready>, Vec<Entry>)> {
    let columns: BTreeSet<u8> = objects.iter().map(|packed| packed.at.column).collect();
    let mut wanted: HashMap<PackedLocation, Packed> =
        objects.into_iter().map(|packed| (packed.at.clone(), packed)).collect();
    let (mut ready, mut others) = (Vec::new(), Vec::new());
    metrics::counter!("granary_lifecycle_blocks_read_total").increment(columns.len() as u64);
    // Every byte of a block was checked against its hashes, and the place that is wanted names the object's.
    for (at, entry, bytes) in packed_entries(&inner.map, volume, offset, &columns).await? {
        match wanted.remove(&at) {
            None => others.push((at, entry, bytes)),
            Some(packed) => ready.push(made_ready(packed, &entry, &bytes).ok_or_else(|| {
                EngineError::Unreadable { context: format!("a record in volume {volume}") }
            })?),
        }
    }
    Ok((ready, others))
}

/// `None` if the object's record cannot be read.
fn made_ready(packed: Packed, entry: &PackedEntry, bytes: &Bytes) -> Option<Ready> {
    let Packed { transition, tier, events, source, .. } = packed;
    let record = ObjectRecord::with_class(&entry.record, transition.to)?;
    // The block itself, which may be long, is let go.
    Some(Ready { bytes: Bytes::copy_from_slice(bytes), record, tier, transition, events, source })
}

/// What is due of the other objects in blocks that were read: the next batch then need not read these again.
async fn due_of(
    inner: &Arc<Inner>,
    bucket: &Bucket,
    others: Vec<Entry>,
    companions: &impl Companions,
) -> Vec<Ready> {
    let looks = others.into_iter().filter(|(_, entry, _)| entry.length_bytes > 0);
    let looks = looks.map(|(at, entry, bytes)| async move {
        let due = companions.due(&ObjectRecord::decode(&entry.record)?, &at).await?;
        made_ready(companion(inner, bucket, at, due)?, &entry, &bytes)
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// The move of a companion to the drives of its class. What lies there already is left to who labels it with its like.
fn companion(inner: &Inner, bucket: &Bucket, at: PackedLocation, due: Due) -> Option<Packed> {
    let Due { key, row, to, events } = due;
    let tier = inner.pool.tiers.for_writing(to).ok()?;
    let stays = inner.pool.tiers.for_keeping(row.object.storage_class) == tier;
    let transition = transition_of(bucket, &key, &row.object, to);
    (!stays).then_some(Packed { at, transition, tier, events, source: Source::Companion })
}
