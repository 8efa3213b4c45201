//! What is done round by round: ends of restores, promotions, demotions, and what lost its version.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use granary_metadata::{WarmAfter, WarmKind, WarmQuery, WarmVersion};
use granary_types::{StorageClass, UnixMillis};

use super::pins::Pins;
use super::restore::{end, expire};
use super::room::{Claims, drop_copies, make_room};
use super::{heat, is_due, next_round, pause, said, status, walk};
use crate::engine::Inner;
use crate::error::Result;

/// How often reads are told, and what is read often looked for.
const TELL: Duration = Duration::from_secs(15);
/// How often all rows are looked at.
const SWEEP: Duration = Duration::from_mins(1);
/// Rows of a round.
const PAGE: u32 = 500;
const LOOKS: usize = 32;
/// A copy that did not grow for so long, and that nobody wants to be restored, is gone on with by nobody.
const ABANDONED: Duration = Duration::from_hours(1);
/// With days cut short, longer than a piece takes.
const ABANDONED_MIN: Duration = Duration::from_secs(10);
/// What has faded to less than this, in thousandths of a read, is forgotten.
const FORGOTTEN_MILLI_READS: u64 = 100;

/// What is remembered from round to round.
#[derive(Default)]
struct Keeper {
    told: Option<Instant>,
    /// Up to when what is read often was looked for.
    promoted: Option<UnixMillis>,
    swept: Option<Instant>,
    /// Where the sweep is that is under way.
    at: Option<WarmAfter>,
}

/// Goes on round by round, until it is aborted.
pub(super) async fn keep_forever(inner: &Arc<Inner>) {
    let mut keeper = Keeper::default();
    while next_round(inner).await {
        said("keep", Box::pin(keeper.round(inner)).await);
    }
}

impl Keeper {
    async fn round(&mut self, inner: &Arc<Inner>) -> Result<()> {
        if !inner.warm.is_used() {
            return Ok(());
        }
        let told = is_due(self.told, pause(inner, TELL));
        if told {
            self.told = Some(Instant::now());
            heat::tell(inner).await?;
        }
        if !inner.does_shared_work() {
            return Ok(());
        }
        let now = UnixMillis::now();
        expire(inner, now).await?;
        if told {
            self.look_at_heat(inner, now).await?;
            make_room(inner, Claims::Cache, (0, 0)).await?;
            status::show(inner).await?;
        }
        self.sweep(inner, now).await
    }

    /// Promotes what is read often, and demotes what is not any more.
    async fn look_at_heat(&mut self, inner: &Arc<Inner>, now: UnixMillis) -> Result<()> {
        // Reads are told some time after they were made, by other nodes too.
        let slack_ms = 4 * i64::try_from(pause(inner, TELL).as_millis()).unwrap_or(i64::MAX / 8);
        let from = self.promoted.map_or(UnixMillis(i64::MIN), |at| UnixMillis(at.0.saturating_sub(slack_ms)));
        heat::promote(inner, from, now).await?;
        self.promoted = Some(now);
        let cold_ms = i64::try_from(inner.options.warm.demote_after.as_millis()).unwrap_or(i64::MAX);
        let until = UnixMillis(now.0.saturating_sub(cold_ms));
        let query = WarmQuery { kind: WarmKind::Promoted, from: UnixMillis(i64::MIN), until, limit: PAGE };
        let cold = inner.store.warm_of_kind(query).await?;
        drop_copies(inner, &cold, "demoted").await.map(drop)
    }

    /// Looks at a page of all rows, if it is time to.
    async fn sweep(&mut self, inner: &Arc<Inner>, now: UnixMillis) -> Result<()> {
        let after = match self.at.take() {
            Some(after) => after,
            None if is_due(self.swept, pause(inner, SWEEP)) => {
                self.swept = Some(Instant::now());
                WarmAfter::default()
            }
            None => return Ok(()),
        };
        let page = inner.store.warm_after(after, PAGE).await?;
        let is_full = u32::try_from(page.len()).is_ok_and(|count| count >= PAGE);
        let next = page.last().filter(|_| is_full).map(WarmAfter::behind);
        let pins = Pins::of_rows(inner, &page).await?;
        let looked = stream::iter(page).map(|found| look(inner, found, now)).buffered(LOOKS);
        let (mut orphans, mut faded, mut unpinned) = (Vec::new(), Vec::new(), Vec::new());
        let (mut abandoned, mut ended) = (Vec::new(), Vec::new());
        for (fate, found) in looked.try_collect::<Vec<_>>().await? {
            match fate {
                Fate::Orphan => orphans.push(found),
                Fate::Ended => ended.push(found),
                Fate::Faded => faded.push(found),
                Fate::Abandoned => abandoned.push(found),
                Fate::Stays if found.row.kind == WarmKind::Pinned && !pins.cover(&found) => {
                    unpinned.push(found);
                }
                Fate::Stays => {}
            }
        }
        drop_copies(inner, &orphans, "orphaned").await?;
        end(inner, &ended, "orphaned").await?;
        drop_copies(inner, &faded, "faded").await?;
        drop_copies(inner, &abandoned, "abandoned").await?;
        walk::let_go(inner, &unpinned).await?;
        // Remembered last: a page that failed is looked at again.
        self.at = next;
        Ok(())
    }
}

/// What is to become of a row.
enum Fate {
    Stays,
    /// Its version is gone, or archived since, so that nobody can read the copy.
    Orphan,
    /// Its restore is not there any more. A move to another archive lets the copy expire as well, but did not always.
    Ended,
    /// It tells of reads that do not matter any more.
    Faded,
    /// It tells of the beginning of a copy that nobody goes on with.
    Abandoned,
}

async fn look(inner: &Inner, found: WarmVersion, now: UnixMillis) -> Result<(Fate, WarmVersion)> {
    let half_life_ms = u64::try_from(inner.options.warm.promote_window.as_millis()).unwrap_or(u64::MAX);
    let is_cold = || found.row.heat.at(now, half_life_ms) < FORGOTTEN_MILLI_READS;
    let row = inner.store.object(found.bucket, &found.key, Some(found.row.version)).await?;
    let fate = match row.filter(|row| row.object.write == found.write) {
        None => Fate::Orphan,
        Some(row) if row.object.storage_class.is_archive() && is_readable_kind(found.row.kind) => {
            Fate::Orphan
        }
        // Only there a move to another archive can have left it.
        Some(row)
            if row.object.storage_class == StorageClass::DeepArchive
                && found.row.kind == WarmKind::Restored
                && !has_restore(inner, &found).await? =>
        {
            Fate::Ended
        }
        // A restore that is wanted is gone on with.
        Some(_) if found.row.kind == WarmKind::Read && found.row.begun().is_some() => {
            let idle_ms = i64::try_from(pause(inner, ABANDONED).max(ABANDONED_MIN).as_millis());
            let is_idle = now.0.saturating_sub(found.row.at.0) >= idle_ms.unwrap_or(i64::MAX);
            if is_idle { Fate::Abandoned } else { Fate::Stays }
        }
        Some(_) if found.row.kind == WarmKind::Read && is_cold() => Fate::Faded,
        Some(_) => Fate::Stays,
    };
    Ok((fate, found))
}

/// Whether a version's restore is there, be it over or not.
async fn has_restore(inner: &Inner, found: &WarmVersion) -> Result<bool> {
    Ok(inner.store.object_restore(found.bucket, &found.key, found.write).await?.is_some())
}

/// Whether copies of a kind are for what can be read at once.
fn is_readable_kind(kind: WarmKind) -> bool {
    kind.is_evictable() || kind == WarmKind::Pinned
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
