//! Walking prefixes whose objects are to be warm, or need be no longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{
    Commit, ListEntry, ListQuery, ListedObject, ObjectRow, Outcome, WarmAfter, WarmKind, WarmRow, WarmStep,
    WarmVersion, Write,
};
use granary_types::{BucketId, ObjectKey, UnixMillis, WriteId};
use tokio::sync::mpsc;

use super::copy::{Made, Pace, Wish, make_copies};
use super::jobs::{JobHandle, WarmJobKind, WarmJobs};
use super::pins::{KnownPins, prefixes};
use super::room::{Claims, change_of, is_done};
use super::{is_due, next_round, pause, said};
use crate::engine::Inner;
use crate::error::{EngineError, Result};

const PAGE: u32 = 1_000;
/// How often pinned prefixes are looked at.
const PIN: Duration = Duration::from_mins(5);
/// Objects that are sorted by their places and copied together: enough to read whole stripes. As many are looked up meanwhile.
const TOGETHER: usize = 20_000;
/// And no more than this, so that what is known of an object is not old when its turn comes.
const TOGETHER_BYTES: u64 = 4 << 30;
const LOOKS: usize = 256;
/// Changes of one commit.
const CHANGES_MAX: usize = 500;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    /// Everything was gone through.
    Whole,
    /// The prefix was unpinned meanwhile, and the rest was left.
    Unpinned,
}

/// A walk over a prefix.
pub(super) struct Walk<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) bucket: BucketId,
    pub(super) prefix: &'a str,
    pub(super) kind: WarmJobKind,
    pub(super) pace: Pace,
    pub(super) job: &'a JobHandle,
}

impl Walk<'_> {
    /// Gives every object of the prefix a copy that may have one. While some are copied, the next are listed.
    pub(super) async fn run(&self) -> Result<Walked> {
        let began = UnixMillis::now();
        let (sender, receiver) = mpsc::channel(1);
        let (listed, copied) = join(self.list(began, sender), self.copy_all(began, receiver)).await;
        self.job.change(|job| job.left_bytes = 0);
        copied.and(listed)?;
        if self.is_wanted().await? {
            return Ok(Walked::Whole);
        }
        // Who unpinned let go of what was there then.
        unpin(self.inner, self.bucket, self.prefix).await?;
        Ok(Walked::Unpinned)
    }

    /// Whether the copies are wanted still: not those for a pin that is no more, whoever took it away.
    async fn is_wanted(&self) -> Result<bool> {
        match self.kind {
            WarmJobKind::Prefetch => Ok(true),
            WarmJobKind::Pin => {
                let pinned = prefixes(self.inner, self.bucket).await?;
                Ok(pinned.iter().any(|prefix| prefix == self.prefix))
            }
        }
    }

    /// Lists the prefix, as far as somebody takes what needs a copy.
    async fn list(&self, began: UnixMillis, wanted: mpsc::Sender<Vec<Wish>>) -> Result<()> {
        let (mut after, mut more) = (None, true);
        while more {
            let Ok(room) = wanted.reserve().await else { return Ok(()) };
            let mut wishes = Vec::new();
            while more && is_too_little(&wishes) && !wanted.is_closed() {
                let query = ListQuery {
                    bucket: self.bucket,
                    prefix: self.prefix.to_owned(),
                    delimiter: None,
                    after: after.take(),
                    limit: PAGE,
                };
                let page = self.inner.store.list_objects(query).await?;
                let objects: Vec<ListedObject> = page.entries.into_iter().filter_map(listed).collect();
                after = objects.last().map(|object| object.key.to_string());
                more = page.more && after.is_some();
                self.look_at(objects, began, &mut wishes).await?;
            }
            self.job.change(|job| job.is_listed = !more);
            room.send(wishes);
        }
        Ok(())
    }

    async fn copy_all(&self, began: UnixMillis, mut wanted: mpsc::Receiver<Vec<Wish>>) -> Result<()> {
        while let Some(wishes) = wanted.recv().await {
            if !self.is_wanted().await? {
                return Ok(());
            }
            self.copy(wishes, began).await?;
        }
        Ok(())
    }

    /// Adds what of a page needs a copy.
    async fn look_at(
        &self,
        mut objects: Vec<ListedObject>,
        began: UnixMillis,
        wishes: &mut Vec<Wish>,
    ) -> Result<()> {
        let range = objects.first().map(|first| first.key.clone()).zip(objects.last().map(|o| o.key.clone()));
        objects.retain(|object| self.is_readable_cold(object));
        let Some((first, last)) = range.filter(|_| !objects.is_empty()) else { return Ok(()) };
        let warm = self.warm_between(&first, &last).await?;
        let (inner, bucket) = (self.inner, self.bucket);
        let rows = stream::iter(objects)
            .map(|object| async move {
                let found = inner.store.object(bucket, &object.key, None).await?;
                Ok::<_, EngineError>(found.map(|row| (object.key, row)))
            })
            .buffered(LOOKS);
        let mut kept = Vec::new();
        for (key, row) in rows.try_collect::<Vec<_>>().await?.into_iter().flatten() {
            let object = &row.object;
            // It may be another one than was listed.
            if !inner.warm.is_for(object.storage_class) || object.storage_class.is_archive() {
                continue;
            }
            if object.content.packed().is_none() && object.content.parts().is_empty() {
                continue;
            }
            self.job.change(|job| job.found += 1);
            match warm.get(&(key.clone(), object.write)) {
                Some(found) if found.has_copy() => kept.push((key, row, found.clone())),
                _ => wishes.push(self.wish(key, row, began)),
            }
        }
        self.keep(kept, began, wishes).await
    }

    fn wish(&self, key: ObjectKey, row: ObjectRow, began: UnixMillis) -> Wish {
        self.job.change(|job| job.left_bytes += row.object.length_bytes);
        Wish::new((self.bucket, key, row), self.warm_kind(), began)
    }

    fn warm_kind(&self) -> WarmKind {
        match self.kind {
            WarmJobKind::Prefetch => WarmKind::Prefetched,
            WarmJobKind::Pin => WarmKind::Pinned,
        }
    }

    /// Whether an object lies on disks and can be read at once; counts those that do not.
    fn is_readable_cold(&self, object: &ListedObject) -> bool {
        let is_cold = self.inner.warm.is_for(object.storage_class);
        let is_archived = is_cold && object.storage_class.is_archive();
        self.job.change(|job| {
            job.on_ssd += u64::from(!is_cold);
            job.archived += u64::from(is_archived);
        });
        is_cold && !is_archived && object.length_bytes > 0
    }

    /// What is known of how warm the versions of keys from `first` to `last` are.
    async fn warm_between(
        &self,
        first: &ObjectKey,
        last: &ObjectKey,
    ) -> Result<HashMap<(ObjectKey, WriteId), WarmRow>> {
        let mut found = HashMap::new();
        let mut after = WarmAfter::prefix(self.bucket, first.as_str());
        loop {
            let page = self.inner.store.warm_after(after, PAGE).await?;
            let is_full = u32::try_from(page.len()).is_ok_and(|count| count >= PAGE);
            let next = page.last().map(WarmAfter::behind);
            let ours = |row: &WarmVersion| row.bucket == self.bucket && row.key.as_bytes() <= last.as_bytes();
            let is_over = page.last().is_none_or(|row| !ours(row));
            let rows = page.into_iter().filter(ours);
            found.extend(rows.map(|WarmVersion { key, write, row, .. }| ((key, write), row)));
            match next {
                Some(next) if is_full && !is_over => after = next,
                _ => return Ok(found),
            }
        }
    }

    /// Keeps the copies that there are: pinned ones for good, others as if they were read now. Those that had to make room meanwhile are
    /// wanted again.
    async fn keep(
        &self,
        kept: Vec<(ObjectKey, ObjectRow, WarmRow)>,
        began: UnixMillis,
        wishes: &mut Vec<Wish>,
    ) -> Result<()> {
        let (mut changed, mut writes) = (Vec::new(), Vec::new());
        for (key, object, row) in kept {
            let kind = match (row.kind, self.kind) {
                (WarmKind::Prefetched | WarmKind::Promoted | WarmKind::Read, WarmJobKind::Pin) => {
                    WarmKind::Pinned
                }
                (WarmKind::Prefetched | WarmKind::Promoted, WarmJobKind::Prefetch) => row.kind,
                _ => {
                    self.job.change(|job| job.warm += 1);
                    continue;
                }
            };
            let (from, at, write) = (row.kind, row.at.max(began), object.object.write);
            let found = WarmVersion { bucket: self.bucket, key: key.clone(), write, row };
            let step = WarmStep::Keep { from, kind, at };
            writes.push(Write::Warm(Box::new(change_of(&found, step))));
            changed.push((key, object));
        }
        let outcomes = commit_all(self.inner, &writes).await?;
        for ((key, object), outcome) in changed.into_iter().zip(outcomes) {
            if is_done(&outcome) {
                self.job.change(|job| job.warm += 1);
            } else {
                wishes.push(self.wish(key, object, began));
            }
        }
        Ok(())
    }

    async fn copy(&self, wishes: Vec<Wish>, began: UnixMillis) -> Result<()> {
        let claims = match self.kind {
            WarmJobKind::Prefetch => Claims::CacheBefore(began),
            WarmJobKind::Pin => Claims::Kept,
        };
        let mut left_bytes: u64 = wishes.iter().map(|wish| wish.row.object.length_bytes).sum();
        let mut tell = |made: Made| {
            self.job.change(|job| {
                let ended_bytes = match made {
                    Made::Copy(bytes) => {
                        job.copied += 1;
                        job.bytes += bytes;
                        bytes
                    }
                    Made::Changed => {
                        job.changed += 1;
                        0
                    }
                    Made::Failed(wish, reason) => {
                        job.failed += 1;
                        job.failure = Some(reason);
                        wish.row.object.length_bytes
                    }
                    Made::NoRoom(wish) => {
                        job.no_room += 1;
                        wish.row.object.length_bytes
                    }
                };
                left_bytes = left_bytes.saturating_sub(ended_bytes);
                job.left_bytes = job.left_bytes.saturating_sub(ended_bytes);
            });
        };
        let made = make_copies(self.inner, by_place(wishes), (self.pace, claims), &mut tell).await;
        // What was replaced meanwhile is over as well.
        self.job.change(|job| job.left_bytes = job.left_bytes.saturating_sub(left_bytes));
        made
    }
}

/// Whether what was looked up takes more beside it, before it is copied.
fn is_too_little(wishes: &[Wish]) -> bool {
    let length_bytes: u64 = wishes.iter().map(|wish| wish.row.object.length_bytes).sum();
    wishes.len() < TOGETHER && length_bytes < TOGETHER_BYTES
}

fn listed(entry: ListEntry) -> Option<ListedObject> {
    match entry {
        ListEntry::Object(object) => Some(object),
        ListEntry::CommonPrefix(_) => None,
    }
}

/// In the order of their places, so that a batch holds whole stripes and the volumes are read in order.
fn by_place(mut wishes: Vec<Wish>) -> Vec<Wish> {
    wishes.sort_by_cached_key(|wish| {
        let at = wish.row.object.content.packed();
        at.map(|at| (at.volume, at.stripe_offset, at.column, at.offset))
    });
    wishes
}

/// Returns what became of each.
async fn commit_all(inner: &Inner, writes: &[Write]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(writes.len());
    for writes in writes.chunks(CHANGES_MAX) {
        outcomes.extend(inner.store.commit(Commit { advances: Vec::new(), writes: writes.to_vec() }).await?);
    }
    Ok(outcomes)
}

/// Lets go of copies that are not pinned any more: they stay as long as nothing else needs their room.
pub(super) async fn let_go(inner: &Inner, versions: &[WarmVersion]) -> Result<()> {
    let now = UnixMillis::now();
    let step = |version: &WarmVersion| {
        let step = WarmStep::Keep { from: WarmKind::Pinned, kind: WarmKind::Prefetched, at: now };
        Write::Warm(Box::new(change_of(version, step)))
    };
    commit_all(inner, &versions.iter().map(step).collect::<Vec<_>>()).await.map(drop)
}

/// Lets go of the copies of a prefix that no other pin covers. Returns how many there were.
pub(super) async fn unpin(inner: &Inner, bucket: BucketId, prefix: &str) -> Result<u64> {
    let others = prefixes(inner, bucket).await?;
    let (mut after, mut count) = (WarmAfter::prefix(bucket, prefix), 0);
    loop {
        let page = inner.store.warm_after(after, PAGE).await?;
        let next = page.last().map(WarmAfter::behind);
        let is_ours = |row: &WarmVersion| row.bucket == bucket && row.key.as_str().starts_with(prefix);
        let is_over = page.last().is_none_or(|row| !is_ours(row));
        let covered =
            |row: &WarmVersion| others.iter().any(|other| row.key.as_str().starts_with(other.as_str()));
        let ours = page.into_iter().filter(is_ours);
        let freed: Vec<_> = ours.filter(|row| row.row.kind == WarmKind::Pinned && !covered(row)).collect();
        count += freed.len() as u64;
        let_go(inner, &freed).await?;
        match next {
            Some(next) if !is_over => after = next,
            _ => return Ok(count),
        }
    }
}

/// Gives copies to what came to pinned prefixes since they were pinned, until it is aborted.
pub(super) async fn warm_pinned_forever(inner: &Arc<Inner>) {
    let (mut known, mut last) = (KnownPins::default(), None);
    while next_round(inner).await {
        let is_ours = inner.warm.is_used() && inner.does_shared_work();
        if is_ours && is_due(last, pause(inner, PIN)) {
            last = Some(Instant::now());
            said("pin", warm_pinned(inner, &mut known).await);
        }
    }
}

async fn warm_pinned(inner: &Arc<Inner>, known: &mut KnownPins) -> Result<()> {
    known.refresh(inner).await?;
    for (bucket, name, prefix) in &known.pins {
        let unseen = WarmJobs::default();
        let (_, job) = unseen.begin(WarmJobKind::Pin, name.clone(), prefix.clone());
        let (pace, kind) = (Pace::Polite, WarmJobKind::Pin);
        // Not while a job that was asked for copies the same.
        let _turn = Arc::clone(&inner.warm.jobs.turn).lock_owned().await;
        Walk { inner, bucket: *bucket, prefix, kind, pace, job: &job }.run().await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
