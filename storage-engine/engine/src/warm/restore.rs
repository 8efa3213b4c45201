//! Restores: copies of archived versions for as long as they are readable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{Commit, RestoreChange, Restored, WarmKind, WarmQuery, WarmStep, WarmVersion, Write};
use granary_types::{BucketId, ObjectKey, UnixMillis, WriteId, crash_point};

use super::copy::{Made, Pace, Wish, make_copies};
use super::room::{Claims, change_of, drop_copies, drop_of};
use crate::engine::Inner;
use crate::error::Result;

/// Restores that are done together.
const PAGE: u32 = 2_000;
/// Rows that are looked up at the same time.
const LOOKS: usize = 32;
/// A restore that failed is left alone for so long, so that others get their turn.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

type Place = (BucketId, ObjectKey, WriteId);

/// Restores that failed lately.
#[derive(Default)]
pub(super) struct Failed(HashMap<Place, Instant>);

impl Failed {
    fn rested(&mut self) -> usize {
        self.0.retain(|_, since| since.elapsed() < FAILED_PAUSE);
        self.0.len()
    }
}

/// Does what is wanted, the most urgent first.
pub(super) async fn restore_wanted(inner: &Arc<Inner>, failed: &mut Failed) -> Result<()> {
    while inner.does_shared_work() {
        let resting = failed.rested();
        let limit = PAGE.saturating_add(u32::try_from(resting).unwrap_or(u32::MAX));
        let mut wanted = Vec::new();
        for kind in [WarmKind::WantedExpedited, WarmKind::WantedStandard, WarmKind::WantedBulk] {
            let query = WarmQuery { kind, from: UnixMillis(i64::MIN), until: UnixMillis(i64::MAX), limit };
            wanted = inner.store.warm_of_kind(query).await?;
            wanted.retain(|found| !failed.0.contains_key(&(found.bucket, found.key.clone(), found.write)));
            if !wanted.is_empty() {
                break;
            }
        }
        let Some(first) = wanted.first() else { return Ok(()) };
        let pace = if first.row.kind == WarmKind::WantedExpedited { Pace::Urgent } else { Pace::Polite };
        restore_all(inner, wanted, pace, failed).await?;
    }
    Ok(())
}

async fn restore_all(
    inner: &Arc<Inner>,
    wanted: Vec<WarmVersion>,
    pace: Pace,
    failed: &mut Failed,
) -> Result<()> {
    let looked = stream::iter(wanted).map(|found| look(inner, found)).buffered(LOOKS);
    let (mut wishes, mut at_once) = (Vec::new(), Vec::new());
    for looked in looked.try_collect::<Vec<_>>().await? {
        match looked {
            Looked::Copy(wish) => wishes.push(*wish),
            Looked::AtOnce(writes) => at_once.extend(writes),
        }
    }
    if !at_once.is_empty() {
        inner.store.commit(Commit { advances: Vec::new(), writes: at_once }).await?;
    }
    let mut homeless = Vec::new();
    let mut tell = |made| match made {
        Made::Copy(_) | Made::Changed => {}
        Made::Failed(wish) => {
            let place = (wish.bucket, wish.key.clone(), wish.row.object.write);
            failed.0.insert(place, Instant::now());
        }
        Made::NoRoom(wish) => homeless.push(*wish),
    };
    make_copies(inner, wishes, (pace, Claims::Kept), &mut tell).await?;
    restore_in_place(inner, homeless).await
}

enum Looked {
    Copy(Box<Wish>),
    /// No copy has to be made.
    AtOnce(Vec<Write>),
}

/// What there is to do for a restore.
async fn look(inner: &Inner, found: WarmVersion) -> Result<Looked> {
    let row = inner.store.object(found.bucket, &found.key, Some(found.row.version)).await?;
    let Some(row) = row.filter(|row| row.object.write == found.write) else {
        return Ok(Looked::AtOnce(vec![drop_of(&found)]));
    };
    let now = UnixMillis::now();
    let expires = inner.options.lifecycle_day.after(now, found.row.days);
    let restored = restored_for(&found, Restored { requested: found.row.at, expires });
    if found.row.place.is_some() {
        // It has a copy from before it was archived, or from a restore that has just ended.
        let step = WarmStep::Keep { from: found.row.kind, kind: WarmKind::Restored, at: expires };
        return Ok(Looked::AtOnce(vec![Write::Warm(Box::new(change_of(&found, step))), restored]));
    }
    if !row.object.storage_class.is_archive() {
        // It got another class meanwhile.
        return Ok(Looked::AtOnce(vec![drop_of(&found)]));
    }
    let wish = Wish::new((found.bucket, found.key, row), WarmKind::Restored, expires).with(restored);
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
        metrics::counter!("granary_warm_copies_total", "outcome" => "no_room").increment(1);
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
        if drop_copies(inner, over, "expired").await? == 0 {
            return Ok(());
        }
    }
}
