//! Which backups of the metadata the store holds, on the drives of all nodes that answer; and where the next one goes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::future::join_all;
use granary_cluster::access::DriveAccess;
use granary_cluster::{Candidate, degraded, place};
use granary_drive::BackupName;
use granary_erasure::Profile;
use granary_types::{ClusterId, DriveId};

use crate::engine::Inner;
use crate::error::{EngineError, Result};

/// What the drives hold.
#[derive(Debug)]
pub(super) struct Survey {
    shards: Vec<BackupName>,
    /// Drives that did not say what they hold.
    away: usize,
    /// Backups that could be lost with fewer drives than the store's data count for nothing.
    parity_min: u8,
}

impl Survey {
    pub(super) async fn take(inner: &Inner) -> Self {
        let drives = inner.drives.usable();
        let listed = join_all(drives.iter().map(|drive| drive.backup_shards())).await;
        let all = inner.drives.active_count().unwrap_or(drives.len());
        let wanted = inner.pool.wanted_code();
        let parity_min = degraded(wanted, drives.len()).map_or(wanted.parity, |code| code.parity);
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

    /// When each backup was begun that can be read even if `absent` of its columns are not seen, the newest first.
    fn begun(&self, absent: usize) -> Vec<i64> {
        let mut columns: BTreeMap<(i64, ClusterId, (u8, u8)), BTreeSet<u8>> = BTreeMap::new();
        for shard in &self.shards {
            columns.entry((shard.created_ms, shard.id, shard.profile)).or_default().insert(shard.column);
        }
        let counts = columns.iter().rev().filter(|((_, _, (data, parity)), columns)| {
            *parity >= self.parity_min && columns.len().saturating_add(absent) >= usize::from(*data)
        });
        counts.map(|((created_ms, ..), _)| *created_ms).collect()
    }

    /// When the backups were begun that can be read now, the newest first.
    pub(super) fn readable(&self) -> Vec<i64> {
        self.begun(0)
    }

    /// When the newest backup was begun, counting those that can be read when the drives that are away are back.
    pub(super) fn newest(&self) -> Option<i64> {
        self.begun(self.away).first().copied()
    }
}

/// The drives of the next backup's columns, in order, and its code: that of the data, with less of k and no less of m when
/// drives are away.
pub(super) fn place_columns(
    inner: &Inner,
    refused: &HashSet<DriveId>,
    turn: u64,
) -> Result<(Vec<Arc<dyn DriveAccess>>, Profile)> {
    let mut drives = inner.drives.usable();
    drives.retain(|drive| !refused.contains(&drive.id()));
    let too_few = || EngineError::Unavailable { context: "backing the metadata up: too few drives answer" };
    let wanted = inner.pool.wanted_code();
    let code = degraded(wanted, drives.len()).ok_or_else(too_few)?;
    let all = inner.drives.active_count().unwrap_or(0);
    if code.parity < wanted.parity && all > usize::from(wanted.parity) {
        return Err(too_few());
    }
    let candidate = |drive: &Arc<dyn DriveAccess>| {
        let (free_bytes, _) = drive.space_bytes();
        Candidate { drive: drive.id(), free_bytes, site: inner.drives.site(drive.id()) }
    };
    let profile = Profile::new(code.data, code.parity)?;
    let placed = place(drives.iter().map(candidate).collect(), profile.columns(), turn);
    let find = |id: DriveId| drives.iter().find(|drive| drive.id() == id).map(Arc::clone);
    Ok((placed.ok_or_else(too_few)?.into_iter().filter_map(find).collect(), profile))
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
