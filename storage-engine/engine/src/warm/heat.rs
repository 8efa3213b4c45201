//! Counting reads of versions on disks, and promoting those that are read often.
//!
//! Reads are counted in memory and told to the metadata together every few seconds, so that no read costs a write. When
//! many different versions are read between two tellings, only some of those that were not counted yet are let in: a
//! version that is read often comes again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use granary_metadata::{Commit, WarmChange, WarmKind, WarmQuery, WarmRow, WarmStep, WarmVersion, Write};
use granary_types::{BucketId, ObjectKey, StorageClass, UnixMillis, VersionId, WriteId};
use parking_lot::Mutex;

use super::copy::{Pace, Wish, make_copies};
use super::room::Claims;
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

type Place = (BucketId, ObjectKey, WriteId);

#[derive(Debug, Clone, Copy)]
struct Count {
    version: VersionId,
    reads: u32,
    last: UnixMillis,
}

/// Reads since the last telling.
#[derive(Default)]
pub(super) struct ReadCounts {
    state: Mutex<(HashMap<Place, Count>, u64)>,
}

impl ReadCounts {
    /// Counts a read, or passes over it.
    pub(super) fn note(&self, place: Place, version: VersionId, now: UnixMillis) {
        let mut state = self.state.lock();
        let (counts, others) = &mut *state;
        let seen = counts.len();
        match counts.entry(place) {
            Entry::Occupied(mut entry) => {
                let count = entry.get_mut();
                count.reads = count.reads.saturating_add(1);
                count.last = count.last.max(now);
            }
            Entry::Vacant(entry) => {
                *others = others.wrapping_add(1);
                let is_let_in =
                    seen < COUNTED_MAX / 2 || (seen < COUNTED_MAX && others.is_multiple_of(LET_IN));
                if is_let_in {
                    entry.insert(Count { version, reads: 1, last: now });
                }
            }
        }
    }

    fn take(&self) -> HashMap<Place, Count> {
        std::mem::take(&mut self.state.lock().0)
    }
}

/// Tells the metadata what was read. What cannot be told is lost: reads that nobody counted do no harm.
pub(super) async fn tell(inner: &Inner) -> Result<()> {
    let half_life_ms = u64::try_from(inner.options.warm.promote_window.as_millis()).unwrap_or(u64::MAX);
    let change = |((bucket, key, write), count): (Place, Count)| {
        let step = WarmStep::Read { reads: count.reads, at: count.last, half_life_ms };
        Write::Warm(Box::new(WarmChange { bucket, key, version: count.version, write, step }))
    };
    let changes: Vec<Write> = inner.warm.counts.take().into_iter().map(change).collect();
    for writes in changes.chunks(CHANGES_MAX) {
        inner.store.commit(Commit { advances: Vec::new(), writes: writes.to_vec() }).await?;
    }
    Ok(())
}

/// Gives copies to versions of INTELLIGENT_TIERING that were read since `from` and often enough.
pub(super) async fn promote(inner: &Arc<Inner>, from: UnixMillis, now: UnixMillis) -> Result<()> {
    let options = &inner.options.warm;
    if options.promote_reads == 0 {
        return Ok(());
    }
    let half_life_ms = u64::try_from(options.promote_window.as_millis()).unwrap_or(u64::MAX);
    // A few reads shortly after each other have faded by next to nothing, which must not count.
    let enough = u64::from(options.promote_reads).saturating_mul(1_000).saturating_sub(500);
    let is_hot = |row: &WarmRow| row.heat.at(now, half_life_ms) >= enough;
    let mut query = WarmQuery { kind: WarmKind::Read, from, until: now, limit: PAGE };
    loop {
        let page = inner.store.warm_of_kind(query).await?;
        let last = page.last().map(|version| version.row.at);
        let is_full = u32::try_from(page.len()).is_ok_and(|count| count >= PAGE);
        let mut wishes = Vec::new();
        for WarmVersion { bucket, key, write, row } in page.into_iter().filter(|found| is_hot(&found.row)) {
            let found = inner.store.object(bucket, &key, Some(row.version)).await?;
            let is_for = |class| class == StorageClass::IntelligentTiering && inner.warm.is_for(class);
            let found =
                found.filter(|found| found.object.write == write && is_for(found.object.storage_class));
            wishes.extend(found.map(|row| Wish::new((bucket, key, row), WarmKind::Promoted, now)));
        }
        make_copies(inner, wishes, (Pace::Polite, Claims::Cache), &mut |_| {}).await?;
        match last {
            Some(last) if is_full => query.from = UnixMillis(last.0.max(query.from.0.saturating_add(1))),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
