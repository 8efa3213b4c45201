//! Tasks an operator starts: heal and scrub go over all volumes, one after the other.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_drive::Resting;
use granary_metadata::{VolumeRow, VolumeState};

use super::healed::{Asked, Healed};
use super::tasks::{TaskHandle, TaskKind};
use super::{compact, heal, watch};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::Claim;
use crate::volume::all_rows;

/// How long to wait before a volume that another node is at work on is looked at again.
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(500);

/// Runs a task to its end.
pub(crate) async fn run(inner: &Arc<Inner>, claim: &Claim, kind: TaskKind, task: &TaskHandle) -> Result<()> {
    // What is healed in the background as soon as a new drive is there need not be read once more.
    let asked = Asked::Since(Instant::now());
    if kind == TaskKind::Heal {
        // The drive that the operator replaced has failed just now, or again and again, and would be left alone for minutes.
        watch::watch_drives(inner, Resting::Look).await;
        watch::adopt_empty_drives(inner).await?;
    }
    let mut volumes = all_rows(inner.store.as_ref()).await?;
    volumes.retain(|row| row.state != VolumeState::Freed);
    task.begin(volumes.len() as u64);
    let mut skipped = Skipped::default();
    for listed in volumes {
        claim.check()?;
        // Hours may have passed since the list was made.
        let row = match inner.store.volume(listed.volume.id).await? {
            Some(row) if row.state != VolumeState::Freed => row,
            _ => {
                task.volume_done();
                continue;
            }
        };
        match kind {
            TaskKind::Heal => skipped.pass(heal_one(inner, claim, (row, asked), task).await)?,
            TaskKind::Scrub => skipped.pass(scrub_one(inner, row, task).await)?,
            TaskKind::Compact if inner.is_regressed() => {
                return Err(EngineError::Unavailable {
                    context: "compacting: the metadata is older than the data",
                });
            }
            TaskKind::Compact => {
                if compact::is_wasteful(&row, &inner.pool.records, 5) {
                    match compact::compact_volume(inner, &row).await {
                        Ok(moved) => {
                            task.add_bytes(moved);
                            task.add_repaired(1);
                        }
                        // Others, of which less lives, may find room.
                        Err(error @ EngineError::NoSpace) => skipped.skip(&error),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        task.volume_done();
    }
    if kind == TaskKind::Scrub
        && let Some(embedded) = &inner.embedded
        && let Err(error) = embedded.verify().await
    {
        // The store rebuilds itself from its copies once it knows; the finding is what the operator asked for.
        tracing::error!(%error, "the metadata does not verify");
        task.add_findings(1);
    }
    skipped.result()
}

async fn heal_one(
    inner: &Arc<Inner>,
    claim: &Claim,
    wanted: (VolumeRow, Asked),
    task: &TaskHandle,
) -> Result<()> {
    let healed = heal_here_or_elsewhere(inner, claim, wanted, task).await?;
    task.add_findings(healed.healed + healed.unplaced + healed.lost_stripes);
    task.add_repaired(healed.healed);
    task.add_unrepairable(healed.unplaced + healed.lost_stripes);
    Ok(())
}

async fn scrub_one(inner: &Arc<Inner>, row: VolumeRow, task: &TaskHandle) -> Result<()> {
    inner.map.forget(row.volume.id);
    let findings = heal::examine(inner, &row, |bytes| task.add_bytes(bytes)).await?;
    let now = inner.store.volume(row.volume.id).await?;
    if now.is_none_or(|now| now.state == VolumeState::Freed || now.volume.drives != row.volume.drives) {
        return Ok(());
    }
    task.add_findings(findings.damaged.len() as u64 + findings.lost_stripes);
    task.add_unrepairable(findings.lost_stripes);
    for column in findings.damaged {
        inner.damage.report(row.volume.id, column, row.volume.drive_of(column));
    }
    Ok(())
}

/// Volumes of which some drive cannot be read now, one of a node that is away say. Nothing may be concluded from what is
/// missing of them, and they are no reason to leave the others as they are.
#[derive(Default)]
struct Skipped {
    volumes: u64,
    first_reason: String,
}

impl Skipped {
    fn pass(&mut self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error @ (EngineError::Drive(_) | EngineError::Unavailable { .. })) => {
                self.skip(&error);
                Ok(())
            }
            other => other,
        }
    }

    fn skip(&mut self, error: &EngineError) {
        tracing::warn!(%error, source = error.source(), "a volume cannot be examined now");
        if self.volumes == 0 {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            self.first_reason = format!("{error}{source}");
        }
        self.volumes += 1;
    }

    fn result(self) -> Result<()> {
        match self.volumes {
            0 => Ok(()),
            volumes => Err(EngineError::Skipped { volumes, first_reason: self.first_reason }),
        }
    }
}

/// Heals a volume; if another node is at work on it, when that is done.
async fn heal_here_or_elsewhere(
    inner: &Arc<Inner>,
    claim: &Claim,
    (row, asked): (VolumeRow, Asked),
    task: &TaskHandle,
) -> Result<Healed> {
    if row.state == VolumeState::Open && inner.nodes.is_some() && !inner.pool.holds(row.volume.id).await {
        return look_at_open(inner, &row, task).await;
    }
    loop {
        let healed = heal::heal_volume(inner, row.clone(), asked, |bytes| task.add_bytes(bytes)).await?;
        if !healed.is_elsewhere {
            return Ok(healed);
        }
        claim.check()?;
        tokio::time::sleep(ELSEWHERE_PAUSE).await;
    }
}

/// A volume that another node writes is not healed before that node seals it; what is found is healed then.
async fn look_at_open(inner: &Arc<Inner>, row: &VolumeRow, task: &TaskHandle) -> Result<Healed> {
    inner.map.forget(row.volume.id);
    let findings = heal::examine(inner, row, |bytes| task.add_bytes(bytes)).await?;
    for column in &findings.damaged {
        inner.damage.report(row.volume.id, *column, row.volume.drive_of(*column));
    }
    let unplaced = findings.damaged.len() as u64;
    Ok(Healed { unplaced, lost_stripes: findings.lost_stripes, ..Healed::default() })
}
