//! Which backups of the metadata the store holds, on the drives of all nodes that answer; and where the next one goes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use granary_cluster::access::DriveAccess;
use granary_cluster::{Redundancy, Site, degraded, place};
use granary_drive::BackupName;
use granary_erasure::Profile;
use granary_types::{ClusterId, DriveId};
use parking_lot::Mutex;

use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::volume::{Room, Space, VolumeLimit, with_room};

/// How old a survey may be for those who can do with one that was taken for others: of a thousand volumes that are
/// compacted each asks.
const BELIEVED: Duration = Duration::from_mins(1);

/// What the drives hold. Each says what lies on it and is whole, so nothing is read over the network.
#[derive(Debug)]
pub(super) struct Survey {
    shards: Vec<BackupName>,
    /// Drives that did not say what they hold.
    away: usize,
    /// Backups that could be lost with fewer drives than the store's data count for nothing.
    parity_min: u8,
}

/// The last survey that this node took.
#[derive(Default)]
pub(crate) struct Surveys(Mutex<Option<(Instant, Arc<Survey>)>>);

impl Surveys {
    fn recent(&self) -> Option<Arc<Survey>> {
        self.0.lock().as_ref().filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, survey)| Arc::clone(survey))
    }

    fn remember(&self, survey: Survey) -> Arc<Survey> {
        let survey = Arc::new(survey);
        *self.0.lock() = Some((Instant::now(), Arc::clone(&survey)));
        survey
    }
}

impl Survey {
    /// Asks all drives.
    pub(super) async fn take(inner: &Inner) -> Arc<Self> {
        let drives = inner.drives.usable();
        let all = inner.drives.active_count().unwrap_or(drives.len());
        let wanted = inner.pool.wanted_code();
        let parity_min = degraded(wanted, drives.len()).map_or(wanted.parity, |code| code.parity);
        inner.surveys.remember(Self::of(&drives, all, parity_min).await)
    }

    /// Asks all drives if they were not asked within [`BELIEVED`].
    pub(super) async fn recent(inner: &Inner) -> Arc<Self> {
        match inner.surveys.recent() {
            Some(survey) => survey,
            None => Self::take(inner).await,
        }
    }

    /// Asks these drives of a store that has `all`.
    pub(super) async fn of(drives: &[Arc<dyn DriveAccess>], all: usize, parity_min: u8) -> Self {
        let listed = join_all(drives.iter().map(|drive| drive.backup_shards())).await;
        let mut survey = Self { shards: Vec::new(), away: all, parity_min };
        for (drive, listed) in drives.iter().zip(listed) {
            match listed {
                Ok(shards) => {
                    survey.shards.extend(shards);
                    survey.away = survey.away.saturating_sub(1);
                }
                Err(error) => tracing::debug!(drive = drive.place(), %error, "its backups are not known"),
            }
        }
        survey
    }

    /// The columns that are there of each backup.
    fn columns(&self) -> BTreeMap<(i64, ClusterId, (u8, u8)), BTreeSet<u8>> {
        let mut columns: BTreeMap<_, BTreeSet<u8>> = BTreeMap::new();
        for shard in &self.shards {
            columns.entry((shard.created_ms, shard.id, shard.profile)).or_default().insert(shard.column);
        }
        columns
    }

    /// When each backup was begun that can be read even if `absent` of its columns are not seen, and if `losses` more are lost,
    /// the newest first.
    fn begun(&self, absent: usize, losses: u8) -> Vec<i64> {
        let columns = self.columns();
        let counts = columns.iter().rev().filter(|((_, _, (data, parity)), columns)| {
            let needed = usize::from(*data).saturating_add(usize::from(losses));
            *parity >= self.parity_min && columns.len().saturating_add(absent) >= needed
        });
        counts.map(|((created_ms, ..), _)| *created_ms).collect()
    }

    /// Whether the backup that was begun then can be read now, however soon it may be lost.
    pub(super) fn holds(&self, created_ms: i64) -> bool {
        let columns = self.columns();
        let mut begun_then = columns.iter().filter(|((at, ..), _)| *at == created_ms);
        begun_then.any(|((_, _, (data, _)), columns)| columns.len() >= usize::from(*data))
    }

    /// When the backups were begun that can be read now, the newest first.
    pub(super) fn readable(&self) -> Vec<i64> {
        self.begun(0, 0)
    }

    /// When the newest backup was begun that bears the loss of as many drives as the data, by the columns that are seen now. For
    /// its sake records are let go that lie in volumes with so much parity, which are healed when some of it is lost; a backup
    /// is not, and one that is left with just as many columns as it takes is gone with the next drive.
    pub(super) fn newest_as_safe_as_data(&self) -> Option<i64> {
        self.begun(0, self.parity_min).first().copied()
    }

    /// When the newest backup was begun, counting those that can be read when the drives that are away are back.
    pub(super) fn newest(&self) -> Option<i64> {
        self.begun(self.away, 0).first().copied()
    }

    /// What was begun before this may be removed: older than the newest `kept` backups that can be read. With fewer of
    /// these nothing may, as what is there may become readable when drives are back.
    pub(super) fn kept_from_ms(&self, kept: usize) -> i64 {
        let readable = self.readable();
        kept.checked_sub(1).and_then(|last| readable.get(last).copied()).unwrap_or(i64::MIN)
    }
}

/// The drives of the next backup's columns, in order, and its code: that of the data, with less of k and no less of m when
/// drives are away.
///
/// # Errors
/// [`EngineError::NoSpace`] if drives are full, [`EngineError::Unavailable`] if too few answer.
pub(super) fn place_columns(
    inner: &Inner,
    refused: &HashSet<DriveId>,
    turn: u64,
) -> Result<(Vec<Arc<dyn DriveAccess>>, Profile)> {
    let mut drives = inner.drives.usable();
    drives.retain(|drive| !refused.contains(&drive.id()));
    let spaces: Vec<Space> = drives.iter().map(Space::of).collect();
    let all = inner.drives.active_count().unwrap_or(0);
    let site = |drive| inner.drives.site(drive);
    let (placed, profile) =
        choose((&spaces[..], inner.pool.limit), all, inner.pool.wanted_code(), site, turn)?;
    let find = |id: DriveId| drives.iter().find(|drive| drive.id() == id).map(Arc::clone);
    Ok((placed.into_iter().filter_map(find).collect(), profile))
}

/// As [`place_columns`], of the drives that can be used, of a store that has `all`.
fn choose(
    (usable, limit): (&[Space], VolumeLimit),
    all: usize,
    wanted: Redundancy,
    site: impl Fn(DriveId) -> Site,
    turn: u64,
) -> Result<(Vec<DriveId>, Profile)> {
    let too_few = || EngineError::Unavailable { context: "backing the metadata up: too few drives answer" };
    let candidates = with_room(usable, (wanted, Room::Free, limit), site)?;
    let code = degraded(wanted, candidates.len()).ok_or_else(too_few)?;
    if code.parity < wanted.parity && all > usize::from(wanted.parity) {
        return Err(too_few());
    }
    let profile = Profile::new(code.data, code.parity)?;
    let placed = place(candidates, profile.columns(), turn).ok_or_else(too_few)?;
    Ok((placed, profile))
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
