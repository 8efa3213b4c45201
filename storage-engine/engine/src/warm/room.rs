//! The room that copies have.
//!
//! Prefetched and promoted copies together stay below a bound, and the one that was read least recently goes first. What fills the
//! cache by itself takes only the room of what is clearly colder: where everything is read again and again and does not fit, as
//! by training runs, nothing would be gained by replacing one part of it with another, and that would never end.
//!
//! Restored and pinned copies do not count, as nobody may take them away; but what is cached makes room for them.

use std::sync::Arc;

use granary_metadata::{
    Commit, Heat, WarmChange, WarmKind, WarmQuery, WarmRow, WarmStep, WarmUsage, WarmVersion, Write,
};
use granary_types::{DriveClass, UnixMillis, crash_point};

use super::WarmOptions;
use super::heat::{half_life_ms, next_from};
use super::under_way::CacheAccount;
use crate::engine::Inner;
use crate::error::Result;
use crate::events::without_events;
use crate::tiers::Tier;

/// The part of the SSDs that is left free by what is cached, in percent.
const SPARE_PERCENT: u64 = 10;
/// Copies that are dropped together.
const PAGE: u32 = 500;
/// Pages of each kind that are gone through for something colder.
const COLDER_PAGES_MAX: usize = 8;
/// How much hotter than what is to go something must be, in thousandths of a read: of what is read equally often, that which
/// was read just now is hotter by a read than that which comes next.
const HOTTER_MILLI_READS: u64 = 1_500;

/// On what account copies are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claims {
    /// On that of the cache.
    Cache,
    /// As the cache, and of what is there only what was read before then makes room.
    CacheBefore(UnixMillis),
    /// As the cache, and of what is there only what is clearly colder than so many thousandths of a read makes room.
    Fill {
        /// How hot the versions are that get copies, at least.
        milli_reads: u64,
    },
    /// On none: they are pinned or restored.
    Kept,
}

/// What the SSDs can hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ssds {
    /// With parity left out.
    pub(super) capacity_bytes: u64,
    /// What is free of it.
    pub(super) free_bytes: u64,
}

impl Ssds {
    pub(super) fn of(inner: &Inner) -> Self {
        let code = inner.pool.tiers.code(Tier::Warm);
        let (data, columns) = (u128::from(code.data), u128::from(code.data) + u128::from(code.parity));
        let net = |bytes: u64| u64::try_from(u128::from(bytes) * data / columns.max(1)).unwrap_or(u64::MAX);
        let usable = inner.drives.usable();
        let ssds = usable.iter().filter(|drive| inner.drives.class(drive.id()) == DriveClass::Ssd);
        let (free, capacity) = ssds.map(|drive| drive.space_bytes()).fold((0_u64, 0_u64), |sum, space| {
            (sum.0.saturating_add(space.0), sum.1.saturating_add(space.1))
        });
        Self { capacity_bytes: net(capacity), free_bytes: net(free) }
    }

    /// How much of `capacity_bytes` what is cached may be: less when other things need the room.
    pub(super) fn limit_bytes(self, options: &WarmOptions, cached_bytes: u64) -> u64 {
        let share = self.capacity_bytes / 100 * WarmOptions::SHARE_PERCENT;
        let spare = self.capacity_bytes / 100 * SPARE_PERCENT;
        let room = cached_bytes.saturating_add(self.free_bytes).saturating_sub(spare);
        options.bytes_max.unwrap_or(share).min(room)
    }
}

/// What the cache takes, with the copies that are under way, and how much it may.
pub(super) async fn cache_account(inner: &Inner) -> Result<CacheAccount> {
    let usage = inner.store.warm_usage().await?;
    Ok(account_of(inner, &usage))
}

/// As [`cache_account`], of copies that come to this.
pub(super) fn account_of(inner: &Inner, usage: &[WarmUsage]) -> CacheAccount {
    let cached = usage.iter().filter(|usage| usage.kind.is_evictable()).map(|usage| usage.bytes).sum();
    let ssds = if inner.warm.is_used() { Ssds::of(inner) } else { Ssds::default() };
    inner.warm.under_way.account(cached, ssds, &inner.options.warm)
}

/// The room that there is for copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: u64,
    /// For a larger copy nothing was dropped, as there would not be room for it then either.
    pub(super) attainable_bytes: u64,
}

impl Room {
    /// When the first copy got no room: the longest that may still get some.
    pub(super) fn next_bytes_max(self, first_bytes: u64) -> u64 {
        // For what is shorter room was not tried to be made then.
        if first_bytes > self.attainable_bytes { self.attainable_bytes } else { self.bytes }
    }
}

/// What may be dropped for a copy.
#[derive(Debug, Clone, Copy)]
enum Going {
    /// What was read before then, the least recently read first.
    ReadBefore(UnixMillis),
    /// What is clearly colder than so many thousandths of a read.
    ColderThan(u64),
}

/// Makes room for copies that come to so many bytes, of which the first takes so much, or for as many of them as there is room to
/// be had.
pub(super) async fn make_room(
    inner: &Arc<Inner>,
    claims: Claims,
    (bytes, first_bytes): (u64, u64),
) -> Result<Room> {
    let going = match claims {
        Claims::Cache => Going::ReadBefore(UnixMillis(i64::MAX)),
        Claims::CacheBefore(before) => Going::ReadBefore(before),
        Claims::Fill { milli_reads } => Going::ColderThan(milli_reads),
        Claims::Kept => return make_room_to_keep(inner, bytes).await,
    };
    let has_room = inner.pool.has_room_in(Tier::Warm);
    let account = cache_account(inner).await?;
    let over = account.eviction_bytes(bytes, first_bytes);
    let freed = match going {
        Going::ReadBefore(before) => evict(inner, over, before).await?,
        // Nothing is dropped for what cannot be written.
        Going::ColderThan(milli_reads) if has_room => evict_colder(inner, over, milli_reads).await?,
        Going::ColderThan(_) => 0,
    };
    let room = account.limit_bytes.saturating_sub(account.taken_bytes.saturating_sub(freed));
    let bytes = if has_room { room.min(bytes) } else { 0 };
    Ok(Room { bytes, attainable_bytes: account.attainable_bytes() })
}

/// As [`make_room`], of copies that are on no account: there is room as long as anything can be written.
async fn make_room_to_keep(inner: &Arc<Inner>, bytes: u64) -> Result<Room> {
    if inner.pool.has_room_in(Tier::Warm) {
        return Ok(Room { bytes, attainable_bytes: u64::MAX });
    }
    // What goes now is room later, when its volumes are compacted and freed.
    evict(inner, bytes, UnixMillis(i64::MAX)).await?;
    Ok(Room { bytes: 0, attainable_bytes: u64::MAX })
}

/// Drops what was read least recently, and before then, until so many bytes are free. Returns how many are.
async fn evict(inner: &Arc<Inner>, bytes: u64, before: UnixMillis) -> Result<u64> {
    let mut freed = 0;
    while freed < bytes {
        let mut oldest: Vec<WarmVersion> = Vec::new();
        for kind in [WarmKind::Prefetched, WarmKind::Promoted] {
            let until = UnixMillis(before.0.saturating_sub(1));
            let query = WarmQuery { kind, from: UnixMillis(i64::MIN), until, limit: PAGE };
            oldest.extend(inner.store.warm_of_kind(query).await?);
        }
        oldest.sort_by_key(|version| version.row.at);
        let mut chosen = Vec::new();
        let mut chosen_bytes = 0_u64;
        for version in oldest {
            if freed + chosen_bytes >= bytes {
                break;
            }
            chosen_bytes = chosen_bytes.saturating_add(version.row.length_bytes());
            chosen.push(version);
        }
        if chosen.is_empty() {
            break;
        }
        let dropped = drop_copies(inner, &chosen, "evicted").await?;
        // What was read or pinned meanwhile stays; if that is all of it, it is looked at again another time.
        if dropped == 0 {
            break;
        }
        freed = freed.saturating_add(dropped);
    }
    Ok(freed)
}

/// As [`evict`], of what is clearly colder than so many thousandths of a read.
async fn evict_colder(inner: &Arc<Inner>, bytes: u64, milli_reads: u64) -> Result<u64> {
    let Some(bound) = milli_reads.checked_sub(HOTTER_MILLI_READS).filter(|_| bytes > 0) else { return Ok(0) };
    let now = UnixMillis::now();
    let mut colder: Vec<WarmVersion> = Vec::new();
    for kind in [WarmKind::Prefetched, WarmKind::Promoted] {
        let mut query = WarmQuery { kind, from: UnixMillis(i64::MIN), until: now, limit: PAGE };
        for _ in 0..COLDER_PAGES_MAX {
            let page = inner.store.warm_of_kind(query).await?;
            let next = next_from(&page, query);
            colder.extend(
                page.into_iter().filter(|found| warmth(&found.row, now, &inner.options.warm) <= bound),
            );
            match next {
                Some(next) => query.from = next,
                None => break,
            }
        }
    }
    colder.sort_by_key(|version| version.row.at);
    let mut chosen_bytes = 0_u64;
    let chosen: Vec<WarmVersion> = colder
        .into_iter()
        .take_while(|version| {
            let is_needed = chosen_bytes < bytes;
            chosen_bytes = chosen_bytes.saturating_add(version.row.length_bytes());
            is_needed
        })
        .collect();
    let mut freed = 0_u64;
    for versions in chosen.chunks(usize::try_from(PAGE).unwrap_or(usize::MAX)) {
        freed = freed.saturating_add(drop_copies(inner, versions, "evicted").await?);
    }
    Ok(freed)
}

/// How hot a copy is, in thousandths of a read. What was prefetched before it is read is as hot as what the cache takes in.
fn warmth(row: &WarmRow, now: UnixMillis, options: &WarmOptions) -> u64 {
    let made = Heat { milli_reads: u64::from(options.cache_reads).saturating_mul(1_000), at_ms: row.at.0 };
    let half_life_ms = half_life_ms(options);
    row.heat.at(now, half_life_ms).max(made.at(now, half_life_ms))
}

/// The write that drops a row if it is as it was looked at.
pub(super) fn drop_of(version: &WarmVersion) -> Write {
    let step = WarmStep::Drop { kind: version.row.kind, at: version.row.at };
    Write::Warm(Box::new(change_of(version, step)))
}

/// A change of a row that was looked at.
pub(super) fn change_of(version: &WarmVersion, step: WarmStep) -> WarmChange {
    let WarmVersion { bucket, key, write, row } = version;
    WarmChange { bucket: *bucket, key: key.clone(), version: row.version, write: *write, step }
}

/// Drops rows that are as they were looked at. Returns the bytes of the copies that are gone.
pub(super) async fn drop_copies(
    inner: &Inner,
    versions: &[WarmVersion],
    reason: &'static str,
) -> Result<u64> {
    let drops = versions.iter().map(|version| (version, Vec::new())).collect();
    drop_and_tell(inner, drops, reason).await
}

/// As [`drop_copies`], with the events of each.
pub(super) async fn drop_and_tell(
    inner: &Inner,
    drops: Vec<(&WarmVersion, Vec<Write>)>,
    reason: &'static str,
) -> Result<u64> {
    if drops.is_empty() {
        return Ok(0);
    }
    crash_point("warm.before_drop");
    let (mut versions, mut writes) = (Vec::with_capacity(drops.len()), Vec::with_capacity(drops.len()));
    for (version, events) in drops {
        versions.push(version);
        writes.push(drop_of(version));
        writes.extend(events);
    }
    let outcomes = inner.store.commit(Commit { advances: Vec::new(), writes: writes.clone() }).await?;
    crash_point("warm.after_drop");
    inner.wake_for_events();
    let gone = versions.iter().zip(without_events(&writes, outcomes)).filter(|(_, outcome)| is_done(outcome));
    let gone: Vec<u64> = gone.map(|(version, _)| version.row.length_bytes()).collect();
    metrics::counter!("granary_warm_dropped_total", "reason" => reason).increment(gone.len() as u64);
    Ok(gone.into_iter().sum())
}

pub(super) fn is_done(outcome: &granary_metadata::Outcome) -> bool {
    matches!(outcome, granary_metadata::Outcome::Done { .. })
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
