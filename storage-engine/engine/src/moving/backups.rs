//! Making backups of the metadata, and restoring them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use granary_cluster::access::DriveAccess;
use granary_drive::{Found, inspect};
use granary_metadata::moving::{
    Backup, CopyOptions, CopyReport, Export, FrameFile, FrameFileSink, Manifest, Progress, back_up, copy,
};
use granary_metadata::postgres::{Consistency, PostgresCopy};
use granary_types::{ClusterId, UnixMillis};

use super::shards::{NotBegun, ShardSink, ShardSource, find, newest_short};
use super::survey::{Survey, place_columns};
use super::{MetadataPlace, Source, Target};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::nodes::Claim;
use crate::options::MetadataChoice;
use crate::start::blocking;

/// Where a backup is or goes.
#[derive(Debug, Clone)]
pub enum BackupPlace {
    /// One file.
    File(PathBuf),
    /// The drives of the store, as many as there are, or directories that their folders of backups were copied to; of
    /// several backups, the newest or that of this id.
    Drives {
        /// Their directories.
        data: Vec<PathBuf>,
        /// Which one to restore.
        id: Option<ClusterId>,
    },
}

/// A backup in the store.
#[derive(Debug, Clone)]
pub struct StoredBackup {
    /// Its id.
    pub id: ClusterId,
    /// The store it is of.
    pub cluster: ClusterId,
    /// What it tells of itself.
    pub manifest: Manifest,
}

/// How long after a failed backup it is tried again, if that is sooner than the next is due.
const RETRY: Duration = Duration::from_mins(10);

/// The lease of the one node that makes a backup.
const BACKUP_LEASE: &str = "backup";
/// How long after another node was found making a backup it is looked at again.
const TURN_RETRY: Duration = Duration::from_secs(10);

fn failed(context: &'static str) -> impl FnOnce(std::io::Error) -> EngineError {
    move |source| EngineError::Io { context, source }
}

/// Backs up the metadata of a store: a database while it is used, drives while no server runs on them.
///
/// # Errors
/// When one side fails, or a server uses the drives; then there is no backup.
pub async fn back_up_metadata(
    from: &MetadataPlace,
    to: &BackupPlace,
    watch: impl FnMut(Progress),
) -> Result<Manifest> {
    let created = UnixMillis::now().0;
    let sink: Box<dyn granary_metadata::moving::FrameSink> = match to {
        BackupPlace::File(path) => {
            Box::new(FrameFileSink::create(path).map_err(failed("making the backup's file"))?)
        }
        BackupPlace::Drives { .. } => {
            return Err(EngineError::Layout(
                "backups on the drives are made by the server itself; give file:PATH".to_owned(),
            ));
        }
    };
    let manifest = match from {
        MetadataPlace::Embedded(_) => {
            let source = Source::open(from).await?;
            back_up(source.export(), sink, created, watch).await?
        }
        MetadataPlace::Postgres(options) => {
            let source = PostgresCopy::new((**options).clone(), Consistency::Snapshot)?;
            back_up(&source, sink, created, watch).await?
        }
    };
    Ok(manifest)
}

/// The backups on these drives, the newest first.
///
/// # Errors
/// When reading them fails; those that cannot be read are left out.
pub async fn list_backups(data: &[PathBuf]) -> Result<Vec<StoredBackup>> {
    let data = data.to_vec();
    blocking(move || {
        let found = find(&data).into_iter().filter_map(|source| {
            let (id, cluster) = (ClusterId::from_bytes(source.id), source.cluster);
            let manifest = Backup::open(Arc::new(source)).ok()?.manifest().clone();
            Some(StoredBackup { id, cluster, manifest })
        });
        Ok(found.collect())
    })
    .await
}

fn open_backup(from: &BackupPlace) -> Result<Backup> {
    match from {
        BackupPlace::File(path) => {
            let file = FrameFile::open(path).map_err(failed("opening the backup"))?;
            Ok(Backup::open(Arc::new(file))?)
        }
        BackupPlace::Drives { data, id } => {
            let cluster = cluster_of(data);
            let is_it = |backup: &ShardSource| {
                cluster.is_none_or(|cluster| backup.cluster == cluster)
                    && id.is_none_or(|id| *id.as_bytes() == backup.id)
            };
            let found = find(data).into_iter().find(is_it).ok_or_else(|| missing(data))?;
            Ok(Backup::open(Arc::new(found))?)
        }
    }
}

/// The store of these drives; `None` of directories that are no drives, but copies of their backups.
fn cluster_of(data: &[PathBuf]) -> Option<ClusterId> {
    data.iter().find_map(|directory| match inspect(directory) {
        Found::Drive(identity) => Some(identity.cluster),
        _ => None,
    })
}

fn missing(data: &[PathBuf]) -> EngineError {
    EngineError::Layout(match newest_short(data) {
        Some((found, needed)) => format!(
            "of the newest backup, which is spread over the drives of all nodes, {found} of the {needed} shards that it \
             takes are here: give more drives, or copies of their folders of backups"
        ),
        None => "the drives hold no such backup of this store's metadata".to_owned(),
    })
}

/// Restores a backup into an empty database, or into the metadata of drives that have none. Killed at any point, the same
/// call goes on where it was.
///
/// # Errors
/// When the backup is damaged or of another store, or the target holds metadata.
pub async fn restore_metadata(
    from: &BackupPlace,
    to: &MetadataPlace,
    options: CopyOptions,
    watch: impl FnMut(Progress),
) -> Result<(Manifest, CopyReport)> {
    let opening = from.clone();
    let backup = blocking(move || open_backup(&opening)).await?;
    let target = Target::open(to).await?;
    target.check(&backup).await?;
    let (report, state) = copy(&backup, target.import(), options, watch).await?;
    target.import().finish(&state).await?;
    Ok((backup.manifest().clone(), report))
}

/// Backs up the metadata of a running store to its drives whenever it is time, until it is aborted.
pub(crate) async fn back_up_forever(inner: Arc<Inner>) {
    let every = inner.options.backup_interval;
    if !inner.makes_backups() {
        return;
    }
    loop {
        // Backups of a database that went back in time would push out better ones.
        if inner.is_regressed() || !has_drives(&inner) {
            tokio::time::sleep(every.min(TURN_RETRY)).await;
            continue;
        }
        let survey = Survey::take(&inner).await;
        let due = until_due(&survey, every);
        if due > Duration::ZERO {
            // Drives that come and go, and another node's failure, may make it due earlier.
            tokio::time::sleep(due.min(RETRY)).await;
            continue;
        }
        // One of several nodes makes it.
        let Ok(Some(turn)) = inner.claim(BACKUP_LEASE).await else {
            tokio::time::sleep(every.min(TURN_RETRY)).await;
            continue;
        };
        // The one that had the claim before may have just made it.
        let survey = Survey::take(&inner).await;
        let made = match until_due(&survey, every) {
            Duration::ZERO => make(&inner, &turn, &survey).await,
            _ => Ok(()),
        };
        drop(turn);
        if let Err(error) = made {
            metrics::counter!("granary_metadata_backup_failures_total").increment(1);
            tracing::error!(error = &error as &dyn std::error::Error, "the metadata could not be backed up");
        }
        // Also after a failure the next one waits, if not as long.
        tokio::time::sleep(every.min(RETRY)).await;
    }
}

/// Whether there are enough drives for a backup. Without them there is nothing to be said: a store that begins has not met
/// its other nodes yet. That they are full is to be said, when one is due.
fn has_drives(inner: &Inner) -> bool {
    matches!(place_columns(inner, &HashSet::new(), 0), Ok(_) | Err(EngineError::NoSpace))
}

/// How long until the newest backup is as old as it may be.
fn until_due(survey: &Survey, every: Duration) -> Duration {
    let Some(newest) = survey.newest() else { return Duration::ZERO };
    let age_ms = UnixMillis::now().0.saturating_sub(newest);
    // A clock that went back counts as no time.
    every.saturating_sub(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
}

impl Inner {
    /// Whether the metadata is backed up to the drives by itself.
    pub(crate) fn makes_backups(&self) -> bool {
        self.options.backup_interval > Duration::ZERO && self.options.backups_kept > 0
    }

    /// When the newest backup in the store was begun that was as safe as the data within the last minute, in milliseconds since
    /// 1970.
    pub(crate) async fn trusted_backup_ms(&self) -> Option<i64> {
        Survey::recent(self).await.newest_as_safe_as_data()
    }
}

/// Removes all but the newest backups that can be read, and what a killed process left. None is being written.
async fn retain(inner: &Inner, turn: &Claim, survey: &Survey) -> Result<()> {
    let before_ms = survey.kept_from_ms(inner.options.backups_kept);
    remove_before(&inner.drives.usable(), before_ms, || turn.check()).await
}

/// Removes what was begun before and what is unfinished, from one drive after the other, and from each only if the work is
/// `still_ours` when the one before has answered: who takes it over begins files that would be taken for unfinished ones.
async fn remove_before(
    drives: &[Arc<dyn DriveAccess>],
    before_ms: i64,
    still_ours: impl Fn() -> Result<()>,
) -> Result<()> {
    for drive in drives {
        still_ours()?;
        if let Err(error) = drive.remove_backup_shards(before_ms).await {
            tracing::warn!(drive = drive.place(), %error, "old backups stay where they are");
        }
    }
    still_ours()
}

/// Begins a backup on drives that take it.
async fn begin(inner: &Inner, created_ms: i64) -> Result<ShardSink> {
    let mut refused = HashSet::new();
    loop {
        let turn = u64::try_from(created_ms).unwrap_or(0);
        let (drives, profile) = place_columns(inner, &refused, turn)?;
        match ShardSink::create(&drives, profile, inner.pool.limit, inner.cluster, created_ms).await {
            Ok(sink) => return Ok(sink),
            // Perhaps its node is of a version that knows of no backups but its own.
            Err(NotBegun::Refused(drive, error)) => {
                tracing::warn!(%drive, %error, "a drive takes no part in a backup of the metadata");
                refused.insert(drive);
            }
            Err(NotBegun::Failed(source)) => {
                return Err(EngineError::Io { context: "beginning a backup of the metadata", source });
            }
        }
    }
}

/// Makes a backup while the turn is ours. `survey` was taken since it is.
async fn make(inner: &Inner, turn: &Claim, survey: &Survey) -> Result<()> {
    let now = UnixMillis::now().0;
    let begun = std::time::Instant::now();
    retain(inner, turn, survey).await?;
    let sink = begin(inner, now).await?;
    let export: Box<dyn Export> = match (&inner.embedded, &inner.options.metadata) {
        (Some(embedded), _) => Box::new(embedded.freeze().await?),
        (None, MetadataChoice::Postgres(options)) => {
            Box::new(PostgresCopy::new((**options).clone(), Consistency::Snapshot)?)
        }
        (None, MetadataChoice::Embedded) => {
            return Err(EngineError::Internal("the embedded metadata is not there to be backed up"));
        }
    };
    let manifest = back_up(&*export, Box::new(sink), now, |_| {}).await?;
    tracing::info!(entries = manifest.digests.total(), took = ?begun.elapsed(), "the metadata was backed up to the drives");
    metrics::gauge!("granary_metadata_backup_entries").set(count(manifest.digests.total()));
    metrics::counter!("granary_metadata_backups_total").increment(1);
    // It pushes an older one out only if it can be read.
    let survey = Survey::take(inner).await;
    if !survey.holds(now) {
        let context = "the backup of the metadata that was just made".to_owned();
        return Err(EngineError::Unreadable { context });
    }
    if let Err(error) = retain(inner, turn, &survey).await {
        tracing::warn!(%error, "older backups stay until the next one is made");
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn count(entries: u64) -> f64 {
    entries as f64
}

#[cfg(test)]
#[path = "backups_tests.rs"]
mod tests;
