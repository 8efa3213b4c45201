//! Healing: every column of every volume back on a drive, every block right.
//!
//! A damaged or lost column is rebuilt whole into a new file, block by block from the others, checked, flushed
//! and put in the place of the old one; then, if it went to another drive, the metadata learns of it. A volume
//! that is being written is sealed first. Crashes leave the old file or the new one.
//!
//! One pass over a volume examines it and rebuilds the columns that are known to be damaged: those without a file and those
//! that readers reported. What else it finds damaged is rebuilt in a second pass.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_cluster::access::DriveAccess;
use granary_metadata::{ShardMove, VolumeRow, VolumeState};
use granary_types::{DriveId, VolumeId, crash_point};

use super::healed::{Asked, Healed};
use super::rebuild::{Rebuild, walk_and_rebuild};
use super::walk::Step;
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::{Claim, volume_lease};
use crate::volume::VolumeView;

/// How long a heal waits for uploads that still write to the volume.
const SEAL_PATIENCE: Duration = Duration::from_secs(10);
/// How long a round of the background work heals before it looks at what else is due; the next one goes on at once.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// What an examination of a volume found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Columns with at least one unreadable or wrong block, or without a file.
    pub damaged: BTreeSet<u8>,
    /// Stripes of which too few columns are left to rebuild the rest.
    pub lost_stripes: u64,
    /// Bytes read.
    pub read_bytes: u64,
}

impl Findings {
    /// Adds what a step of a walk tells. Returns the bytes that were read for it.
    fn add(&mut self, step: &Step, view: &VolumeView) -> u64 {
        match step {
            Step::Stripe(stripe) => {
                let lost: Vec<u8> = stripe.lost().collect();
                let parity = view.codec.profile().parity();
                self.lost_stripes += u64::from(lost.len() > parity);
                self.damaged.extend(lost);
                let bytes = stripe.span_bytes() * u64::from(stripe.header.columns_written.count_ones());
                self.read_bytes += bytes;
                bytes
            }
            Step::Gap { from, to } => {
                tracing::error!(volume = %view.id, from, to, "no column of a stripe is readable");
                self.lost_stripes += 1;
                0
            }
        }
    }
}

/// Reads all of a volume and says what is wrong. Bytes read are reported as they are.
pub(crate) async fn examine(
    inner: &Inner,
    row: &VolumeRow,
    mut progress: impl FnMut(u64),
) -> Result<Findings> {
    let view = Arc::new(VolumeView::of(row)?);
    let mut findings = Findings { damaged: missing(inner, &view).await?, ..Findings::default() };
    let see = |step: &Step| progress(findings.add(step, &view));
    walk_and_rebuild(inner, &view, row.committed_end, &mut [], see).await?;
    Ok(findings)
}

/// The columns of which there is no file, or none whose header can be read. One of which only a sector is bad is not given up by
/// that: where the others have not got all of a stripe, the walk ends without a result, and nothing is installed.
///
/// # Errors
/// When another column cannot be read now: what is lost is then reported, and nothing else to be done.
async fn missing(inner: &Inner, view: &VolumeView) -> Result<BTreeSet<u8>> {
    let (mut missing, mut away) = (BTreeSet::new(), None);
    for column in (0_u8..).take(view.drives.len()) {
        match inner.map.shard(view, column).await {
            Ok(_) => {}
            Err(error) if error.is_lost() || error.is_of_sector() => {
                missing.insert(column);
            }
            Err(error) => away = away.or(Some(error)),
        }
    }
    let Some(away) = away else { return Ok(missing) };
    // What is lost is healed when the rest can be read again, whether anybody reads it then or not.
    missing.iter().for_each(|column| inner.damage.report(view.id, *column, view.drive(*column)));
    Err(away.into())
}

/// Heals what readers reported, for a while. A volume that could not be healed whole is left alone for longer: examining it
/// again would find the same.
pub(crate) async fn heal_reported(inner: &Arc<Inner>) -> Result<()> {
    if inner.is_regressed() {
        // It is over for all volumes at once: none is left alone for longer because of it.
        return Ok(());
    }
    let begun = Instant::now();
    let mut failure = None;
    for id in inner.damage.due() {
        if begun.elapsed() >= ROUND_MAX {
            inner.damage.remind();
            break;
        }
        match heal_if_possible(inner, id).await {
            Ok(healed) if healed.is_whole() => {
                if healed.healed > 0 {
                    let columns = healed.healed;
                    tracing::info!(volume = %id, columns, "healed what a reader found damaged");
                }
            }
            Ok(healed) if healed.is_elsewhere => inner.damage.leave_to_others(id),
            Ok(_) => inner.damage.pause(id),
            Err(error @ EngineError::Metadata(_)) => return Err(error),
            Err(error) => {
                inner.damage.pause(id);
                failure = Some(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn heal_if_possible(inner: &Arc<Inner>, id: VolumeId) -> Result<Healed> {
    let Some(row) = inner.store.volume(id).await? else {
        inner.damage.forget(id);
        return Ok(Healed::default());
    };
    inner.damage.learn(id, &row.volume.drives);
    let columns = inner.damage.columns(id);
    if columns.is_empty() {
        // A task or another node has come to the volume first.
        return Ok(Healed::default());
    }
    if columns.iter().all(|column| target_drive(inner, &row, *column).is_none()) {
        return Ok(Healed { unplaced: columns.len() as u64, ..Healed::default() });
    }
    heal_volume(inner, row, Asked::ByReports, |_| {}).await
}

/// Examines a volume and rebuilds its damaged columns.
pub(crate) async fn heal_volume(
    inner: &Arc<Inner>,
    row: VolumeRow,
    asked: Asked,
    mut progress: impl FnMut(u64),
) -> Result<Healed> {
    let id = row.volume.id;
    // Two heals of one column would read everything twice; the row may have changed while this one waited.
    let mut recent = inner.heal_turn.lock().await;
    let done = match asked {
        Asked::ByReports => inner.damage.columns(id).is_empty().then(Healed::default),
        Asked::Since(asked) => match recent.since(id, asked) {
            // The row that was met is from before that heal.
            Some(done) => {
                let now = inner.store.volume(id).await?;
                now.is_some_and(|row| seems_whole(inner, &row)).then_some(done)
            }
            None => None,
        },
    };
    if let Some(done) = done {
        progress(done.read_bytes);
        return Ok(done);
    }
    let Some(claim) = inner.claim(&volume_lease(id)).await? else {
        return Ok(Healed { is_elsewhere: true, ..Healed::default() });
    };
    let row = match inner.store.volume(id).await? {
        Some(row) if row.state != VolumeState::Freed => seal_if_open(inner, row).await?,
        _ => {
            inner.damage.forget(id);
            return Ok(Healed::default());
        }
    };
    inner.damage.learn(id, &row.volume.drives);
    if asked == Asked::ByReports && inner.damage.columns(id).is_empty() {
        // Who held the lease before has healed it.
        inner.damage.finish(id);
        return Ok(Healed::default());
    }
    // A column that is rebuilt ends where the metadata says, and what lies behind may be what a fail-over lost. By now it is known
    // whether the row is from before one.
    if inner.is_regressed() {
        return Err(EngineError::Unavailable { context: "healing: the metadata is older than the data" });
    }
    let began = Instant::now();
    let mut damaged = inner.damage.take(id);
    match heal_claimed(inner, &claim, row, &mut damaged, progress).await {
        Ok(whole) if whole.is_whole() => {
            inner.damage.finish(id);
            inner.pool.records.found_whole(id);
            recent.note(id, began, whole);
            Ok(whole)
        }
        // Compaction does not wait for heals on one machine, and of what it frees the files go under them.
        _ if is_freed(inner, id).await => {
            inner.damage.forget(id);
            Ok(Healed::default())
        }
        outcome => {
            inner.damage.keep(id, &damaged);
            outcome
        }
    }
}

/// Whether nothing lives in a volume any more; not if that cannot be learnt now.
async fn is_freed(inner: &Inner, id: VolumeId) -> bool {
    let row = inner.store.volume(id).await;
    row.is_ok_and(|row| row.is_none_or(|row| row.state == VolumeState::Freed))
}

/// Whether nothing is known of a volume that would have to be healed.
fn seems_whole(inner: &Inner, row: &VolumeRow) -> bool {
    let is_there = |drive: &DriveId| inner.drives.can_read(*drive);
    inner.damage.columns(row.volume.id).is_empty() && row.volume.drives.iter().all(is_there)
}

/// Heals a volume that nobody else works on. `damaged` are at first the columns that readers found so, which may be sound by
/// now and stay as they are then; at the end those that still are, also after an error.
async fn heal_claimed(
    inner: &Inner,
    claim: &Claim,
    mut row: VolumeRow,
    damaged: &mut BTreeSet<u8>,
    mut progress: impl FnMut(u64),
) -> Result<Healed> {
    inner.map.forget(row.volume.id);
    let view = Arc::new(VolumeView::of(&row)?);
    let mut findings = Findings { damaged: missing(inner, &view).await?, ..Findings::default() };
    damaged.extend(&findings.damaged);
    let mut rebuilds = begin(inner, &row, damaged).await?;
    let see = |step: &Step| progress(findings.add(step, &view));
    walk_and_rebuild(inner, &view, row.committed_end, &mut rebuilds, see).await?;
    let lost_stripes = findings.lost_stripes;
    *damaged = findings.damaged;
    let is_begun = |column: &u8| rebuilds.iter().any(|rebuild| rebuild.column == *column);
    let late: BTreeSet<u8> = damaged.iter().copied().filter(|column| !is_begun(column)).collect();
    rebuilds.retain(|rebuild| damaged.contains(&rebuild.column));
    let mut healing = Healing {
        inner,
        claim,
        row: &mut row,
        healed: Healed { lost_stripes, read_bytes: findings.read_bytes, ..Healed::default() },
        damaged,
        failure: None,
    };
    healing.install(rebuilds).await?;
    let mut rebuilds = begin(inner, healing.row, &late).await?;
    healing.healed.unplaced += late.len().saturating_sub(rebuilds.len()) as u64;
    if !rebuilds.is_empty() {
        let view = Arc::new(VolumeView::of(healing.row)?);
        let mut again = Findings::default();
        let see = |step: &Step| {
            again.add(step, &view);
        };
        walk_and_rebuild(inner, &view, healing.row.committed_end, &mut rebuilds, see).await?;
        healing.healed.lost_stripes = healing.healed.lost_stripes.max(again.lost_stripes);
        healing.install(rebuilds).await?;
    }
    healing.failure.map_or(Ok(healing.healed), Err)
}

/// Begins to rebuild those of the columns that a drive can take, each on a drive of its own.
async fn begin(inner: &Inner, row: &VolumeRow, columns: &BTreeSet<u8>) -> Result<Vec<Rebuild>> {
    let view = VolumeView::of(row)?;
    let mut planned = row.clone();
    let mut rebuilds = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(target) = target_drive(inner, &planned, *column) else { continue };
        if let Some(slot) = planned.volume.drives.get_mut(usize::from(*column)) {
            *slot = target.id();
        }
        rebuilds.push(Rebuild::begin(inner, &view, *column, target).await);
    }
    Ok(rebuilds)
}

/// A volume whose rebuilt columns are put in their places.
struct Healing<'a> {
    inner: &'a Inner,
    claim: &'a Claim,
    row: &'a mut VolumeRow,
    healed: Healed,
    /// What is still damaged.
    damaged: &'a mut BTreeSet<u8>,
    /// Why a column could not be rebuilt, the first of them; the others are.
    failure: Option<EngineError>,
}

impl Healing<'_> {
    async fn install(&mut self, rebuilds: Vec<Rebuild>) -> Result<()> {
        for rebuild in rebuilds {
            let (column, target) = (rebuild.column, rebuild.target.id());
            let installed = match rebuild.finish().await {
                Ok(Some(whole)) => {
                    // Whoever holds the lease now may have put a better file there.
                    self.claim.check()?;
                    whole.install().await.map_err(EngineError::from)
                }
                Ok(None) => {
                    self.healed.unplaced += 1;
                    continue;
                }
                Err(error) => Err(error),
            };
            match installed {
                Ok(()) => self.moved(column, target).await?,
                Err(error) => self.failure = self.failure.take().or(Some(error)),
            }
        }
        Ok(())
    }

    /// A column was installed on that drive; the metadata learns of it.
    async fn moved(&mut self, column: u8, target: DriveId) -> Result<()> {
        crash_point("heal.after_install_before_move");
        self.claim.check()?;
        let volume = self.row.volume.id;
        let slot = self.row.volume.drives.get_mut(usize::from(column));
        let from = slot.ok_or(EngineError::Internal("a column without a drive"))?;
        if *from != target {
            let shard = ShardMove { volume, column, from: *from, to: target };
            if !self.inner.store.move_shard(shard).await? {
                return Err(EngineError::Unavailable { context: "healing: the volume changed meanwhile" });
            }
            *from = target;
        }
        self.inner.map.forget(volume);
        // Who reported it meanwhile met the old file.
        self.inner.damage.healed(volume, column);
        if self.healed.lost_stripes == 0 {
            self.damaged.remove(&column);
        }
        metrics::counter!("granary_shards_healed_total").increment(1);
        self.healed.healed += 1;
        Ok(())
    }
}

async fn seal_if_open(inner: &Arc<Inner>, row: VolumeRow) -> Result<VolumeRow> {
    if row.state != VolumeState::Open {
        return Ok(row);
    }
    let id = row.volume.id;
    inner.pool.retire(id).await;
    let deadline = Instant::now() + SEAL_PATIENCE;
    while inner.pool.holds(id).await {
        inner.pool.seal_retired().await?;
        if Instant::now() > deadline {
            return Err(EngineError::Unavailable {
                context: "healing: an upload still writes to the volume",
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let row = inner.store.volume(id).await?;
    let row = row.ok_or_else(|| EngineError::Unreadable { context: format!("volume {id} is gone") })?;
    if row.state == VolumeState::Open && inner.nodes.is_some() {
        // Its node seals it when a drive fails, and if that node is dead the one that does the background work does.
        return Err(EngineError::Unavailable { context: "healing: another node writes to the volume" });
    }
    Ok(row)
}

/// Where a damaged column goes: to its own drive if that is in use, to the drive that took its place, or to any
/// usable drive without a column of the volume.
fn target_drive(inner: &Inner, row: &VolumeRow, column: u8) -> Option<Arc<dyn DriveAccess>> {
    let own = row.volume.drive_of(column)?;
    if let Some(drive) = inner.drives.get(own) {
        return drive.is_usable().then_some(drive);
    }
    if inner.drives.is_away(own) {
        return None;
    }
    let taken: HashSet<DriveId> = row.volume.drives.iter().copied().collect();
    let mut free: Vec<Arc<dyn DriveAccess>> =
        inner.drives.usable().into_iter().filter(|drive| !taken.contains(&drive.id())).collect();
    let heir = inner.nodes.as_ref().and_then(|nodes| nodes.heir(own));
    free.retain(|drive| {
        let (free_bytes, total_bytes) = drive.space_bytes();
        inner.pool.limit.room_bytes(free_bytes.saturating_sub(row.committed_end), total_bytes) > 0
    });
    let nodes: Vec<_> = row.volume.drives.iter().map(|drive| inner.drives.site(*drive).node).collect();
    let beside = |drive: &Arc<dyn DriveAccess>| {
        let node = inner.drives.site(drive.id()).node;
        nodes.iter().filter(|other| **other == node).count()
    };
    let is_heir = |drive: &Arc<dyn DriveAccess>| Some(drive.id()) == heir;
    // Another class is better than less redundancy, but only just.
    let is_other = |drive: &Arc<dyn DriveAccess>| {
        inner.pool.tiers.is_tiered() && inner.drives.class(drive.id()) != inner.drives.class(own)
    };
    free.sort_by_key(|drive| {
        let room = std::cmp::Reverse(drive.space_bytes().0);
        (!is_heir(drive), is_other(drive), beside(drive), room)
    });
    free.into_iter().next()
}

#[cfg(test)]
#[path = "heal_tests.rs"]
mod tests;
