//! Rows of current versions that were read lately: a hot object is found without a thread hop and without SQL.
//!
//! No row may be told that is older than one that was told before. So each key belongs to a slot, a counter that the writer
//! makes odd before it commits a change of one of the slot's keys, and even again behind it. Who reads a row from the database
//! notes the counter before the read begins; the row is good as long as the counter stays what it was. Nothing has to be removed when
//! something changes, and whoever reads while a change is being committed goes to the database. Another counter does the same for all
//! keys, while another database is taken into service.
//!
//! This is a sequence lock whose readers keep what they read.
//! Source: <https://www.hpl.hp.com/techreports/2012/HPL-2012-68.pdf>

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use granary_types::{BucketId, ObjectKey};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::op::Op;
use crate::model::{ObjectRow, Write};

/// Many enough that few keys that are written share one with keys that are read.
const SLOTS: usize = 1 << 16;
/// Rows that take more are read each time.
const ROW_BYTES_MAX: usize = 16 << 10;
/// What is assumed of a row to begin with.
const ROW_BYTES_USUAL: usize = 768;

/// The rows.
pub(super) struct HotRows {
    rows: Cache<RowKey, Arc<HotRow>, Bytes>,
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
    /// The counter of all keys.
    all: AtomicU64,
}

/// Counters at the time when a read began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AsOf {
    all: u64,
    slot: u64,
}

struct HotRow {
    as_of: AsOf,
    row: ObjectRow,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct RowKey(BucketId, ObjectKey);

/// A key that is looked for. It hashes as [`RowKey`] does.
#[derive(Hash)]
struct Sought<'a>(BucketId, &'a ObjectKey);

impl Equivalent<RowKey> for Sought<'_> {
    fn equivalent(&self, key: &RowKey) -> bool {
        (self.0, self.1) == (key.0, &key.1)
    }
}

/// Counts what a row takes.
#[derive(Clone)]
struct Bytes;

impl Weighter<RowKey, Arc<HotRow>> for Bytes {
    fn weight(&self, RowKey(_, key): &RowKey, hot: &Arc<HotRow>) -> u64 {
        (size_of::<RowKey>() + key.as_bytes().len() + bytes_of(&hot.row)) as u64
    }
}

/// Roughly what a row takes in memory.
fn bytes_of(row: &ObjectRow) -> usize {
    let ObjectRow { object, .. } = row;
    let pair = |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
    let attributes = object.attributes.headers.iter().chain(&object.attributes.user).map(pair).sum::<usize>();
    let content_type = object.attributes.content_type.as_ref().map_or(0, String::len);
    size_of::<HotRow>()
        + object.etag.as_str().len()
        + content_type
        + attributes
        + size_of_val(object.content.parts())
}

/// What was found.
#[allow(clippy::large_enum_variant, reason = "it is taken apart where it is returned")]
pub(super) enum Found {
    /// The current version.
    Row(ObjectRow),
    /// The database has to be asked. What it says may be kept if the counters are still these.
    Nothing(Option<AsOf>),
}

impl HotRows {
    /// Rows that take so many bytes together, roughly. None is kept before [`Self::open`].
    pub(super) fn new(bytes_max: usize) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        let rows = Cache::with_weighter(bytes_max / ROW_BYTES_USUAL, bytes_max as u64, Bytes);
        Self { rows, hasher: RandomState::new(), slots, all: AtomicU64::new(1) }
    }

    /// The current version of a key.
    pub(super) fn find(&self, bucket: BucketId, key: &ObjectKey) -> Found {
        let sought = Sought(bucket, key);
        let Some(as_of) = self.as_of(&sought) else { return Found::Nothing(None) };
        match self.rows.get(&sought).filter(|hot| hot.as_of == as_of) {
            Some(hot) => Found::Row(hot.row.clone()),
            None => Found::Nothing(Some(as_of)),
        }
    }

    /// Keeps a row that a read found which began after `as_of` was noted.
    pub(super) fn keep(&self, bucket: BucketId, key: &ObjectKey, as_of: AsOf, row: &ObjectRow) {
        let is_good = self.as_of(&Sought(bucket, key)) == Some(as_of);
        if is_good && bytes_of(row) <= ROW_BYTES_MAX {
            self.rows.insert(RowKey(bucket, key.clone()), Arc::new(HotRow { as_of, row: row.clone() }));
        }
    }

    /// The slots of the keys that these operations change.
    pub(super) fn changed_by(&self, ops: &[&Op]) -> Slots<'_> {
        let mut indices = Vec::new();
        for op in ops {
            changed_keys(op, |bucket, key| indices.push(self.index(&Sought(bucket, key))));
        }
        indices.sort_unstable();
        indices.dedup();
        Slots(indices.into_iter().filter_map(|index| self.slots.get(index)).collect())
    }

    /// No row is told or kept any more: the database is no longer the one that the rows are of.
    pub(super) fn close(&self) {
        self.all.fetch_or(1, Ordering::SeqCst);
    }

    /// Rows of the database that is served now may be kept.
    pub(super) fn open(&self) {
        self.close();
        self.all.fetch_add(1, Ordering::SeqCst);
    }

    /// The counters of a key; `None` while it is being changed.
    fn as_of(&self, sought: &Sought<'_>) -> Option<AsOf> {
        let slot = self.slots.get(self.index(sought))?;
        let as_of = AsOf { all: self.all.load(Ordering::SeqCst), slot: slot.load(Ordering::SeqCst) };
        (as_of.all.is_multiple_of(2) && as_of.slot.is_multiple_of(2)).then_some(as_of)
    }

    fn index(&self, sought: &Sought<'_>) -> usize {
        // The remainder is less than the number of slots.
        usize::try_from(self.hasher.hash_one(sought) % SLOTS as u64).unwrap_or(0)
    }
}

/// Slots of keys that change, each once.
pub(super) struct Slots<'a>(Vec<&'a AtomicU64>);

/// Keys are being changed.
pub(super) struct Committing<'a>(Slots<'a>);

impl<'a> Slots<'a> {
    /// Until what it returns is dropped, no row of these keys is told or kept. Called by the one writer.
    pub(super) fn close(self) -> Committing<'a> {
        for slot in &self.0 {
            let before = slot.fetch_add(1, Ordering::SeqCst);
            debug_assert!(before.is_multiple_of(2), "two commits at a time");
        }
        Committing(self)
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        for slot in &self.0.0 {
            slot.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Names each key whose current row an operation may change.
fn changed_keys<'a>(op: &'a Op, mut changed: impl FnMut(BucketId, &'a ObjectKey)) {
    let writes = match op {
        Op::Commit(commit) => commit.writes.as_slice(),
        // Buckets come and go without objects; all else is in tables of its own.
        Op::CreateBucket(_)
        | Op::CreateBucketWith(_)
        | Op::DeleteBucket(_)
        | Op::ChangeBucket { .. }
        | Op::OpenVolume(_)
        | Op::SealVolume(_)
        | Op::FreeVolume { .. }
        | Op::ForgetVolume(_)
        | Op::MoveShard(_)
        | Op::PutDrive(_)
        | Op::PutClassedDrive(..)
        | Op::Recount
        | Op::PutDocument(_)
        | Op::ChangeIdentities(_)
        | Op::FinishEvents(_) => &[],
    };
    for write in writes {
        match write {
            Write::Put(put) => changed(put.bucket, &put.key),
            Write::Delete(delete) => changed(delete.bucket, &delete.key),
            Write::Remove(remove) => changed(remove.bucket, &remove.key),
            Write::Erase(erase) => changed(erase.delete.bucket, &erase.delete.key),
            Write::Expire(expire) => changed(expire.remove.bucket, &expire.remove.key),
            Write::Rename(rename) => {
                changed(rename.put.bucket, &rename.put.key);
                changed(rename.source.remove.bucket, &rename.source.remove.key);
            }
            Write::CompleteUpload(complete) => changed(complete.bucket, &complete.key),
            Write::MoveObject(moved) => changed(moved.bucket, &moved.key),
            Write::Tag(tagging) => changed(tagging.bucket, &tagging.key),
            Write::Acl(acl) => changed(acl.bucket, &acl.key),
            Write::Lock(locking) => changed(locking.bucket, &locking.key),
            Write::Transition(transition) => changed(transition.bucket, &transition.key),
            Write::TransitionApart(apart) => changed(apart.transition.bucket, &apart.transition.key),
            Write::Restore(restore) => changed(restore.bucket, &restore.key),
            Write::Warm(warm) => changed(warm.bucket, &warm.key),
            // Uploads are no versions yet, and rows name blobs without their places.
            Write::CreateUpload(_)
            | Write::PutPart(_)
            | Write::ReferPart(_)
            | Write::AbortUpload { .. }
            | Write::MoveBlob(_)
            | Write::Event(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
