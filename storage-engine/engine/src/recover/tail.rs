//! What the end of a volume tells that the metadata has forgotten.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granary_metadata::{Bucket, NewObject, ObjectLock, Tag, WriteConditions};
use granary_types::{BlobId, BucketId, ObjectKey, UnixMillis, VersionId, WriteId};

use super::Candidates;
use super::blobs::Blobs;
use super::replay::{Act, Item, Known, Record, Rules, put_event};
use super::scan::{FoundVolume, read_walked};
use crate::error::Result;
use crate::maintain::Walk;
use crate::told::{BACKUP_MARGIN, Deed, Stamp};
use crate::volume::{VolumeMap, VolumeView};

/// What lies between two places of a volume.
pub(crate) struct Tail {
    /// One past the last stripe that something can be read of, and no less than what is known to be committed.
    pub(crate) end: u64,
    /// What its stripes take in all shard files together.
    pub(crate) stored_bytes: u64,
    /// The earliest record, in milliseconds since 1970.
    pub(crate) opened_ms: Option<i64>,
    /// Stripes that are known to have been committed and cannot be read, and records that cannot be understood.
    pub(crate) unreadable: u64,
    records: Vec<(Record, Novelty)>,
}

/// Whether a record was written where it lies first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// It tells of something new.
    New,
    /// Compaction, a move between tiers or a warm copy put it there, maybe after what it tells of was deleted.
    Moved,
}

/// What is known of a volume before its tail is read.
pub(crate) struct KnownVolume {
    /// What is known to have been committed; 0 where nothing is remembered.
    pub(crate) end: u64,
    /// When it was opened.
    pub(crate) opened: UnixMillis,
    /// By column: how long its file is, where that is known. Behind `end`, a stripe that was being written when its writer died
    /// is told by it.
    pub(crate) lengths: Vec<Option<u64>>,
}

/// Reads a volume from `from` to `to`, but for what was being written when its writer died. Bytes of large objects are added to
/// `blobs`.
///
/// # Errors
/// When a drive cannot be read for a reason that may pass.
pub(crate) async fn read_tail(
    map: &Arc<VolumeMap>,
    view: Arc<VolumeView>,
    (from, to): (u64, u64),
    KnownVolume { end, opened, lengths }: KnownVolume,
    blobs: &mut Blobs,
) -> Result<Tail> {
    let walk = Walk::between(Arc::clone(&view), from, to);
    let found = FoundVolume { lengths, ..FoundVolume::of_view(&view, end) };
    let contents = read_walked(map, view, walk, found).await?;
    contents.segments.into_iter().for_each(|(blob, segment)| blobs.add(blob, segment));
    let volume = contents.volume;
    let novelties = novelties(opened, &contents.records, &contents.stripes);
    Ok(Tail {
        end: volume.end,
        stored_bytes: volume.stored_bytes,
        opened_ms: volume.opened_ms,
        unreadable: volume.lost_stripes.saturating_add(volume.unreadable_records),
        records: contents.records.into_iter().zip(novelties).collect(),
    })
}

/// One writer packs new records into a volume in the order of their stamps, stripe by stripe, from when it was opened, or not
/// long before: the first are stamped, and then it is opened for them. What is moved keeps an older stamp.
fn novelties(opened: UnixMillis, records: &[Record], stripes: &[u64]) -> Vec<Novelty> {
    let mut floor_us = u64::try_from(opened.0).unwrap_or(0).saturating_mul(1000);
    let margin_us = u64::try_from(BACKUP_MARGIN.as_micros()).unwrap_or(u64::MAX);
    let (mut stripe, mut highest_us) = (None, floor_us);
    let mut novelties = Vec::with_capacity(records.len());
    for (record, at) in records.iter().zip(stripes) {
        if stripe.replace(*at) != Some(*at) {
            floor_us = highest_us;
        }
        highest_us = highest_us.max(record.stamp.at_us);
        let is_moved = record.stamp.at_us.saturating_add(margin_us) < floor_us;
        novelties.push(if is_moved { Novelty::Moved } else { Novelty::New });
    }
    novelties
}

/// Reads the bytes of large objects in a volume up to `to`.
///
/// # Errors
/// As [`read_tail`].
pub(crate) async fn read_segments(
    map: &Arc<VolumeMap>,
    view: Arc<VolumeView>,
    to: u64,
    blobs: &mut Blobs,
) -> Result<()> {
    let lengths = vec![None; view.drives.len()];
    let known = KnownVolume { end: 0, opened: UnixMillis(0), lengths };
    read_tail(map, view, (0, to), known, blobs).await.map(drop)
}

/// What was written late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LateDeed {
    /// A version was put.
    Put {
        object: Box<NewObject>,
        conditions: Option<WriteConditions>,
        tags: Vec<Tag>,
        lock: ObjectLock,
        acl: Option<String>,
        /// Whether a part of its record, or its only place, was not found.
        is_lost: bool,
        /// What was moved is only looked for, and not put again.
        novelty: Novelty,
    },
    /// A version was deleted for good.
    Erase { version: VersionId, write: WriteId },
    /// A bucket was created or changed.
    Bucket(Box<Bucket>),
    /// A bucket was deleted.
    BucketGone,
}

/// A write that blocks tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) bucket: BucketId,
    /// The name of the bucket, as far as the record tells it.
    pub(crate) name: Option<String>,
    /// The key; of what became of a bucket, its name.
    pub(crate) key: ObjectKey,
    pub(crate) stamp: Stamp,
    pub(crate) deed: LateDeed,
}

/// What the tails tell, in the order in which it was written. What was refused is left out.
pub(crate) fn late_writes(tails: Vec<Tail>) -> Vec<Late> {
    let mut late: Vec<Late> = Vec::new();
    let (mut items, mut new) = (Vec::new(), HashSet::new());
    for (record, novelty) in tails.into_iter().flat_map(|tail| tail.records) {
        if novelty == Novelty::New {
            new.insert(record.object.write);
        }
        match bucket_deed(&record) {
            Some(deed) => late.push(of(&record, record.stamp, deed)),
            None => items.push(Item::Record(record)),
        }
    }
    let known = Known::sort(items);
    let decisions = HashMap::new();
    // Whether the bytes of large objects are there is looked up later, in the metadata too.
    let has_blob: &dyn Fn(BlobId, u64) -> bool = &|_, _| true;
    let rules = Rules { backup_ms: None, candidates: Candidates::All, decisions: &decisions, has_blob };
    for (write, records) in &known.puts {
        let event = put_event(records, known.later.get(write), &rules);
        let (Some(first), Some(event)) = (records.first(), event) else { continue };
        let Act::Put(version, conditions) = event.act else { continue };
        let is_new = new.contains(&first.object.write);
        let deed = LateDeed::Put {
            novelty: if is_new { Novelty::New } else { Novelty::Moved },
            is_lost: version.is_lost,
            tags: version.tags,
            lock: version.lock,
            acl: version.acl.and_then(|acl| String::from_utf8(acl).ok()),
            object: Box::new(version.object),
            conditions,
        };
        late.push(of(first, event.stamp, deed));
    }
    for (write, record) in &known.erased {
        let deed = LateDeed::Erase { version: record.object.version, write: *write };
        late.push(of(record, record.stamp, deed));
    }
    late.sort_by_key(|late| late.stamp);
    late
}

fn bucket_deed(record: &Record) -> Option<LateDeed> {
    match &record.told.as_ref()?.deed {
        Deed::Bucket(bucket) => Some(LateDeed::Bucket(bucket.clone())),
        Deed::BucketGone => Some(LateDeed::BucketGone),
        Deed::Put | Deed::Erased | Deed::Refused(_) | Deed::Retiered => None,
    }
}

fn of(record: &Record, stamp: Stamp, deed: LateDeed) -> Late {
    let name = record.told.as_ref().map(|told| told.name.as_str().to_owned());
    Late { bucket: record.bucket, name, key: record.key.clone(), stamp, deed }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
