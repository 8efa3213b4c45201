//! Opening the drives of a store whose metadata is gone: of one machine, or of all its nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use granary_drive::{Drive, Found, Identity, inspect};
use granary_types::{ClusterId, DriveId};

use super::{MissingDrives, RecoverOptions};
use crate::error::{EngineError, Result};
use crate::options::EngineOptions;

/// The drives of a store.
pub(super) struct OpenDrives {
    pub(super) cluster: ClusterId,
    pub(super) drives: Vec<Arc<Drive>>,
    /// Members of the store that are not here: their ids and places.
    pub(super) lost: BTreeMap<DriveId, u16>,
    /// How many nodes the drives are of.
    pub(super) nodes: usize,
}

impl OpenDrives {
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.drives.iter().map(|drive| drive.directory().to_owned()).collect()
    }
}

/// Opens them all, and locks them against servers. Blocks.
pub(super) fn open(options: &RecoverOptions) -> Result<OpenDrives> {
    let mut identities: Vec<(PathBuf, Identity)> = Vec::new();
    let mut unusable = Vec::new();
    for path in &options.data {
        match inspect(path) {
            Found::Drive(identity) => identities.push((path.clone(), identity)),
            Found::Unreadable(error) => unusable.push(format!("{} cannot be read: {error}", path.display())),
            Found::Missing => unusable.push(format!("{} does not exist", path.display())),
            Found::Empty => unusable.push(format!("{} is empty", path.display())),
            Found::Foreign => unusable.push(format!("{} holds no drive", path.display())),
        }
    }
    let Some((_, first)) = identities.first() else {
        return Err(EngineError::Layout("no store is in these directories".to_owned()));
    };
    let cluster = first.cluster;
    if let Some((path, other)) = identities.iter().find(|(_, identity)| identity.cluster != cluster) {
        return Err(EngineError::Layout(format!(
            "{} is a drive of another store ({}, the first is of {cluster})",
            path.display(),
            other.cluster
        )));
    }
    let (members, nodes) = members(identities.iter().map(|(_, identity)| identity));
    let mut given = BTreeSet::new();
    for (path, identity) in &identities {
        if !given.insert(identity.drive) {
            return Err(EngineError::Layout(format!("{} is given twice, or is a copy", path.display())));
        }
        if !members.contains_key(&identity.drive) {
            return Err(EngineError::Layout(format!(
                "{} is drive {}, which the store has replaced by another: leave it out",
                path.display(),
                identity.drive
            )));
        }
    }
    let mut lost = members;
    lost.retain(|drive, _| !given.contains(drive));
    if options.missing == MissingDrives::Refused && !(lost.is_empty() && unusable.is_empty()) {
        unusable.extend(lost.keys().map(|drive| format!("drive {drive} is not given")));
        return Err(EngineError::Layout(format!(
            "{}; give every drive, as each may hold the metadata or newer data, or say that they are lost (--lost)",
            unusable.join("; ")
        )));
    }
    let deadline = EngineOptions::new(options.data.clone()).stall_deadline;
    let opened = identities.into_iter().map(|(path, identity)| Drive::open(&path, identity, deadline));
    let drives = opened.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(OpenDrives { cluster, drives, lost, nodes })
}

/// The members of a store of one or several nodes, and how many nodes these are. Each node's drives list that node's members; the newest list counts.
fn members<'i>(identities: impl Iterator<Item = &'i Identity>) -> (BTreeMap<DriveId, u16>, usize) {
    let mut lists: Vec<&Identity> = Vec::new();
    for identity in identities {
        let ours =
            |list: &&mut &Identity| list.members.iter().any(|member| identity.members.contains(member));
        match lists.iter_mut().find(ours) {
            Some(list) if list.generation < identity.generation => *list = identity,
            Some(_) => {}
            None => lists.push(identity),
        }
    }
    let nodes = lists.len();
    let members = lists.into_iter().flat_map(|list| &list.members);
    (members.map(|member| (member.drive, member.slot)).collect(), nodes)
}
