//! Giving room back: dead volumes, uncommitted tails, unknown files. All of it only after the grace period, and only
//! because committed metadata says so; what metadata does not know is moved aside and kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use granary_drive::{Drive, FileHeader, ShardName};
use granary_metadata::{VolumeRow, VolumeState};
use granary_types::{DriveId, UnixMillis, VolumeId, crash_point};
use tokio::time::Instant;

use super::compact;
use super::pages::{Page, Pages};
use super::records::{awaits_backup, may_hold_records};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::{Claim, volume_lease};

/// How long a volume that could not be freed is left alone.
const FREE_PAUSE: Duration = Duration::from_mins(1);

/// When each thing that may go was first seen in that state.
#[derive(Default)]
pub(crate) struct Reclaimer {
    tails: HashMap<(DriveId, ShardName), Instant>,
    unknown: HashMap<(DriveId, ShardName), Instant>,
    /// Shards whose column is on another drive now.
    left: HashMap<(DriveId, ShardName), Instant>,
    /// Shards that should be on a drive and are not.
    missing: HashMap<(DriveId, ShardName), Instant>,
    freed: HashMap<VolumeId, Freed>,
    looked: Option<Instant>,
    /// Volumes that could not be freed, and when that was tried.
    unfreed: HashMap<VolumeId, Instant>,
}

/// What freeing a volume took.
enum Freeing {
    Done,
    Compacted,
    /// For a backup of the metadata.
    Waits,
}

struct Freed {
    since: Instant,
    /// Whether it was met since the turn over all volumes began.
    is_seen: bool,
}

/// Volumes that are not on the page of a round and may go, looked up one by one.
const REMOVALS_MAX: usize = 64;

impl Reclaimer {
    pub(crate) async fn reclaim(&mut self, inner: &Arc<Inner>, page: &Page) -> Result<()> {
        // Every node looks after the files on its own drives; freeing is one node's work.
        if inner.does_shared_work() {
            self.free_dead(inner, &page.rows).await?;
            self.remove_freed(inner, page).await?;
        } else {
            self.freed.clear();
        }
        // Looking at every file is dear on large stores; a tenth of the grace period is often enough.
        let pause = (inner.options.grace / 10).max(inner.options.maintenance_interval);
        if self.looked.is_some_and(|at| at.elapsed() < pause) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        self.look_at_files(inner).await
    }

    /// Frees sealed volumes in which nothing lives. One that cannot be looked into now does not hold up the others.
    async fn free_dead(&mut self, inner: &Arc<Inner>, volumes: &[VolumeRow]) -> Result<()> {
        self.unfreed.retain(|_, since| since.elapsed() < FREE_PAUSE);
        let mut failure = None;
        for row in volumes.iter().filter(|row| row.state == VolumeState::Sealed && row.live_bytes == 0) {
            let id = row.volume.id;
            let full_of_records = inner.pool.records.bytes(id).is_some_and(|bytes| bytes > 0)
                && !compact::is_wasteful(row, &inner.pool.records, inner.options.compact_dead_percent);
            if full_of_records || self.unfreed.contains_key(&id) || inner.pool.holds(id).await {
                continue;
            }
            match free(inner, row).await {
                Ok(Freeing::Done) => {}
                Ok(Freeing::Waits) => {
                    self.unfreed.insert(id, Instant::now());
                }
                // Reading a volume through takes a while, and what follows in a round waits for it.
                Ok(Freeing::Compacted) => {
                    self.unfreed.insert(id, Instant::now());
                    break;
                }
                Err(error) => {
                    self.unfreed.insert(id, Instant::now());
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Removes the files of volumes whose grace has passed and that no running read can still be reading. Ages are
    /// counted by the monotonic clock from when this process first saw them freed: the wall clock may jump.
    async fn remove_freed(&mut self, inner: &Arc<Inner>, page: &Page) -> Result<()> {
        if page.is_first {
            self.freed.values_mut().for_each(|freed| freed.is_seen = false);
        }
        let on_page: HashMap<VolumeId, &VolumeRow> = page
            .rows
            .iter()
            .filter(|row| row.state == VolumeState::Freed)
            .map(|row| (row.volume.id, row))
            .collect();
        for id in on_page.keys() {
            let freed =
                self.freed.entry(*id).or_insert_with(|| Freed { since: Instant::now(), is_seen: true });
            freed.is_seen = true;
        }
        let due = |freed: &Freed| {
            let seen = freed.since;
            seen.elapsed() >= inner.options.grace && no_read_since(inner, seen)
        };
        let due: Vec<VolumeId> =
            self.freed.iter().filter(|(_, freed)| due(freed)).map(|(id, _)| *id).collect();
        let (now, later): (Vec<VolumeId>, Vec<VolumeId>) =
            due.into_iter().partition(|id| on_page.contains_key(id));
        for row in now.iter().filter_map(|id| on_page.get(id)) {
            remove_volume(inner, row).await?;
        }
        for id in later.into_iter().take(REMOVALS_MAX) {
            match inner.store.volume(id).await? {
                Some(row) if row.state == VolumeState::Freed => remove_volume(inner, &row).await?,
                _ => drop(self.freed.remove(&id)),
            }
        }
        if page.is_last {
            self.freed.retain(|_, freed| freed.is_seen);
        }
        Ok(())
    }

    async fn look_at_files(&mut self, inner: &Arc<Inner>) -> Result<()> {
        let mut census: Vec<(Arc<Drive>, ShardName, u64)> = Vec::new();
        let mut drives = HashSet::new();
        // The files are counted before the volumes are asked: a file made in between is not taken for unknown,
        // because a volume's row comes after its files and the grace period is longer than that.
        for drive in inner.drives.usable_local() {
            let counting = Arc::clone(&drive);
            let counted = tokio::task::spawn_blocking(move || counting.census()).await;
            let Ok(Ok(files)) = counted else { continue };
            drives.insert(drive.id());
            census.extend(files.into_iter().map(|(name, length)| (Arc::clone(&drive), name, length)));
        }
        let met: HashSet<VolumeId> = census.iter().map(|(_, name, _)| name.volume).collect();
        let volumes = rows_of(inner, |row| {
            met.contains(&row.volume.id) || row.volume.drives.iter().any(|drive| drives.contains(drive))
        });
        let volumes = volumes.await?;
        let files = census.iter().map(|(drive, name, _)| (drive.id(), *name)).collect();
        self.report_missing(inner, &drives, &files, volumes.values());
        let mut waiting = HashSet::new();
        for (drive, name, length) in census {
            let key = (drive.id(), name);
            match volumes.get(&name.volume) {
                Some(row) if belongs(row, &drive, name.column) => {
                    let end = row.committed_end.max(FileHeader::LENGTH_BYTES);
                    if row.state == VolumeState::Sealed && length > end {
                        waiting.insert(key);
                        if due(&mut self.tails, key, inner.options.grace) {
                            cut_tail(inner, row, &drive, name, end).await?;
                        }
                    }
                }
                Some(row) if matches!(row.state, VolumeState::Sealed | VolumeState::Freed) => {
                    waiting.insert(key);
                    if due(&mut self.left, key, inner.options.grace)
                        && self.left.get(&key).is_some_and(|seen| no_read_since(inner, *seen))
                    {
                        remove_left(inner, &drive, name).await?;
                    }
                }
                _ => {
                    waiting.insert(key);
                    if due(&mut self.unknown, key, inner.options.grace)
                        && !inner.pool.holds(name.volume).await
                        && !is_known_now(inner, &drive, name).await?
                    {
                        tracing::warn!(volume = %name.volume, drive = %drive.directory().display(), "a shard file that no metadata knows is moved to quarantine");
                        let result = tokio::task::spawn_blocking(move || drive.quarantine_shard(name)).await;
                        result.map_err(|_| EngineError::Internal("quarantining panicked"))??;
                        metrics::counter!("granary_shards_quarantined_total").increment(1);
                    }
                }
            }
        }
        // What is not waiting any more, waits anew if it ever does again.
        self.tails.retain(|key, _| waiting.contains(key));
        self.unknown.retain(|key, _| waiting.contains(key));
        self.left.retain(|key, _| waiting.contains(key));
        Ok(())
    }

    /// Has files rebuilt that should be on these drives and are not, which otherwise only a read or a scrub would notice:
    /// those of a drive that came back as it was long ago. One that was put there meanwhile is there the next time.
    fn report_missing<'r>(
        &mut self,
        inner: &Inner,
        drives: &HashSet<DriveId>,
        files: &HashSet<(DriveId, ShardName)>,
        volumes: impl Iterator<Item = &'r VolumeRow>,
    ) {
        let mut waiting = HashSet::new();
        for row in volumes.filter(|row| row.state == VolumeState::Sealed) {
            for (column, drive) in (0_u8..).zip(&row.volume.drives).filter(|(_, id)| drives.contains(id)) {
                let key = (*drive, ShardName { volume: row.volume.id, column });
                if files.contains(&key) {
                    continue;
                }
                waiting.insert(key);
                if due(&mut self.missing, key, inner.options.grace / 10) {
                    tracing::warn!(volume = %row.volume.id, column, %drive, "a shard file is missing and will be rebuilt");
                    inner.damage.report(row.volume.id, column, Some(*drive));
                }
            }
        }
        self.missing.retain(|key, _| waiting.contains(key));
    }
}

/// The rows of the volumes that are wanted. All rows are read, page by page, and held are those alone: on one of many nodes, few
/// volumes have columns on its drives.
async fn rows_of(
    inner: &Inner,
    is_wanted: impl Fn(&VolumeRow) -> bool,
) -> Result<HashMap<VolumeId, VolumeRow>> {
    let mut found = HashMap::new();
    let mut pages = Pages::default();
    loop {
        let page = pages.next(inner.store.as_ref()).await?;
        let rows = page.rows.into_iter().filter(|row| is_wanted(row));
        found.extend(rows.map(|row| (row.volume.id, row)));
        if page.is_last {
            return Ok(found);
        }
    }
}

/// Whether every read that runs, here or on another node, began after `seen`.
fn no_read_since(inner: &Inner, seen: Instant) -> bool {
    let elsewhere = inner.nodes.as_ref().is_none_or(|nodes| nodes.no_read_since(seen));
    elsewhere && inner.reader.running.all_after(seen)
}

/// Removes the file of a column that was moved to another drive, if it is really there, or if nothing lives in the volume any
/// more: asked right before, of the metadata and of that drive.
async fn remove_left(inner: &Inner, drive: &Arc<Drive>, name: ShardName) -> Result<()> {
    // A column that comes back to this drive meanwhile must not be taken for the one that left.
    let Some(claim) = inner.claim(&volume_lease(name.volume)).await? else { return Ok(()) };
    let Some(row) = inner.store.volume(name.volume).await? else { return Ok(()) };
    let place = row.volume.drive_of(name.column);
    let Some(place) = place.filter(|place| *place != drive.id() && row.state != VolumeState::Open) else {
        return Ok(());
    };
    if row.state == VolumeState::Freed {
        return remove_file(&claim, drive, name).await;
    }
    let Some(there) = inner.drives.get(place).filter(|there| there.is_usable()) else { return Ok(()) };
    let codes = (row.volume.data_columns, row.volume.parity_columns);
    let Ok(shard) = there.open_shard(name, codes).await else { return Ok(()) };
    let is_there = shard.read(0, 1).await.is_ok_and(|first| !first.is_empty());
    if is_there { remove_file(&claim, drive, name).await } else { Ok(()) }
}

async fn remove_file(claim: &Claim, drive: &Arc<Drive>, name: ShardName) -> Result<()> {
    if claim.is_held() {
        let leaving = Arc::clone(drive);
        let removed = tokio::task::spawn_blocking(move || leaving.remove_shard(name)).await;
        removed.map_err(|_| EngineError::Internal("removing a shard panicked"))??;
        metrics::counter!("granary_shards_left_removed_total").increment(1);
    }
    Ok(())
}

/// Asked again right before a file is moved aside: whoever makes a volume gives it up if its row comes later than half
/// the grace period after its files.
async fn is_known_now(inner: &Inner, drive: &Drive, name: ShardName) -> Result<bool> {
    let row = inner.store.volume(name.volume).await?;
    Ok(row.is_some_and(|row| belongs(&row, drive, name.column)))
}

/// Whether this drive should hold that column. A freed volume's files belong until they are removed.
fn belongs(row: &VolumeRow, drive: &Drive, column: u8) -> bool {
    row.volume.drive_of(column) == Some(drive.id())
}

fn due(
    first_seen: &mut HashMap<(DriveId, ShardName), Instant>,
    key: (DriveId, ShardName),
    grace: Duration,
) -> bool {
    first_seen.entry(key).or_insert_with(Instant::now).elapsed() >= grace
}

async fn cut_tail(
    inner: &Inner,
    row: &VolumeRow,
    drive: &Arc<Drive>,
    name: ShardName,
    end: u64,
) -> Result<()> {
    let profile = (row.volume.data_columns, row.volume.parity_columns);
    let (drive, at) = (Arc::clone(drive), drive.id());
    let cut = move || drive.open_shard(name.column, name.volume, profile)?.truncate(end);
    let result =
        tokio::task::spawn_blocking(cut).await.map_err(|_| EngineError::Internal("cutting panicked"))?;
    crash_point("reclaim.after_cut");
    inner.map.forget_shard(name.volume, name.column);
    if let Err(error) = result {
        tracing::warn!(volume = %name.volume, %error, "an uncommitted tail could not be cut");
        inner.damage.report(name.volume, name.column, Some(at));
    }
    Ok(())
}

/// Frees a volume in which nothing lives, after the records in it that are still true were written again.
async fn free(inner: &Arc<Inner>, row: &VolumeRow) -> Result<Freeing> {
    if awaits_backup(inner, row.volume.id).await {
        let tiers = &inner.pool.tiers;
        if !inner.pool.is_full(tiers.drives_of(tiers.of_unknown(row))) {
            return Ok(Freeing::Waits);
        }
        give_up_records(row);
    } else if may_hold_records(inner, row).await? {
        let Some(_turn) = inner.tasks.try_turn() else { return Ok(Freeing::Done) };
        match compact::compact_volume(inner, row).await {
            Ok(_) => return Ok(Freeing::Compacted),
            Err(EngineError::NoSpace) => give_up_records(row),
            Err(error) => return Err(error),
        }
    }
    // A move that is under way puts a column where the row does not say yet.
    let Some(claim) = inner.claim(&volume_lease(row.volume.id)).await? else { return Ok(Freeing::Done) };
    claim.check()?;
    inner.store.free_volume(row.volume.id, UnixMillis::now()).await?;
    Ok(Freeing::Done)
}

/// On full drives room is dearer than records: the metadata and its copies have what they tell.
fn give_up_records(row: &VolumeRow) {
    tracing::warn!(volume = %row.volume.id, "the drives are full: records of changes are given up for room");
}

async fn remove_volume(inner: &Arc<Inner>, row: &VolumeRow) -> Result<()> {
    crash_point("reclaim.after_free_before_remove");
    let id = row.volume.id;
    inner.map.forget(id);
    inner.pool.records.forget(id);
    let mut complete = true;
    for (column, drive) in (0_u8..).zip(&row.volume.drives) {
        // A drive that is not here may come back with the file; the row is kept until then unless it was replaced.
        if inner.drives.is_retired(*drive) {
            continue;
        }
        let Some(drive) = inner.drives.get(*drive) else {
            complete &= !inner.drives.unused().iter().any(|unused| unused.expected == Some(*drive));
            complete &= !inner.drives.is_away(*drive);
            continue;
        };
        complete &= drive.remove_shard(ShardName { volume: id, column }).await.is_ok();
        crash_point("reclaim.after_file");
    }
    crash_point("reclaim.after_remove_before_forget");
    if complete {
        inner.store.forget_volume(id).await?;
    }
    Ok(())
}
