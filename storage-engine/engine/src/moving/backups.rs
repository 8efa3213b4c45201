//! Making backups of the metadata, and restoring them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use granary_drive::{Found, inspect};
use granary_erasure::Profile;
use granary_metadata::moving::{
    Backup, CopyOptions, CopyReport, Export, FrameFile, FrameFileSink, Manifest, Progress, back_up, copy,
};
use granary_metadata::postgres::{Consistency, PostgresCopy};
use granary_types::{ClusterId, UnixMillis};

use super::shards::{ShardSink, ShardSource, find, retain};
use super::{MetadataPlace, Source, Target};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::options::MetadataChoice;
use crate::start::blocking;

/// Where a backup is or goes.
#[derive(Debug, Clone)]
pub enum BackupPlace {
    /// One file.
    File(PathBuf),
    /// The drives of the store, all of them; of several backups, the newest or that of this id.
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
            let cluster = cluster_of(data)?;
            let is_it = |backup: &ShardSource| {
                backup.cluster == cluster && id.is_none_or(|id| *id.as_bytes() == backup.id)
            };
            let none =
                || EngineError::Layout("the drives hold no such backup of this store's metadata".to_owned());
            let found = find(data).into_iter().find(is_it).ok_or_else(none)?;
            Ok(Backup::open(Arc::new(found))?)
        }
    }
}

fn cluster_of(data: &[PathBuf]) -> Result<ClusterId> {
    let found = data.iter().find_map(|directory| match inspect(directory) {
        Found::Drive(identity) => Some(identity.cluster),
        _ => None,
    });
    found.ok_or_else(|| EngineError::Layout("no store is in these directories".to_owned()))
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
    if every == Duration::ZERO || inner.options.backups_kept == 0 {
        return;
    }
    loop {
        // Backups of a database that went back in time would push out better ones.
        if inner.is_regressed() {
            tokio::time::sleep(every.min(TURN_RETRY)).await;
            continue;
        }
        let wait = match until_due(&inner, every).await {
            Ok(Duration::ZERO) => {
                // Of several nodes one at a time reads the whole database.
                let turn = match inner.claim(BACKUP_LEASE).await {
                    Ok(Some(turn)) => turn,
                    Ok(None) | Err(_) => {
                        tokio::time::sleep(every.min(TURN_RETRY)).await;
                        continue;
                    }
                };
                let made = make(&inner).await;
                drop(turn);
                if let Err(error) = made {
                    metrics::counter!("granary_metadata_backup_failures_total").increment(1);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the metadata could not be backed up"
                    );
                }
                // Also after a failure the next one waits, if not as long.
                every.min(RETRY)
            }
            Ok(wait) => wait,
            Err(_) => every.min(RETRY),
        };
        tokio::time::sleep(wait).await;
    }
}

fn directories(inner: &Inner) -> Vec<PathBuf> {
    inner.drives.usable_local().iter().map(|drive| drive.directory().to_owned()).collect()
}

/// How long until the newest backup is as old as it may be.
async fn until_due(inner: &Inner, every: Duration) -> Result<Duration> {
    let directories = directories(inner);
    let newest = blocking(move || Ok(find(&directories).first().map(|backup| backup.created_ms))).await?;
    let Some(newest) = newest else { return Ok(Duration::ZERO) };
    let age_ms = UnixMillis::now().0.saturating_sub(newest);
    // A clock that went back counts as no time.
    Ok(every.saturating_sub(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))))
}

impl Inner {
    /// When the newest backup on the drives here was begun, in milliseconds since 1970.
    pub(crate) async fn newest_backup_ms(&self) -> Result<Option<i64>> {
        let directories = directories(self);
        blocking(move || Ok(find(&directories).first().map(|backup| backup.created_ms))).await
    }
}

async fn make(inner: &Inner) -> Result<()> {
    let (directories, now) = (directories(inner), UnixMillis::now().0);
    let code = inner.pool.wanted_code();
    let profile = Profile::new(code.data, code.parity)?;
    let (cluster, kept) = (inner.cluster, inner.options.backups_kept);
    let begun = std::time::Instant::now();
    let making = directories.clone();
    let sink = blocking(move || {
        // What a killed process left is in nobody's way, but takes room.
        retain(&making, kept).map_err(failed("removing old backups"))?;
        ShardSink::create(&making, profile, cluster, now)
            .map_err(failed("beginning a backup of the metadata"))
    })
    .await?;
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
    blocking(move || retain(&directories, kept).map_err(failed("removing old backups"))).await
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn count(entries: u64) -> f64 {
    entries as f64
}
