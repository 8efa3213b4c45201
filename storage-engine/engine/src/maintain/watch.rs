//! Looking after the drives: is each still what it was, and is an empty directory to become a new drive?

use std::sync::Arc;

use granary_drive::{Drive, Found, inspect, write_identity};
use granary_metadata::sqlite::Home;
use granary_metadata::{DriveRow, DriveState};
use granary_types::DriveId;

use crate::drives::{DriveProblem, UnusedDrive};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::start::next_identity;

/// Takes drives out of use whose directory is gone or was emptied; takes failed ones that are well again back.
pub(crate) async fn watch_drives(inner: &Arc<Inner>) {
    for drive in inner.drives.all() {
        let probing = Arc::clone(&drive);
        let Ok(Err(error)) = tokio::task::spawn_blocking(move || probing.probe()).await else { continue };
        let problem = match inspect(drive.directory()) {
            Found::Missing => DriveProblem::Missing,
            Found::Empty => DriveProblem::Empty,
            Found::Foreign => DriveProblem::Foreign,
            _ => {
                tracing::warn!(drive = %drive.directory().display(), %error, "a drive is not well");
                continue;
            }
        };
        tracing::error!(drive = %drive.directory().display(), %error, "a drive is out of use");
        inner.drives.remove(UnusedDrive {
            slot: drive.slot(),
            directory: drive.directory().to_owned(),
            expected: Some(drive.id()),
            problem,
            message: error.to_string(),
        });
    }
}

/// Makes new drives of the empty directories and retires the drives that were there. Only when an operator asks.
pub(crate) async fn adopt_empty_drives(inner: &Arc<Inner>) -> Result<()> {
    for unused in inner.drives.unused() {
        if !matches!(inspect(&unused.directory), Found::Empty) {
            continue;
        }
        let adopting = Arc::clone(inner);
        let slot = unused.slot;
        let directory = unused.directory.clone();
        let adopt = move || adopt(&adopting, slot, &directory);
        let drive = tokio::task::spawn_blocking(adopt)
            .await
            .map_err(|_| EngineError::Internal("adopting a drive panicked"))??;
        let path = unused.directory.display().to_string();
        let row =
            DriveRow { id: drive.id(), slot: unused.slot, path: path.clone(), state: DriveState::Active };
        inner.store.put_drive(row).await?;
        if let Some(old) = unused.expected {
            let row = DriveRow { id: old, slot: unused.slot, path, state: DriveState::Retired };
            inner.store.put_drive(row).await?;
        }
        tracing::info!(drive = %drive.id(), directory = %unused.directory.display(), "an empty directory became a new drive");
        let home = Home { drive: drive.id(), dir: drive.meta_directory() };
        inner.drives.install(drive);
        inner.embedded.adopt_home(home).await?;
    }
    Ok(())
}

/// Writes the new membership to the new drive first: the highest generation counts, so a crash leaves the old
/// membership or the new one.
fn adopt(inner: &Inner, slot: u16, directory: &std::path::Path) -> Result<Arc<Drive>> {
    let others = inner.drives.all();
    let newest = others.iter().filter_map(|drive| match inspect(drive.directory()) {
        Found::Drive(identity) => Some(identity),
        _ => None,
    });
    let newest = newest
        .max_by_key(|identity| identity.generation)
        .ok_or(EngineError::Unavailable { context: "adopting a drive: no other drive can be read" })?;
    let id = DriveId::random().map_err(|source| EngineError::Io { context: "drawing a drive id", source })?;
    let identity = next_identity(&newest, slot, id);
    write_identity(directory, &identity)?;
    for other in &others {
        let mut updated = identity.clone();
        updated.drive = other.id();
        updated.slot = other.slot();
        if let Err(error) = write_identity(other.directory(), &updated) {
            tracing::warn!(drive = %other.directory().display(), %error, "the new membership could not be written here");
        }
    }
    Ok(Drive::open(directory, identity, inner.options.stall_deadline)?)
}
