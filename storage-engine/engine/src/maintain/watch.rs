//! Looking after the drives: is each still what it was, and is an empty directory to become a new drive?

use std::sync::Arc;
use std::time::Duration;

use granary_drive::{Drive, Found, Resting, inspect, write_identity};
use granary_metadata::sqlite::Home;
use granary_metadata::{DriveRow, DriveState};
use granary_types::{DriveClass, DriveId, crash_point};

use crate::drives::{DriveProblem, UnusedDrive};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::start::{class_of, next_identity};
use crate::tiers::Tiers;

/// A probe that takes longer means that the drive hangs.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// Takes drives out of use whose directory is gone or was emptied; takes failed ones that are well again back, and
/// those whose directory came back. Of those that failed and rest the directories are looked at if that is asked.
pub(crate) async fn watch_drives(inner: &Arc<Inner>, resting: Resting) {
    for drive in inner.drives.local() {
        if inner.drives.is_retired(drive.id()) {
            let message = "the drive was removed from the store; its directory need not be given any more";
            take_out(inner, &drive, DriveProblem::Removed, message.to_owned());
            continue;
        }
        let probing = Arc::clone(&drive);
        let probe = tokio::task::spawn_blocking(move || {
            let error = probing.probe(resting).err()?;
            Some((problem_of(&inspect(probing.directory())), error.to_string()))
        });
        match tokio::time::timeout(PROBE_DEADLINE, probe).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((Some(problem), message)))) => take_out(inner, &drive, problem, message),
            Ok(Ok(Some((None, message)))) => {
                tracing::warn!(drive = %drive.directory().display(), %message, "a drive is not well");
            }
            Ok(Err(_)) | Err(_) => {
                drive.mark_failed();
                tracing::warn!(drive = %drive.directory().display(), "a drive does not answer");
            }
        }
    }
    for unused in inner.drives.unused() {
        if unused.expected.is_some_and(|id| inner.drives.is_retired(id)) {
            continue;
        }
        take_back(inner, unused).await;
    }
}

fn problem_of(found: &Found) -> Option<DriveProblem> {
    match found {
        Found::Missing => Some(DriveProblem::Missing),
        Found::Empty => Some(DriveProblem::Empty),
        Found::Foreign => Some(DriveProblem::Foreign),
        Found::Drive(_) | Found::Unreadable(_) => None,
    }
}

fn take_out(inner: &Inner, drive: &Arc<Drive>, problem: DriveProblem, message: String) {
    tracing::error!(drive = %drive.directory().display(), %message, "a drive is out of use");
    drive.retire();
    inner.drives.remove(UnusedDrive {
        slot: drive.slot(),
        directory: drive.directory().to_owned(),
        expected: Some(drive.id()),
        problem,
        message,
    });
    inner.map.forget_files();
}

/// Uses a drive again whose directory is there again: mounted late, or a cable was plugged in.
async fn take_back(inner: &Arc<Inner>, unused: UnusedDrive) {
    let (cluster, deadline) = (inner.cluster, inner.options.stall_deadline);
    let directory = unused.directory.clone();
    let open = move || match inspect(&directory) {
        Found::Drive(identity) if Some(identity.drive) == unused.expected && identity.cluster == cluster => {
            Drive::open(&directory, identity, deadline).ok()
        }
        _ => None,
    };
    let opened = tokio::time::timeout(PROBE_DEADLINE, inner.upkeep.outside(open)).await;
    let Ok(Ok(Some(drive))) = opened else { return };
    tracing::info!(drive = %drive.directory().display(), "a drive is back in use");
    if let Err(error) = put_in_use(inner, drive).await {
        tracing::warn!(%error, "a drive that came back cannot hold a copy of the metadata");
    }
}

/// Uses a drive from now on: for volumes, for healing what waits for a drive, and for a copy of the metadata.
async fn put_in_use(inner: &Inner, drive: Arc<Drive>) -> Result<()> {
    let home = Home { drive: drive.id(), dir: drive.meta_directory() };
    inner.drives.install(drive);
    inner.map.forget_files();
    inner.damage.resume();
    if let Some(embedded) = &inner.embedded {
        embedded.adopt_home(home).await?;
    }
    Ok(())
}

/// Makes new drives of the empty directories and retires the drives that were there. Only when an operator asks.
///
/// # Errors
/// When more drives are out of use than the code can lose: their data is then needed from themselves, and empty
/// directories are more likely mount points whose drives are not mounted.
pub(crate) async fn adopt_empty_drives(inner: &Arc<Inner>) -> Result<()> {
    let mut unused = inner.drives.unused();
    unused.retain(|unused| unused.problem != DriveProblem::Removed);
    check_losses(inner, &unused)?;
    for unused in unused {
        if !matches!(inspect(&unused.directory), Found::Empty) {
            continue;
        }
        let adopting = Arc::clone(inner);
        let slot = unused.slot;
        let directory = unused.directory.clone();
        let adopt = move || adopt(&adopting, slot, &directory);
        // With threads of its own, which clients wait for.
        let drive = inner.upkeep.outside(adopt).await??;
        let path = unused.directory.display().to_string();
        let class = class_of(&inner.options, &unused.directory);
        let row = DriveRow {
            id: drive.id(),
            slot: unused.slot,
            path: path.clone(),
            state: DriveState::Active,
            class,
        };
        // The old one first: a database that knows both as drives of the store would be taken for that of another.
        if let Some(old) = unused.expected {
            let class = inner.drives.class(old);
            let row = DriveRow { id: old, slot: unused.slot, path, state: DriveState::Retired, class };
            inner.store.put_drive(row).await?;
            inner.drives.note_replaced(old);
        }
        crash_point("adopt.after_retire");
        inner.store.put_drive(row).await?;
        inner.drives.learn_classes([(drive.id(), class)]);
        drive.set_class(class);
        tracing::info!(drive = %drive.id(), directory = %unused.directory.display(), "an empty directory became a new drive");
        put_in_use(inner, drive).await?;
    }
    Ok(())
}

/// Refuses when more drives of a tier are out of use than its code can lose.
fn check_losses(inner: &Inner, unused: &[UnusedDrive]) -> Result<()> {
    let tiers = &inner.pool.tiers;
    for tier in tiers.all() {
        let wanted = tiers.code(tier);
        let class = |unused: &UnusedDrive| {
            unused.expected.map_or(DriveClass::default(), |drive| inner.drives.class(drive))
        };
        let lost = unused.iter().filter(|unused| Tiers::takes(tier, class(unused))).count();
        if lost > usize::from(wanted.parity) {
            return Err(EngineError::Layout(format!(
                "{lost} drives are out of use and {}+{} allows {} to be lost: bring some of them back before healing",
                wanted.data, wanted.parity, wanted.parity
            )));
        }
    }
    Ok(())
}

/// Writes the new membership to the new drive first: the highest generation counts, so a crash leaves the old
/// membership or the new one.
fn adopt(inner: &Inner, slot: u16, directory: &std::path::Path) -> Result<Arc<Drive>> {
    let others = inner.drives.local();
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
    crash_point("adopt.after_identity");
    for other in &others {
        let mut updated = identity.clone();
        updated.drive = other.id();
        updated.slot = other.slot();
        if let Err(error) = write_identity(other.directory(), &updated) {
            tracing::warn!(drive = %other.directory().display(), %error, "the new membership could not be written here");
        }
    }
    crash_point("adopt.after_members");
    Ok(Drive::open(directory, identity, inner.options.stall_deadline)?)
}
