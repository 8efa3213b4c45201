//! The drives of the store: those of this machine, and those of other nodes.

mod peers;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use granary_cluster::Site;
use granary_cluster::access::{DriveAccess, LocalDrive};
use granary_drive::Drive;
use granary_metadata::{Drain, DriveState, NodeDrive};
use granary_types::{DriveClass, DriveId, NodeId};
use parking_lot::RwLock;

use crate::moving::ShardCheck;

pub(crate) use peers::Peers;

/// Why a data directory is not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveProblem {
    /// The directory does not exist.
    Missing,
    /// The directory is empty; `heal` may make a new drive of it.
    Empty,
    /// The drive was removed from the store; its directory need not be given any more.
    Removed,
    /// The directory holds files but no identity; never touched.
    Foreign,
    /// The directory or its identity cannot be read.
    Unreadable,
}

/// A data directory that is not in use.
#[derive(Debug, Clone)]
pub struct UnusedDrive {
    /// Its place in the list of data directories.
    pub slot: u16,
    /// The directory.
    pub directory: PathBuf,
    /// The drive that should be there.
    pub expected: Option<DriveId>,
    /// Why it is not in use.
    pub problem: DriveProblem,
    /// In words.
    pub message: String,
}

/// What the metadata says of a drive.
#[derive(Debug, Clone)]
struct Assigned {
    state: DriveState,
    node: Option<NodeId>,
    site: Site,
    /// It is being emptied: nothing new is placed on it.
    is_draining: bool,
    class: DriveClass,
}

/// What is known of a drive of this machine.
#[derive(Debug, Clone, Copy)]
struct Known {
    class: DriveClass,
    is_retired: bool,
}

impl Assigned {
    fn stays(&self) -> bool {
        self.state == DriveState::Active && !self.is_draining
    }
}

/// All drives of the store that can be reached, and those that should be.
#[derive(Default)]
pub(crate) struct DriveSet {
    drives: RwLock<Vec<Arc<Drive>>>,
    unused: RwLock<Vec<UnusedDrive>>,
    /// The other nodes; `None` for a store on one machine.
    peers: Option<Arc<Peers>>,
    /// By the metadata, all drives of all nodes; empty for a store on one machine.
    assigned: RwLock<HashMap<DriveId, Assigned>>,
    /// The classes of the drives that a store on one machine has; of a node, those that it opened.
    classes: RwLock<HashMap<DriveId, Known>>,
    shard_check: Arc<ShardCheck>,
}

impl DriveSet {
    pub(crate) fn new(drives: Vec<Arc<Drive>>, unused: Vec<UnusedDrive>, peers: Option<Arc<Peers>>) -> Self {
        let set = Self { peers, ..Self::default() };
        drives.iter().for_each(|drive| set.look_into_backups_of(drive));
        (*set.drives.write(), *set.unused.write()) = (drives, unused);
        set
    }

    /// What lies on this drive is looked into before it is counted on.
    fn look_into_backups_of(&self, drive: &Drive) {
        let check = Arc::clone(&self.shard_check);
        drive.check_backups_with(check);
    }

    /// The drive of that id, if it is in use (perhaps failed, perhaps its node does not answer).
    pub(crate) fn get(&self, id: DriveId) -> Option<Arc<dyn DriveAccess>> {
        if let Some(drive) = self.drives.read().iter().find(|drive| drive.id() == id) {
            return Some(Arc::new(LocalDrive(Arc::clone(drive))));
        }
        let node = self.active_node(id)?;
        self.peers.as_ref()?.drive(node, id)
    }

    /// The node of another machine's drive that was not retired.
    fn active_node(&self, id: DriveId) -> Option<NodeId> {
        let assigned = self.assigned.read();
        assigned.get(&id).filter(|drive| drive.state == DriveState::Active)?.node
    }

    /// Whether a drive that cannot be had belongs to a node that may come back with it: nothing may then be concluded.
    pub(crate) fn is_away(&self, id: DriveId) -> bool {
        self.peers.is_some()
            && !self.unused.read().iter().any(|unused| unused.expected == Some(id))
            && self.assigned.read().get(&id).is_none_or(|drive| drive.state == DriveState::Active)
    }

    /// What a drive is made of, as it was told when its process last started.
    pub(crate) fn class(&self, id: DriveId) -> DriveClass {
        let assigned = self.assigned.read().get(&id).map(|drive| drive.class);
        assigned.or_else(|| self.classes.read().get(&id).map(|known| known.class)).unwrap_or_default()
    }

    /// How many drives of a class the store has that were not retired and are not being emptied, whether they answer or not.
    pub(crate) fn count_of(&self, class: DriveClass) -> usize {
        let assigned = self.assigned.read();
        if assigned.is_empty() {
            let known = self.classes.read();
            return known.values().filter(|known| known.class == class && !known.is_retired).count();
        }
        assigned.values().filter(|drive| drive.stays() && drive.class == class).count()
    }

    /// Knows the classes of these drives.
    pub(crate) fn learn_classes(&self, classes: impl IntoIterator<Item = (DriveId, DriveClass)>) {
        let known = classes.into_iter().map(|(id, class)| (id, Known { class, is_retired: false }));
        self.classes.write().extend(known);
    }

    /// Knows at once that a drive of this node was replaced by another; what the metadata lists comes with the next look.
    pub(crate) fn note_replaced(&self, id: DriveId) {
        if let Some(drive) = self.assigned.write().get_mut(&id) {
            drive.state = DriveState::Retired;
        }
        if let Some(known) = self.classes.write().get_mut(&id) {
            known.is_retired = true;
        }
    }

    /// Whether the metadata says that the drive was replaced or removed.
    pub(crate) fn is_retired(&self, id: DriveId) -> bool {
        self.assigned.read().get(&id).is_some_and(|drive| drive.state == DriveState::Retired)
    }

    /// The drives of which [`DriveSet::is_retired`] is true.
    pub(crate) fn retired(&self) -> HashSet<DriveId> {
        let assigned = self.assigned.read();
        let retired = assigned.iter().filter(|(_, drive)| drive.state == DriveState::Retired);
        retired.map(|(id, _)| *id).collect()
    }

    /// Whether the drive is being emptied, or was retired: nothing new is placed on it, and what is being written there is
    /// ended.
    pub(crate) fn is_leaving(&self, id: DriveId) -> bool {
        let assigned = self.assigned.read();
        assigned.get(&id).is_some_and(|drive| drive.is_draining || drive.state == DriveState::Retired)
    }

    /// Whether what is on a drive can be read now, as far as is known.
    pub(crate) fn can_read(&self, id: DriveId) -> bool {
        if let Some(drive) = self.drives.read().iter().find(|drive| drive.id() == id) {
            return !drive.is_retired();
        }
        let Some((node, peers)) = self.active_node(id).zip(self.peers.as_ref()) else { return false };
        let answers = peers.get(node).is_some_and(|peer| peer.state().is_alive());
        answers && peers.drive(node, id).is_some_and(|drive| !drive.is_retired())
    }

    /// Whether other processes use the same store.
    pub(crate) fn is_shared(&self) -> bool {
        self.peers.is_some()
    }

    /// The drives that may take new volumes.
    pub(crate) fn usable(&self) -> Vec<Arc<dyn DriveAccess>> {
        let access = |drive| Arc::new(LocalDrive(drive)) as Arc<dyn DriveAccess>;
        let local = self.usable_local().into_iter().filter(|drive| !self.is_leaving(drive.id()));
        let mut usable: Vec<Arc<dyn DriveAccess>> = local.map(access).collect();
        if let Some(peers) = &self.peers {
            let remote = peers
                .drives()
                .into_iter()
                .filter(|(node, drive)| drive.is_usable() && self.active_node(drive.id()) == Some(*node))
                .filter(|(_, drive)| !self.is_leaving(drive.id()));
            usable.extend(remote.map(|(_, drive)| drive));
        }
        usable
    }

    /// What fails together with a drive.
    pub(crate) fn site(&self, id: DriveId) -> Site {
        self.assigned.read().get(&id).map(|drive| drive.site.clone()).unwrap_or_default()
    }

    /// How many drives the store has that were not retired and are not being emptied, whether they answer or not; `None` on
    /// one machine.
    pub(crate) fn active_count(&self) -> Option<usize> {
        self.peers.as_ref()?;
        let assigned = self.assigned.read();
        Some(assigned.values().filter(|drive| drive.stays()).count())
    }

    /// Learns which drives the store has, and whose they are.
    pub(crate) fn assign(&self, drives: &[NodeDrive], zones: &HashMap<NodeId, String>, drains: &[Drain]) {
        let assigned = drives.iter().map(|listed| {
            let zone = listed.node.and_then(|node| zones.get(&node)).cloned();
            let site = Site { node: listed.node, zone: zone.unwrap_or_default() };
            let is_draining = drains.iter().any(|drain| drain.drive == listed.drive.id);
            let (state, class) = (listed.drive.state, listed.drive.class);
            (listed.drive.id, Assigned { state, node: listed.node, site, is_draining, class })
        });
        *self.assigned.write() = assigned.collect();
    }

    /// All drives of the store that were not retired, whether they answer or not.
    pub(crate) fn active(&self) -> Vec<DriveId> {
        let assigned = self.assigned.read();
        let mut ids: Vec<DriveId> = self.drives.read().iter().map(|drive| drive.id()).collect();
        let listed =
            assigned.iter().filter(|(_, drive)| drive.state == DriveState::Active).map(|(id, _)| *id);
        ids.extend(listed);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// All drives of this machine that are in use.
    pub(crate) fn local(&self) -> Vec<Arc<Drive>> {
        self.drives.read().clone()
    }

    /// Those of this machine that are well.
    pub(crate) fn usable_local(&self) -> Vec<Arc<Drive>> {
        self.drives.read().iter().filter(|drive| drive.is_usable()).cloned().collect()
    }

    /// The directories that are not in use.
    pub(crate) fn unused(&self) -> Vec<UnusedDrive> {
        self.unused.read().clone()
    }

    /// Takes a drive into use in the place of whatever was in its slot.
    pub(crate) fn install(&self, drive: Arc<Drive>) {
        self.look_into_backups_of(&drive);
        let slot = drive.slot();
        let mut drives = self.drives.write();
        drives.retain(|other| other.slot() != slot);
        drives.push(drive);
        drives.sort_by_key(|drive| drive.slot());
        self.unused.write().retain(|unused| unused.slot != slot);
    }

    /// Takes a drive out of use: its directory turned out to be gone or emptied.
    pub(crate) fn remove(&self, unused: UnusedDrive) {
        let mut drives = self.drives.write();
        drives.retain(|other| other.slot() != unused.slot);
        let mut list = self.unused.write();
        list.retain(|other| other.slot != unused.slot);
        list.push(unused);
    }
}
