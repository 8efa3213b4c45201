//! Moving versions to other storage classes.
//!
//! The bytes are copied to volumes of the tier that the class belongs to, and one commit gives the version its class and its
//! new place, if it is still the version that was looked at. Where class and tier are those of drives alike, only the class
//! changes. What is packed is read stripe by stripe in the order of the volumes, and packed together again, with what else is due
//! in the blocks that were read; large objects are read in that order as well. A large object's copy is read back on all its columns before it counts; the blobs of one of
//! several parts move one after the other, so that little is lost of the work when it is cut off. What was packed is read
//! back by the packer. What is left behind is garbage like any other, freed after the grace.
//!
//! Blobs that others refer to as well (other versions, copies, parts of uploads) stay where they are: their bytes are copied to
//! other blobs, to which the version refers from then on. Those who share a blob and move together share its copy too.
//!
//! The record of a packed object is written again with its new class. What has no bytes of its own in packed blocks, and what
//! only changes its class, gets a record of that beside it, so that the blocks tell its class too.

mod blocks;
mod copies;
mod large;
mod packed;

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use granary_metadata::{Bucket, NewObject, ObjectRow, Outcome, PackedLocation, Transition, Write};
use granary_types::{ObjectKey, StorageClass, crash_point};

use crate::engine::Inner;
use crate::error::Result;
use crate::events::without_events;
use crate::failures::{Failures, reason};
use crate::maintain::Throttle;
use crate::record::ObjectRecord;
use crate::write::Recorded;

use copies::Copies;
use large::{Large, in_order, move_large};
use packed::{Packed, Source, Stripes, move_all_packed};

/// Large objects that are moved at the same time: while one is flushed and read back, the other is copied.
const LARGE_TOGETHER: usize = 2;

/// Changes of the class alone that are committed together: what the metadata takes at once, and room for others beside it.
const LABELS_TOGETHER: usize = 1_000;

/// A version that is to have another class.
pub(crate) struct Due {
    pub(crate) key: ObjectKey,
    pub(crate) row: ObjectRow,
    pub(crate) to: StorageClass,
    /// What is committed behind it.
    pub(crate) events: Vec<Write>,
}

/// Who knows what else is due: *companions* are objects in blocks that were read to move others.
pub(crate) trait Companions: Sync {
    /// The object that a block holds there, by this record of it, if it lives there and is due. Where that cannot be told it is
    /// left to those who look for what is due.
    fn due(&self, record: &ObjectRecord, at: &PackedLocation) -> impl Future<Output = Option<Due>> + Send;
}

/// What became of versions that were due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// How many have their new class.
    pub(crate) done: u64,
    /// How many are due still: they could not be moved, or changed meanwhile and have to be looked at again.
    pub(crate) left: u64,
    /// Those that could not be moved.
    pub(crate) failures: Failures,
}

impl Moved {
    fn count(&mut self, outcome: &Outcome) {
        // What changed since it was looked at is looked at again by the next walk.
        self.add(if matches!(outcome, Outcome::Done { .. }) { "transitioned" } else { "changed" });
    }

    fn add(&mut self, outcome: &'static str) {
        metrics::counter!("granary_lifecycle_total", "outcome" => outcome).increment(1);
        self.left += u64::from(outcome != "transitioned");
        self.done += u64::from(outcome == "transitioned");
    }

    /// A companion that is not moved is no failure: whoever looks for what is due meets it yet.
    fn count_companion(&mut self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Done { .. }) {
            self.add("transitioned");
        }
    }

    fn fail(&mut self, outcome: &'static str, reason: String) {
        self.add(outcome);
        self.failures.add(reason);
    }

    fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.left += other.left;
        self.failures.merge(other.failures);
    }
}

/// A version whose class is told by a record of its own.
struct Told {
    record: Vec<Vec<u8>>,
    transition: Transition,
    events: Vec<Write>,
}

/// What is to be done, by how it is done.
#[derive(Default)]
struct Work {
    labels: Vec<Told>,
    packed: Stripes,
    large: Vec<Large>,
    moved: Moved,
}

impl Work {
    fn add(&mut self, inner: &Inner, bucket: &Bucket, due: Due) -> Result<()> {
        let tiers = &inner.pool.tiers;
        let Due { key, row, to, events } = due;
        let tier = match tiers.for_writing(to) {
            Ok(tier) => tier,
            Err(error) => {
                self.moved.fail("no_drives", reason(&key, &error));
                tracing::warn!(%key, %error, "a lifecycle cannot move an object");
                return Ok(());
            }
        };
        let object = row.object;
        let transition = transition_of(bucket, &key, &object, to);
        let stays = tiers.for_keeping(object.storage_class) == tier;
        if let Some(at) = object.content.packed().filter(|_| !stays) {
            let packed = Packed { at: at.clone(), transition, tier, events, source: Source::Batch };
            self.packed.entry((at.volume, at.stripe_offset)).or_default().push(packed);
            return Ok(());
        }
        let told = Told { record: ObjectRecord::of_class(bucket, &key, &object, to)?, transition, events };
        if stays || object.content.parts().is_empty() {
            self.labels.push(told);
        } else {
            self.large.push(Large { object, told, tier });
        }
        Ok(())
    }
}

/// The move of a version to another class, without its new place.
fn transition_of(bucket: &Bucket, key: &ObjectKey, object: &NewObject, to: StorageClass) -> Transition {
    Transition {
        bucket: bucket.id,
        key: key.clone(),
        version: object.version,
        write: object.write,
        from: object.storage_class,
        to,
        place: None,
        moves: Vec::new(),
    }
}

/// Moves versions of a bucket to their new classes, and the companions of those that are packed. What cannot be moved now is counted, and stays what it was.
///
/// # Errors
/// When the metadata fails.
pub(crate) async fn transit(
    inner: &Arc<Inner>,
    bucket: &Bucket,
    dues: Vec<Due>,
    companions: &impl Companions,
) -> Result<Moved> {
    let mut work = Work::default();
    dues.into_iter().try_for_each(|due| work.add(inner, bucket, due))?;
    let Work { labels, packed, large, mut moved } = work;
    label(inner, labels, &mut moved).await?;
    move_all_packed(inner, (bucket, packed), companions, &mut moved).await;
    let large = in_order(inner, large).await?;
    let copies = Copies::default();
    let moves = large.into_iter().map(|large| move_one_large(inner, bucket, large, &copies));
    let mut moves = stream::iter(moves).buffer_unordered(LARGE_TOGETHER);
    while let Some(done) = moves.next().await {
        moved.merge(done);
    }
    Ok(moved)
}

async fn move_one_large(inner: &Arc<Inner>, bucket: &Bucket, large: Large, copies: &Copies) -> Moved {
    if !inner.does_shared_work() {
        return Moved { left: 1, ..Moved::default() };
    }
    let (mut moved, key) = (Moved::default(), large.told.transition.key.clone());
    let mut throttle = Throttle::new(inner);
    match move_large(inner, bucket, large, copies, &mut throttle).await {
        Ok(outcome) => moved.count(&outcome),
        Err(error) => {
            moved.fail("failed", reason(&key, &error));
            tracing::warn!(%key, %error, "an object could not be moved to its class and will be tried again");
        }
    }
    moved
}

/// Gives versions their classes where they lie.
async fn label(inner: &Inner, labels: Vec<Told>, moved: &mut Moved) -> Result<()> {
    let mut labels = labels.into_iter().peekable();
    while labels.peek().is_some() {
        let (mut records, mut recorded) = (Vec::new(), Recorded::default());
        for Told { record, transition, events } in labels.by_ref().take(LABELS_TOGETHER) {
            records.extend(record);
            recorded.writes.push(Write::Transition(Box::new(transition)));
            recorded.writes.extend(events);
        }
        let writes = recorded.writes.clone();
        let outcomes = inner.commit_recorded(records, recorded).await?;
        without_events(&writes, outcomes).iter().for_each(|outcome| moved.count(outcome));
        inner.wake_for_events();
        crash_point("tier.after_labels");
    }
    Ok(())
}
