//! Moving shards between drives: off the drives that are being emptied, and to make all drives equally full.
//!
//! Of all nodes, the one that holds the lease does it. What is to be moved is planned from the metadata each time, so that
//! work that was cut off anywhere goes on with what is left. Each move takes the lease of its volume, so that no heal or
//! compaction gets in its way.

mod api;
mod board;
mod column;
mod plan;
mod throttle;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_cluster::access::DriveAccess;
use granary_metadata::{Drain, DriveState, VolumeRow, VolumeState};
use granary_types::{DriveId, VolumeId, crash_point};

use super::compact::compact_volume;
use crate::engine::Inner;
use crate::error::Result;
use crate::nodes::{Claim, Nodes, volume_lease};
use crate::volume::all_rows;
pub(crate) use api::named_node;
pub use api::{DrainPlan, Fate, Leaving, MoveStep};
pub use board::{DrainStatus, RebalanceStatus};
pub(crate) use board::{MoveBoard, observe};
use plan::{Placement, PlanDrive, PlannedMove, plan_drain, plan_rebalance};
pub(crate) use throttle::{Pacer, Throttle};

const LEASE_NAME: &str = "moves";
/// A volume that could not be moved is left alone for so long.
const FAILED_PAUSE: Duration = Duration::from_secs(15);
/// Moves of one plan: what is done meanwhile by others must not be missed for long.
const MOVES_PER_PLAN: usize = 32;
/// Looks at the drains for each look whether the drives are equally full.
const ROUNDS_PER_REBALANCE: u32 = 5;

/// The loop; ends when it is aborted.
pub(crate) async fn move_forever(inner: Arc<Inner>) {
    let Some(nodes) = inner.nodes.clone() else { return };
    let mut worker = Worker { inner, nodes, failed: HashMap::new() };
    for round in 0_u32.. {
        tokio::time::sleep(worker.inner.options.maintenance_interval).await;
        let balances = round.is_multiple_of(ROUNDS_PER_REBALANCE);
        // A database that went back in time does not know where the shards are.
        if worker.inner.is_regressed() {
            continue;
        }
        if (worker.nodes.drains().is_empty() && !balances) || worker.nodes.is_removed() {
            continue;
        }
        match worker.inner.claim(LEASE_NAME).await {
            Ok(Some(claim)) => worker.work(&claim).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the lease of the moves cannot be asked for"),
        }
    }
}

struct Worker {
    inner: Arc<Inner>,
    nodes: Arc<Nodes>,
    failed: HashMap<VolumeId, Instant>,
}

impl Worker {
    async fn work(&mut self, claim: &Claim) {
        let moved = match self.drain(claim).await {
            Ok(false) => self.rebalance(claim).await,
            other => other.map(drop),
        };
        if let Err(error) = moved {
            tracing::warn!(%error, "moving shards failed and will be tried again");
        }
    }

    /// Empties drives. Whether there is any to be emptied.
    async fn drain(&mut self, claim: &Claim) -> Result<bool> {
        let mut worked = false;
        loop {
            let drains = self.nodes.membership.drains().await?;
            self.failed.retain(|_, since| since.elapsed() < FAILED_PAUSE);
            let mut volumes = all_rows(self.inner.store.as_ref()).await?;
            self.end_replaced(&drains, &volumes).await?;
            volumes.retain(|row| !self.failed.contains_key(&row.volume.id));
            let leaving = reachable(&self.inner, &drains);
            let mut placement = Placement::new(plan_drives(&self.inner, &self.nodes), &volumes);
            let mut plan = plan_drain(&mut placement, &volumes, &leaving);
            plan.moves.truncate(MOVES_PER_PLAN);
            let rewrite = plan.rewrites.first().map(|(volume, _)| *volume);
            if plan.moves.is_empty() && rewrite.is_none() {
                return Ok(worked);
            }
            worked = true;
            for planned in plan.moves {
                self.execute(claim, &volumes, planned).await?;
            }
            if let Some(row) = rewrite.and_then(|id| volumes.iter().find(|row| row.volume.id == id)) {
                self.rewrite(row).await;
            }
        }
    }

    /// Makes the drives equally full, if all of them are there.
    async fn rebalance(&mut self, claim: &Claim) -> Result<()> {
        let (drives, drains) = (plan_drives(&self.inner, &self.nodes), self.nodes.drains());
        // While a drive is away nobody knows how full it will be, and heals may be about to move more.
        if !drives.values().all(|drive| drive.takes_shards || drive.is_leaving) {
            self.inner.moves.set_rebalance(0, 0);
            return Ok(());
        }
        let mut volumes = all_rows(self.inner.store.as_ref()).await?;
        volumes.retain(|row| !self.failed.contains_key(&row.volume.id));
        let slack = self.inner.options.volume_limit_bytes;
        let planning = tokio::task::spawn_blocking(move || {
            let moves =
                plan_rebalance(&mut Placement::new(drives, &volumes), &volumes, slack, MOVES_PER_PLAN);
            (volumes, moves)
        });
        let planned = planning.await;
        let (volumes, moves) =
            planned.map_err(|_| crate::error::EngineError::Internal("planning the moves panicked"))?;
        let mut left_bytes: u64 = moves.iter().map(|planned| planned.length_bytes).sum();
        let mut left = moves.len() as u64;
        self.inner.moves.set_rebalance(left, left_bytes);
        for planned in moves {
            // A drain goes first.
            if self.nodes.drains() != drains {
                break;
            }
            self.execute(claim, &volumes, planned).await?;
            (left, left_bytes) = (left - 1, left_bytes.saturating_sub(planned.length_bytes));
            self.inner.moves.set_rebalance(left, left_bytes);
        }
        Ok(())
    }

    /// Makes one move. What keeps it from being made keeps no others from theirs.
    async fn execute(&mut self, claim: &Claim, volumes: &[VolumeRow], planned: PlannedMove) -> Result<()> {
        claim.check()?;
        let wanted = |row: &&VolumeRow| row.volume.id == planned.volume;
        let Some(listed) = volumes.iter().find(wanted) else { return Ok(()) };
        crash_point("move.before_copy");
        match self.move_one(listed, planned).await {
            Ok(true) => {
                metrics::counter!("granary_shards_moved_total").increment(1);
                metrics::counter!("granary_shards_moved_bytes_total").increment(planned.length_bytes);
            }
            Ok(false) => {
                self.failed.insert(planned.volume, Instant::now());
            }
            Err(error) => {
                tracing::warn!(volume = %planned.volume, column = planned.column, %error, "a shard could not be moved");
                metrics::counter!("granary_shard_moves_failed_total").increment(1);
                self.failed.insert(planned.volume, Instant::now());
            }
        }
        Ok(())
    }

    async fn move_one(&self, listed: &VolumeRow, planned: PlannedMove) -> Result<bool> {
        let Some(target) = self.inner.drives.get(planned.to) else { return Ok(false) };
        let Some(claim) = self.inner.claim(&volume_lease(planned.volume)).await? else { return Ok(false) };
        let row = self.inner.store.volume(planned.volume).await?;
        let unchanged =
            |row: &VolumeRow| row.state == VolumeState::Sealed && row.volume.drives == listed.volume.drives;
        // Another column of it may have been moved by this plan.
        let is_same = |row: &VolumeRow| {
            unchanged(row)
                || (row.state == VolumeState::Sealed
                    && row.volume.drive_of(planned.column) == Some(planned.from)
                    && !row.volume.drives.contains(&planned.to))
        };
        let Some(row) = row.filter(is_same) else { return Ok(false) };
        let mut throttle = Throttle::new(&self.inner);
        column::move_column(&self.inner, &claim, &row, planned.column, &target, &mut throttle).await
    }

    /// Writes what lives in a volume again, with a code for the drives that stay.
    async fn rewrite(&mut self, row: &VolumeRow) {
        if let Err(error) = compact_volume(&self.inner, row).await {
            tracing::warn!(volume = %row.volume.id, %error, "a volume could not be written again");
            metrics::counter!("granary_shard_moves_failed_total").increment(1);
        }
        self.failed.insert(row.volume.id, Instant::now());
    }

    /// Retires the drives that another one has taken the place of.
    async fn end_replaced(&self, drains: &[Drain], volumes: &[VolumeRow]) -> Result<()> {
        for drain in drains.iter().filter(|drain| drain.target.is_some()) {
            if !is_in_use(volumes, drain.drive) {
                self.nodes.membership.retire_drive(drain.drive).await?;
                tracing::info!(drive = %drain.drive, "a drive was replaced and is retired");
            }
        }
        Ok(())
    }
}

/// Whether any volume has a column on the drive.
fn is_in_use(volumes: &[VolumeRow], drive: DriveId) -> bool {
    volumes.iter().any(|row| row.state != VolumeState::Freed && row.volume.drives.contains(&drive))
}

/// The drives to be emptied that can be read, and where to: what lay on others is rebuilt by heals.
fn reachable(inner: &Inner, drains: &[Drain]) -> BTreeMap<DriveId, Option<DriveId>> {
    let has_it = |drain: &&Drain| inner.drives.can_read(drain.drive);
    drains.iter().filter(has_it).map(|drain| (drain.drive, drain.target)).collect()
}

/// The drives that were not retired, as planning sees them.
fn plan_drives(inner: &Inner, nodes: &Nodes) -> BTreeMap<DriveId, PlanDrive> {
    let usable: HashMap<DriveId, Arc<dyn DriveAccess>> =
        inner.drives.usable().into_iter().map(|drive| (drive.id(), drive)).collect();
    let drains = nodes.drains();
    let all = nodes.listed_drives().into_iter();
    let planned = all.filter(|listed| listed.drive.state == DriveState::Active).map(|listed| {
        let id = listed.drive.id;
        let (free_bytes, total_bytes) = usable.get(&id).map_or((0, 0), |drive| drive.space_bytes());
        let drive = PlanDrive {
            site: inner.drives.site(id),
            capacity_bytes: total_bytes,
            room_bytes: inner.pool.limit.room_bytes(free_bytes, total_bytes),
            takes_shards: usable.contains_key(&id),
            is_leaving: drains.iter().any(|drain| drain.drive == id),
            kind: inner.pool.tiers.is_tiered().then(|| inner.drives.class(id)),
        };
        (id, drive)
    });
    planned.collect()
}
