//! The drives of the store as operators see them: of all nodes, from whichever is asked.

use std::collections::HashMap;

use granary_metadata::{DriveState, NodeDrive};
use granary_types::{DriveClass, DriveId};

use crate::drives::DriveProblem;
use crate::engine::Engine;
use crate::nodes::{NodeStatus, Nodes};

/// A drive as operators see it.
#[derive(Debug, Clone)]
pub struct DriveStatus {
    /// Its place in its node's list of data directories.
    pub slot: u16,
    /// Its id; of a drive that is not in use, the id that should be there.
    pub drive: Option<DriveId>,
    /// Its directory.
    pub directory: String,
    /// How it is.
    pub health: DriveHealth,
    /// Bytes free and in all, if it can be asked.
    pub space_bytes: Option<(u64, u64)>,
    /// The node that has it; `None` for a store on one machine.
    pub node: Option<DriveNode>,
    /// Whether it is being emptied.
    pub is_draining: bool,
    /// What it is made of.
    pub class: DriveClass,
}

/// The node of a drive.
#[derive(Debug, Clone)]
pub struct DriveNode {
    /// Its id.
    pub id: granary_types::NodeId,
    /// Where other nodes reach it.
    pub address: String,
    /// What fails together with it.
    pub zone: String,
}

/// How a drive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriveHealth {
    /// In use.
    Online,
    /// In use for reading; a write failed and new volumes avoid it.
    Failed,
    /// Not in use, and why.
    Unused(DriveProblem, String),
    /// Its node does not answer this one, and why, or does not have it in use.
    Away(String),
}

impl Engine {
    /// All drives that were not retired, by node and slot.
    #[must_use]
    pub fn drive_status(&self) -> Vec<DriveStatus> {
        let own = self.own_drives();
        let Some(nodes) = &self.inner.nodes else { return own };
        let status = nodes.status();
        let mut own: HashMap<Option<DriveId>, DriveStatus> =
            own.into_iter().map(|drive| (drive.drive, drive)).collect();
        let drains = nodes.drains();
        let listed = nodes.listed_drives().into_iter();
        let active = listed.filter(|listed| listed.drive.state == DriveState::Active);
        let mut all: Vec<DriveStatus> = active
            .map(|listed| {
                let node = status.iter().find(|status| Some(status.row.node.id) == listed.node);
                let found = own
                    .remove(&Some(listed.drive.id))
                    .unwrap_or_else(|| self.others_drive(nodes, &listed, node));
                let node = node.map(|status| DriveNode {
                    id: status.row.node.id,
                    address: status.row.node.address.clone(),
                    zone: status.row.node.zone.clone(),
                });
                let is_draining = drains.iter().any(|drain| drain.drive == listed.drive.id);
                DriveStatus { node, is_draining, ..found }
            })
            .collect();
        // Directories of this node that are no drives of the store.
        all.extend(own.into_values());
        let address = |drive: &DriveStatus| drive.node.as_ref().map(|node| node.address.clone());
        all.sort_by_key(|drive| (address(drive), drive.slot));
        all
    }

    fn others_drive(&self, nodes: &Nodes, listed: &NodeDrive, node: Option<&NodeStatus>) -> DriveStatus {
        let answers = node.is_some_and(|node| node.answers);
        let drive = self.inner.drives.get(listed.drive.id).filter(|_| answers);
        let health = match &drive {
            Some(drive) if drive.is_usable() => DriveHealth::Online,
            Some(drive) if drive.is_retired() => {
                DriveHealth::Away("its node does not have it in use; ask that node why".to_owned())
            }
            Some(_) => DriveHealth::Failed,
            None if answers => DriveHealth::Away("its node has not told of it yet".to_owned()),
            None => {
                let problem = node.and_then(|node| node.problem.clone());
                DriveHealth::Away(problem.unwrap_or_else(|| "its node does not answer".to_owned()))
            }
        };
        let is_there = !matches!(health, DriveHealth::Away(_)) || listed.node == Some(nodes.id);
        DriveStatus {
            slot: listed.drive.slot,
            drive: Some(listed.drive.id),
            directory: listed.drive.path.clone(),
            health,
            space_bytes: drive.filter(|_| is_there).map(|drive| drive.space_bytes()),
            node: None,
            is_draining: false,
            class: listed.drive.class,
        }
    }

    fn own_drives(&self) -> Vec<DriveStatus> {
        let online = self.inner.drives.local().into_iter().map(|drive| DriveStatus {
            slot: drive.slot(),
            drive: Some(drive.id()),
            directory: drive.directory().display().to_string(),
            health: if drive.is_usable() { DriveHealth::Online } else { DriveHealth::Failed },
            space_bytes: Some(drive.space_bytes()),
            node: None,
            is_draining: false,
            class: self.inner.drives.class(drive.id()),
        });
        let known = |drive: DriveId| self.inner.drives.class(drive);
        let unused = self.inner.drives.unused().into_iter().map(|unused| DriveStatus {
            class: unused.expected.map(known).unwrap_or_default(),
            slot: unused.slot,
            drive: unused.expected,
            directory: unused.directory.display().to_string(),
            health: DriveHealth::Unused(unused.problem, unused.message),
            space_bytes: None,
            node: None,
            is_draining: false,
        });
        let mut all: Vec<DriveStatus> = online.chain(unused).collect();
        all.sort_by_key(|drive| drive.slot);
        all
    }
}
