//! Restores: copies of archived versions for as long as they are readable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{
    Bucket, Commit, RestoreChange, Restored, WarmKind, WarmQuery, WarmStep, WarmVersion, Write,
};
use granary_types::{BucketId, ObjectKey, UnixMillis, WriteId, crash_point};
use parking_lot::Mutex;

use super::copy::{Made, Pace, Wish, make_copies};
use super::room::{Claims, change_of, drop_and_tell, drop_of};
use super::{next_round, said};
use crate::engine::Inner;
use crate::error::Result;
use crate::events::Origin;
use crate::failures::Failures;

/// Restores that are done together.
const PAGE: u32 = 2_000;
/// About so many bytes are restored in one turn at most.
const TURN_BYTES: u64 = 1 << 30;
/// About so long a turn takes of what is in no hurry, at the rate that it may have: what is more urgent comes next.
const TURN_SECONDS: u64 = 2;
/// Rows that are looked up at the same time.
const LOOKS: usize = 32;
/// A restore that failed is left alone for so long, so that others get their turn.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

type Place = (BucketId, ObjectKey, WriteId);

/// Restores that failed lately, and as what they are wanted.
#[derive(Default)]
pub(super) struct Failed(HashMap<Place, (WarmKind, Instant)>);

impl Failed {
    fn rested(&mut self) -> usize {
        self.0.retain(|_, (_, since)| since.elapsed() < FAILED_PAUSE);
        self.0.len()
    }

    fn count(&self, kind: WarmKind) -> u64 {
        self.0.values().filter(|(of, _)| *of == kind).count() as u64
    }
}

/// What this process could not restore when it tried last, by what it is wanted as.
#[derive(Default)]
pub(super) struct NotRestored(Mutex<BTreeMap<WarmKind, Failures>>);

impl NotRestored {
    fn add(&self, kind: WarmKind, reason: String) {
        self.0.lock().entry(kind).or_default().add(reason);
    }

    /// So many are left alone for a while. Those that are not any more are tried again, and count anew if they fail.
    fn set(&self, kind: WarmKind, count: u64) {
        let mut all = self.0.lock();
        if count == 0 {
            all.remove(&kind);
        } else if let Some(failures) = all.get_mut(&kind) {
            failures.count = count;
        }
    }

    pub(super) fn of(&self, kind: WarmKind) -> Failures {
        self.0.lock().get(&kind).cloned().unwrap_or_default()
    }
}

/// Does what is wanted of these kinds, the first of them first, until it is aborted.
pub(super) async fn restore_forever(inner: &Arc<Inner>, kinds: &[WarmKind], pace: Pace) {
    let mut failed = Failed::default();
    while next_round(inner).await {
        if inner.warm.is_used() {
            said("restore", restore_wanted(inner, (kinds, pace), &mut failed).await);
        }
    }
}

async fn restore_wanted(
    inner: &Arc<Inner>,
    (kinds, pace): (&[WarmKind], Pace),
    failed: &mut Failed,
) -> Result<()> {
    while inner.does_shared_work() {
        let resting = failed.rested();
        let limit = PAGE.saturating_add(u32::try_from(resting).unwrap_or(u32::MAX));
        kinds.iter().for_each(|kind| inner.warm.not_restored.set(*kind, failed.count(*kind)));
        let mut next = None;
        for kind in kinds {
            let (from, until) = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
            let query = WarmQuery { kind: *kind, from, until, limit };
            let mut wanted = inner.store.warm_of_kind(query).await?;
            wanted.retain(|found| !failed.0.contains_key(&(found.bucket, found.key.clone(), found.write)));
            if !wanted.is_empty() {
                next = Some((*kind, wanted));
                break;
            }
        }
        let Some(next) = next else { return Ok(()) };
        restore_all(inner, next, pace, failed).await?;
    }
    Ok(())
}

async fn restore_all(
    inner: &Arc<Inner>,
    (kind, wanted): (WarmKind, Vec<WarmVersion>),
    pace: Pace,
    failed: &mut Failed,
) -> Result<()> {
    let buckets = &buckets_to_tell_of(inner).await?;
    let looked = stream::iter(wanted).map(|found| look(inner, buckets, found)).buffered(LOOKS);
    let (mut wishes, mut at_once, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
    let turn_bytes = turn_bytes(inner, pace);
    for looked in looked.try_collect::<Vec<_>>().await? {
        match looked {
            // What is more urgent may come meanwhile: the rest waits for the next turn.
            Looked::Copy(wish) if wishes.is_empty() || bytes < turn_bytes => {
                bytes = bytes.saturating_add(wish.row.object.length_bytes);
                wishes.push(*wish);
            }
            Looked::Copy(_) => {}
            Looked::AtOnce(writes) => at_once.extend(writes),
        }
    }
    if !at_once.is_empty() {
        inner.store.commit(Commit { advances: Vec::new(), writes: at_once }).await?;
    }
    let mut homeless = Vec::new();
    let (began, mut restored_bytes) = (tokio::time::Instant::now(), 0_u64);
    let mut tell = |made| match made {
        Made::Copy(bytes) => restored_bytes = restored_bytes.saturating_add(bytes),
        Made::Changed => {}
        Made::Failed(wish, reason) => {
            inner.warm.not_restored.add(kind, reason);
            let place = (wish.bucket, wish.key.clone(), wish.row.object.write);
            failed.0.insert(place, (kind, Instant::now()));
        }
        Made::NoRoom(wish) => homeless.push(*wish),
    };
    let made = make_copies(inner, wishes, (pace, Claims::Kept), &mut tell).await;
    inner.warm.restored.add(restored_bytes, began);
    made?;
    restore_in_place(inner, homeless).await
}

/// How many bytes are restored in one turn.
fn turn_bytes(inner: &Inner, pace: Pace) -> u64 {
    match pace {
        Pace::Urgent => TURN_BYTES,
        Pace::Polite => inner.options.move_rate_bytes.saturating_mul(TURN_SECONDS).min(TURN_BYTES),
    }
}

enum Looked {
    Copy(Box<Wish>),
    /// No copy has to be made.
    AtOnce(Vec<Write>),
}

/// The buckets, if anything is told of what happens in them.
async fn buckets_to_tell_of(inner: &Inner) -> Result<HashMap<BucketId, Bucket>> {
    if !inner.targets.are_named() {
        return Ok(HashMap::new());
    }
    inner.all_buckets().map_ok(|bucket| (bucket.id, bucket)).try_collect().await
}

/// What there is to do for a restore.
async fn look(inner: &Inner, buckets: &HashMap<BucketId, Bucket>, found: WarmVersion) -> Result<Looked> {
    let row = inner.store.object(found.bucket, &found.key, Some(found.row.version)).await?;
    let Some(row) = row.filter(|row| row.object.write == found.write) else {
        return Ok(Looked::AtOnce(vec![drop_of(&found)]));
    };
    let now = UnixMillis::now();
    let expires = inner.options.lifecycle_day.after(now, found.row.days);
    let restored = restored_for(&found, Restored { requested: found.row.at, expires });
    let events = match buckets.get(&found.bucket) {
        Some(bucket) => {
            let subject = (&found.key, &row.object);
            inner.restore_done_events(&Origin::lifecycle(), bucket, subject, expires).await?
        }
        None => Vec::new(),
    };
    if found.row.has_copy() {
        // It has a copy from before it was archived, or from a restore that has just ended.
        let step = WarmStep::Keep { from: found.row.kind, kind: WarmKind::Restored, at: expires };
        let mut writes = vec![Write::Warm(Box::new(change_of(&found, step))), restored];
        writes.extend(events);
        return Ok(Looked::AtOnce(writes));
    }
    if !row.object.storage_class.is_archive() {
        // It got another class meanwhile.
        return Ok(Looked::AtOnce(vec![drop_of(&found)]));
    }
    let wish = Wish::new((found.bucket, found.key, row), WarmKind::Restored, expires);
    let wish = events.into_iter().fold(wish.with(restored), Wish::with);
    Ok(Looked::Copy(Box::new(wish)))
}

fn restored_for(found: &WarmVersion, restored: Restored) -> Write {
    Write::Restore(Box::new(RestoreChange {
        bucket: found.bucket,
        key: found.key.clone(),
        version: found.row.version,
        write: found.write,
        restored: Some(restored),
    }))
}

/// Lets versions be read where they lie for which the SSDs have no room: the disks are drives of this store too.
async fn restore_in_place(inner: &Inner, wishes: Vec<Wish>) -> Result<()> {
    for wish in wishes {
        let Some(found) = inner.store.object_warmth(wish.bucket, &wish.key, wish.row.object.write).await?
        else {
            continue;
        };
        if !found.kind.is_wanted() {
            continue;
        }
        tracing::info!(key = %wish.key, "the SSDs have no room for a restored copy: it is read from the disks");
        let drop = wish.change(WarmStep::Drop { kind: found.kind, at: found.at });
        let mut writes = vec![Write::Warm(Box::new(drop))];
        writes.extend(wish.into_behind());
        inner.store.commit(Commit { advances: Vec::new(), writes }).await?;
    }
    Ok(())
}

/// Ends the restores whose time is over.
pub(super) async fn expire(inner: &Inner, now: UnixMillis) -> Result<()> {
    loop {
        let query =
            WarmQuery { kind: WarmKind::Restored, from: UnixMillis(i64::MIN), until: now, limit: 500 };
        let over = inner.store.warm_of_kind(query).await?;
        if over.is_empty() {
            return Ok(());
        }
        crash_point("warm.before_expire");
        if end(inner, &over, "expired").await? == 0 {
            return Ok(());
        }
    }
}

/// Drops the copies of restores that are over, and tells of it. Returns the bytes of those that are gone.
pub(super) async fn end(inner: &Inner, over: &[WarmVersion], reason: &'static str) -> Result<u64> {
    if over.is_empty() {
        return Ok(0);
    }
    let buckets = buckets_to_tell_of(inner).await?;
    let mut drops = Vec::with_capacity(over.len());
    for version in over {
        drops.push((version, ended_events(inner, &buckets, version).await?));
    }
    drop_and_tell(inner, drops, reason).await
}

/// What is told when a restore ends.
async fn ended_events(
    inner: &Inner,
    buckets: &HashMap<BucketId, Bucket>,
    over: &WarmVersion,
) -> Result<Vec<Write>> {
    let Some(bucket) = buckets.get(&over.bucket) else { return Ok(Vec::new()) };
    let row = inner.store.object(over.bucket, &over.key, Some(over.row.version)).await?;
    match row.filter(|row| row.object.write == over.write) {
        Some(row) => inner.restore_ended_events(bucket, (&over.key, &row.object)).await,
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
