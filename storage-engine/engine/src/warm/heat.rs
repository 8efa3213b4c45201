//! Counting reads of versions on disks, and copying those to SSDs that are read often: INTELLIGENT_TIERING's as the class
//! promises, all others' as a cache that fills by itself.
//!
//! Reads are counted in memory and told to the metadata together every few seconds, so that no read costs a write. When
//! many different versions are read between two tellings, only some of those that were not counted yet are let in: a
//! version that is read often comes again. What is not of INTELLIGENT_TIERING passes the [`Door`] first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{
    Commit, NewObject, ObjectRow, WarmChange, WarmKind, WarmQuery, WarmStep, WarmVersion, Write,
};
use granary_types::{BucketId, ObjectKey, StorageClass, UnixMillis, VersionId, WriteId};
use parking_lot::Mutex;

use super::copy::{Pace, Wish, make_copies};
use super::door::Door;
use super::fill::Fills;
use super::room::{Claims, cache_account};
use super::{Warm, WarmOptions};
use crate::api::ByteRange;
use crate::engine::Inner;
use crate::error::Result;

/// Versions that are counted between two tellings.
const COUNTED_MAX: usize = 16_384;
/// When half of them are there, one of so many others is let in.
const LET_IN: u64 = 16;
/// Changes of one commit.
const CHANGES_MAX: usize = 500;
/// Rows that are looked at together.
const PAGE: u32 = 1_000;
/// The hottest versions that a round looks at. What is left out is looked at when it is read again.
const HOT_MAX: usize = 8_192;
const LOOKS: usize = 32;

type Place = (BucketId, ObjectKey, WriteId);

#[derive(Debug, Clone, Copy)]
struct Count {
    version: VersionId,
    reads: u32,
    last: UnixMillis,
}

/// A read, as far as it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    version: VersionId,
    /// For one, or for none: then it only tells that a copy is in use.
    reads: u32,
    at: UnixMillis,
    /// It need not pass the door.
    is_let_in: bool,
}

struct Counts {
    counts: HashMap<Place, Count>,
    others: u64,
    door: Door,
}

/// Reads since the last telling.
pub(super) struct ReadCounts(Mutex<Counts>);

impl ReadCounts {
    pub(super) fn new(options: &WarmOptions) -> Self {
        let door = Door::new(half_life_ms(options));
        Self(Mutex::new(Counts { counts: HashMap::new(), others: 0, door }))
    }

    /// Counts a read, or passes over it.
    fn note(&self, place: Place, read: Read) {
        let mut state = self.0.lock();
        let Counts { counts, others, door } = &mut *state;
        if let Some(count) = counts.get_mut(&place) {
            count.reads = count.reads.saturating_add(read.reads);
            count.last = count.last.max(read.at);
            return;
        }
        if !read.is_let_in && !door.was_here(&place, read.at) {
            return;
        }
        // With the one that stayed at the door.
        let reads = read.reads.saturating_add(u32::from(!read.is_let_in));
        *others = others.wrapping_add(1);
        let seen = counts.len();
        if seen < COUNTED_MAX / 2 || (seen < COUNTED_MAX && others.is_multiple_of(LET_IN)) {
            counts.insert(place, Count { version: read.version, reads, last: read.at });
        }
    }

    fn take(&self) -> HashMap<Place, Count> {
        std::mem::take(&mut self.0.lock().counts)
    }
}

/// Counts the read of a range of a version on disks, as far as that matters: `is_warm` if it has a copy, and `is_known` if there
/// is a row for it already.
pub(super) fn note_read(
    warm: &Warm,
    (bucket, key): (BucketId, &ObjectKey),
    object: &NewObject,
    range: ByteRange,
    (is_warm, is_known): (bool, bool),
) {
    let is_followed = object.storage_class == StorageClass::IntelligentTiering;
    let may_be_cached = warm.cache_reads > 0 && !object.storage_class.is_archive();
    if !is_warm && !is_followed && !may_be_cached {
        return;
    }
    let reads = u32::from(is_followed || holds_mark(object, range));
    if reads == 0 && !is_warm {
        return;
    }
    let is_let_in = is_followed || is_known || warm.cache_reads <= 1;
    let read = Read { version: object.version, reads, at: UnixMillis::now(), is_let_in };
    warm.counts.note((bucket, key.clone(), object.write), read);
}

/// Whether a range holds the one byte of a version that counts its reads. Who reads an object in many pieces reads it once.
fn holds_mark(object: &NewObject, range: ByteRange) -> bool {
    let first =
        |bytes: &[u8; 16]| bytes.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let mark = first(object.write.as_bytes()) % object.length_bytes.max(1);
    (range.start..range.end).contains(&mark)
}

/// After how long a read counts half.
pub(super) fn half_life_ms(options: &WarmOptions) -> u64 {
    u64::try_from(options.promote_window.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the metadata what was read. What cannot be told is lost: reads that nobody counted do no harm.
pub(super) async fn tell(inner: &Inner) -> Result<()> {
    let changes = changes(inner.warm.counts.take(), half_life_ms(&inner.options.warm));
    for writes in changes.chunks(CHANGES_MAX) {
        inner.store.commit(Commit { advances: Vec::new(), writes: writes.to_vec() }).await?;
    }
    Ok(())
}

/// What tells of reads: a write for each version, however often it was read.
fn changes(counts: HashMap<Place, Count>, half_life_ms: u64) -> Vec<Write> {
    let change = |((bucket, key, write), count): (Place, Count)| {
        let step = WarmStep::Read { reads: count.reads, at: count.last, half_life_ms };
        Write::Warm(Box::new(WarmChange { bucket, key, version: count.version, write, step }))
    };
    counts.into_iter().map(change).collect()
}

/// Gives copies to versions that were read since `from` and often enough for their class.
pub(super) async fn promote(inner: &Arc<Inner>, from: UnixMillis, now: UnixMillis) -> Result<()> {
    let options = &inner.options.warm;
    let Some(least) = [options.promote_reads, options.cache_reads].into_iter().filter(|n| *n > 0).min()
    else {
        return Ok(());
    };
    let hot = hot_since(inner, from, now, enough(least)).await?;
    if hot.is_empty() {
        return Ok(());
    }
    let mut fills = Fills::new(cache_account(inner).await?.limit_bytes);
    let mut promoted = Vec::new();
    let looked = stream::iter(hot).map(|(heat, found)| look_up(inner, heat, found)).buffered(LOOKS);
    let mut looked = std::pin::pin!(looked);
    while let Some(found) = looked.try_next().await? {
        let Some((heat, found)) = found else { continue };
        let object = &found.2.object;
        match kind_for(options, object.storage_class, heat) {
            Some(WarmKind::Promoted) => promoted.push(Wish::new(found, WarmKind::Promoted, now)),
            Some(kind) if fills.takes(object.length_bytes) => fills.add(heat, Wish::new(found, kind, now)),
            _ => {}
        }
    }
    make_copies(inner, promoted, (Pace::Polite, Claims::Cache), &mut |_| {}).await?;
    fills.fill(inner).await
}

/// So many reads, in thousandths. A few reads shortly after each other have faded by next to nothing, which must not count.
fn enough(reads: u32) -> u64 {
    u64::from(reads).saturating_mul(1_000).saturating_sub(500)
}

/// What a version of a class gets a copy for that is so hot, if it gets one.
fn kind_for(options: &WarmOptions, class: StorageClass, heat: u64) -> Option<WarmKind> {
    let (reads, kind) = match class {
        StorageClass::IntelligentTiering => (options.promote_reads, WarmKind::Promoted),
        class if class.is_archive() => return None,
        // One more kind would be none to nodes of older releases.
        _ => (options.cache_reads, WarmKind::Prefetched),
    };
    (reads > 0 && heat >= enough(reads)).then_some(kind)
}

/// The hottest versions without copies that were read since `from`, the hottest first.
async fn hot_since(
    inner: &Inner,
    from: UnixMillis,
    now: UnixMillis,
    enough: u64,
) -> Result<Vec<(u64, WarmVersion)>> {
    let half_life_ms = half_life_ms(&inner.options.warm);
    let mut query = WarmQuery { kind: WarmKind::Read, from, until: now, limit: PAGE };
    let mut hot: Vec<(u64, WarmVersion)> = Vec::new();
    loop {
        let page = inner.store.warm_of_kind(query).await?;
        let next = next_from(&page, query);
        let heats = page.into_iter().map(|found| (found.row.heat.at(now, half_life_ms), found));
        hot.extend(heats.filter(|(heat, _)| *heat >= enough));
        if next.is_none() || hot.len() > 2 * HOT_MAX {
            hot.sort_by_key(|(heat, _)| Reverse(*heat));
            hot.truncate(HOT_MAX);
        }
        match next {
            Some(next) => query.from = next,
            None => return Ok(hot),
        }
    }
}

/// Where the rows behind a page begin, if it may not be the last. What is beyond a page and of the same millisecond is passed
/// over: another round sees it.
pub(super) fn next_from(page: &[WarmVersion], query: WarmQuery) -> Option<UnixMillis> {
    let is_full = u32::try_from(page.len()).is_ok_and(|count| count >= query.limit);
    let last = page.last().filter(|_| is_full)?.row.at;
    Some(UnixMillis(last.0.saturating_add(1)))
}

/// The version that a row is for, if it may have a copy still.
async fn look_up(
    inner: &Inner,
    heat: u64,
    found: WarmVersion,
) -> Result<Option<(u64, (BucketId, ObjectKey, ObjectRow))>> {
    let WarmVersion { bucket, key, write, row } = found;
    let found = inner.store.object(bucket, &key, Some(row.version)).await?;
    let is_ours = |row: &ObjectRow| row.object.write == write && inner.warm.is_for(row.object.storage_class);
    Ok(found.filter(is_ours).map(|row| (heat, (bucket, key, row))))
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
