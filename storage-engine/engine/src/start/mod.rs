//! From a list of directories to a set of drives: a new store is formatted, an existing one is checked.
//!
//! Mistakes of the operator (a foreign or swapped directory, a wrong number of them) refuse to start and say what
//! to do. Failures (a directory that is missing, emptied or unreadable) leave that drive unused and start with
//! the rest, as long as the data can still be read.

mod format;
mod metadata;
mod node;
mod node_file;
mod resize;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use granary_cluster::for_drives;
use granary_drive::{Drive, Found, Identity, detect_class, inspect};
use granary_erasure::Profile;
use granary_metadata::{DriveRow, DriveState, MetadataStore};
use granary_types::{ClusterId, DriveClass, DriveId};

use crate::drives::{DriveProblem, UnusedDrive};
use crate::error::{EngineError, Result};
use crate::options::EngineOptions;

pub(crate) use format::{next_identity, settle_identities};
pub(crate) use metadata::{Metadata, homes, open_metadata};
pub(crate) use node::{NodeStart, open_node};

/// The drives of the store, opened.
pub(crate) struct Opened {
    pub cluster: ClusterId,
    pub profile: Profile,
    pub drives: Vec<Arc<Drive>>,
    pub unused: Vec<UnusedDrive>,
    /// All drives that the store should have.
    pub members: Vec<DriveId>,
    /// Whether the store is new: no metadata is expected.
    pub fresh: bool,
}

/// Tells the metadata of the drives that are here, and what they are made of.
pub(crate) async fn record_drives(
    store: &dyn MetadataStore,
    options: &EngineOptions,
    drives: &[Arc<Drive>],
) -> Result<()> {
    for drive in drives {
        let path = drive.directory().display().to_string();
        let class = class_of(options, drive.directory());
        drive.set_class(class);
        let row = DriveRow { id: drive.id(), slot: drive.slot(), path, state: DriveState::Active, class };
        store.put_drive(row).await?;
    }
    Ok(())
}

/// Retires drives that are known to the metadata, `listed`, and are no members any more: the process that replaced them
/// died before it could say so. Nothing would be concluded from what is missing of a drive that counts as one of the store's.
pub(crate) async fn retire_replaced(
    store: &dyn MetadataStore,
    listed: impl IntoIterator<Item = DriveRow>,
    members: &[DriveId],
) -> Result<()> {
    let replaced =
        listed.into_iter().filter(|row| row.state == DriveState::Active && !members.contains(&row.id));
    for row in replaced {
        tracing::warn!(drive = %row.id, slot = row.slot, "a drive was replaced by another and is retired now");
        store.put_drive(DriveRow { state: DriveState::Retired, ..row }).await?;
    }
    Ok(())
}

/// What a drive is made of: as the operator says, or else the kernel.
pub(crate) fn class_of(options: &EngineOptions, directory: &Path) -> DriveClass {
    let said = options.drive_classes.get(directory).copied();
    said.unwrap_or_else(|| detect_class(directory))
}

/// The classes of all drives that the store has, also of those that are not here now.
pub(crate) async fn known_classes(store: &dyn MetadataStore) -> Result<HashMap<DriveId, DriveClass>> {
    let rows = store.drives().await?.into_iter();
    let active = rows.filter(|row| row.state == DriveState::Active);
    Ok(active.map(|row| (row.id, row.class)).collect())
}

/// Runs what blocks: opening waits for drives that may be slow.
pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(run).await.map_err(|_| EngineError::Internal("opening the store panicked"))?
}

/// Opens the drives of a store that exists, all of them; formats nothing. For work on the whole metadata. Blocks.
pub(crate) fn open_all_drives(data: &[PathBuf]) -> Result<Opened> {
    check_paths(data)?;
    let found = inspect_all(data);
    let Some(newest) = newest_of(&found).filter(|newest| newest.generation != format::GENERATION_FORMATTING)
    else {
        return Err(EngineError::Layout("no store is in these directories".to_owned()));
    };
    let opened = open_existing(&EngineOptions::new(data.to_vec()), newest, &found)?;
    match opened.unused.first() {
        None => Ok(opened),
        Some(unused) => Err(EngineError::Layout(format!(
            "{}: {}; every drive must be usable, as each may hold a copy of the metadata: heal the store first",
            unused.directory.display(),
            unused.message
        ))),
    }
}

/// Inspects, formats if all is new, and opens. Blocks.
pub(crate) fn open_drives(options: &EngineOptions) -> Result<Opened> {
    open_drives_of(options, None)
}

/// As [`open_drives`]; new drives become those of `cluster`.
fn open_drives_of(options: &EngineOptions, cluster: Option<ClusterId>) -> Result<Opened> {
    check_paths(&options.data)?;
    let found = inspect_all(&options.data);
    match newest_of(&found) {
        None => {
            refuse_unless_new(&found)?;
            let erasure = chosen_profile(options, options.data.len())?;
            format::format(&options.data, erasure, cluster)?;
            let mut opened = open_drives_of(options, cluster)?;
            opened.fresh = true;
            Ok(opened)
        }
        Some(newest) if newest.generation == format::GENERATION_FORMATTING => {
            // Identities that were written to directories in a wrong order would have to be removed by hand.
            check_places(newest, &found)?;
            format::resume(&options.data, newest)?;
            let mut opened = open_existing(options, newest, &inspect_all(&options.data))?;
            opened.fresh = true;
            Ok(opened)
        }
        Some(newest) => open_existing(options, newest, &found),
    }
}

fn inspect_all(data: &[PathBuf]) -> Vec<(&Path, Found)> {
    data.iter().map(|path| (path.as_path(), inspect(path))).collect()
}

fn identities<'f>(found: &'f [(&Path, Found)]) -> impl Iterator<Item = (&'f Path, &'f Identity)> {
    found.iter().filter_map(|(path, found)| match found {
        Found::Drive(identity) => Some((*path, identity)),
        _ => None,
    })
}

/// What the drive says that was told last of its store.
fn newest_of<'f>(found: &'f [(&Path, Found)]) -> Option<&'f Identity> {
    identities(found).map(|(_, identity)| identity).max_by_key(|identity| identity.generation)
}

/// Refuses directories that are drives of more than one store, before anything that lies on them is read as one. Writes
/// nothing. Blocks.
///
/// # Errors
/// [`EngineError::Layout`], with a drive that is of another store than most.
pub fn check_one_store(data: &[PathBuf]) -> Result<()> {
    let found = inspect_all(data);
    let like = |one: &Identity| identities(&found).filter(|(_, other)| other.cluster == one.cluster).count();
    let most = identities(&found).map(|(_, identity)| identity).max_by_key(|identity| like(identity));
    let Some(most) = most else { return Ok(()) };
    identities(&found).try_for_each(|(path, identity)| check_cluster(path, identity, most))
}

fn check_cluster(path: &Path, identity: &Identity, newest: &Identity) -> Result<()> {
    if identity.cluster == newest.cluster {
        return Ok(());
    }
    Err(EngineError::Layout(format!(
        "{} is a drive of another store ({}, this one is {})",
        path.display(),
        identity.cluster,
        newest.cluster
    )))
}

fn check_paths(data: &[PathBuf]) -> Result<()> {
    if data.is_empty() || data.len() > usize::from(u16::MAX) {
        return Err(EngineError::Layout("give at least one --data directory".to_owned()));
    }
    let mut seen = std::collections::HashSet::new();
    for path in data {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if !seen.insert(real) {
            return Err(EngineError::Layout(format!(
                "{} is given twice: each drive needs a directory of its own",
                path.display()
            )));
        }
    }
    Ok(())
}

fn refuse_unless_new(found: &[(&Path, Found)]) -> Result<()> {
    for (path, found) in found {
        let path = path.display();
        match found {
            Found::Missing | Found::Empty => {}
            Found::Unreadable(error) => {
                return Err(EngineError::Layout(format!("{path} cannot be read: {error}")));
            }
            _ => {
                return Err(EngineError::Layout(format!(
                    "{path} holds files that are not Granary's; give an empty directory for a new store"
                )));
            }
        }
    }
    Ok(())
}

/// The code asked for, or the one for that many drives.
fn chosen_profile(options: &EngineOptions, drives: usize) -> Result<Profile> {
    let profile = match options.erasure {
        Some(profile) => profile,
        None => {
            let code = for_drives(drives);
            Profile::new(code.data, code.parity)?
        }
    };
    // The drives of other nodes count too, and they are not known yet.
    if options.node.is_none() && profile.columns() > drives {
        return Err(EngineError::Layout(format!(
            "erasure code {profile} needs {} drives and {drives} are given: shards never share a drive",
            profile.columns()
        )));
    }
    Ok(profile)
}

/// Refuses directories that are not those of the store, in their order. Writes nothing.
fn check_places(newest: &Identity, found: &[(&Path, Found)]) -> Result<()> {
    if found.len() != newest.members.len() {
        return Err(EngineError::Layout(format!(
            "the store has {} drives and {} --data directories are given; name all of them, in their order",
            newest.members.len(),
            found.len()
        )));
    }
    for (slot, (path, found)) in (0_u16..).zip(found) {
        if let Found::Drive(identity) = found {
            check_member(path, slot, identity, newest)?;
        }
    }
    Ok(())
}

fn open_existing(options: &EngineOptions, newest: &Identity, found: &[(&Path, Found)]) -> Result<Opened> {
    check_places(newest, found)?;
    let stored: Profile = newest.erasure.parse()?;
    let profile = match options.erasure {
        Some(_) => chosen_profile(options, found.len())?,
        None => stored,
    };
    let mut drives = Vec::new();
    let mut unused = Vec::new();
    for (slot, (path, found)) in (0_u16..).zip(found) {
        let expected = newest.members.iter().find(|member| member.slot == slot).map(|member| member.drive);
        let mut skip = |problem, message: String| {
            unused.push(UnusedDrive { slot, directory: path.to_path_buf(), expected, problem, message });
        };
        match found {
            Found::Drive(identity) => match Drive::open(path, identity.clone(), options.stall_deadline) {
                Ok(drive) => drives.push(drive),
                Err(error @ granary_drive::DriveError::Identity { .. }) => return Err(error.into()),
                Err(error) => skip(DriveProblem::Unreadable, error.to_string()),
            },
            Found::Missing => skip(DriveProblem::Missing, "the directory does not exist".to_owned()),
            Found::Empty => skip(
                DriveProblem::Empty,
                "the directory is empty; `granary heal` makes a new drive of it".to_owned(),
            ),
            Found::Foreign => {
                skip(DriveProblem::Foreign, "the directory holds files but no granary.json".to_owned());
            }
            Found::Unreadable(error) => skip(DriveProblem::Unreadable, error.to_string()),
        }
    }
    // The other nodes hold shards too; one drive is enough to take part.
    let needed = if options.node.is_some() { 1 } else { stored.data().min(newest.members.len()) };
    if drives.len() < needed {
        let missing: Vec<String> =
            unused.iter().map(|drive| format!("{}: {}", drive.directory.display(), drive.message)).collect();
        return Err(EngineError::Layout(format!(
            "only {} of {} drives can be used and {needed} are needed to read the data ({})",
            drives.len(),
            newest.members.len(),
            missing.join("; ")
        )));
    }
    let members = newest.members.iter().map(|member| member.drive).collect();
    Ok(Opened { cluster: newest.cluster, profile, drives, unused, members, fresh: false })
}

/// Refuses a drive that belongs to another store, was replaced, or is not in its place.
fn check_member(path: &Path, slot: u16, identity: &Identity, newest: &Identity) -> Result<()> {
    check_cluster(path, identity, newest)?;
    let path = path.display();
    let Some(member) = newest.members.iter().find(|member| member.drive == identity.drive) else {
        return Err(EngineError::Layout(format!(
            "{path} is drive {}, which this store has replaced by another; if its data is still needed, keep it aside and ask \
             before emptying it",
            identity.drive
        )));
    };
    if member.slot != slot {
        return Err(EngineError::Layout(format!(
            "{path} is drive number {} and is given in place {}: drives are swapped; give the --data directories in their order",
            member.slot + 1,
            slot + 1
        )));
    }
    Ok(())
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
