//! The store as operators see it.

use granary_metadata::VolumeRow;
use granary_types::{DriveId, NodeId};

use crate::drives::DriveProblem;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::nodes::NodeStatus;

/// A drive as operators see it.
#[derive(Debug, Clone)]
pub struct DriveStatus {
    /// Its place in the list of data directories.
    pub slot: u16,
    /// Its id; of a drive that is not in use, the id that should be there.
    pub drive: Option<DriveId>,
    /// Its directory.
    pub directory: String,
    /// How it is.
    pub health: DriveHealth,
    /// Bytes free and in all, if it can be asked.
    pub space_bytes: Option<(u64, u64)>,
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
}

impl Engine {
    /// All drives, by slot.
    #[must_use]
    pub fn drive_status(&self) -> Vec<DriveStatus> {
        let online = self.inner.drives.local().into_iter().map(|drive| DriveStatus {
            slot: drive.slot(),
            drive: Some(drive.id()),
            directory: drive.directory().display().to_string(),
            health: if drive.is_usable() { DriveHealth::Online } else { DriveHealth::Failed },
            space_bytes: Some(drive.space_bytes()),
        });
        let unused = self.inner.drives.unused().into_iter().map(|unused| DriveStatus {
            slot: unused.slot,
            drive: unused.expected,
            directory: unused.directory.display().to_string(),
            health: DriveHealth::Unused(unused.problem, unused.message),
            space_bytes: None,
        });
        let mut all: Vec<DriveStatus> = online.chain(unused).collect();
        all.sort_by_key(|drive| drive.slot);
        all
    }

    /// The nodes of the store as this one sees them; none for a store on one machine.
    #[must_use]
    pub fn node_status(&self) -> Vec<NodeStatus> {
        self.inner.nodes.as_ref().map(|nodes| nodes.status()).unwrap_or_default()
    }

    /// Removes a node for good: its drives are retired, and what lay on them is rebuilt on others.
    ///
    /// # Errors
    /// [`EngineError::Layout`] when the node is not known, or still alive.
    pub async fn remove_node(&self, id: NodeId) -> Result<()> {
        let nodes = self.inner.nodes.as_ref();
        let nodes = nodes.ok_or_else(|| EngineError::Layout("the store has no nodes".to_owned()))?;
        let known = nodes.status().into_iter().find(|status| status.row.node.id == id);
        match known {
            None => return Err(EngineError::Layout(format!("there is no node {id}"))),
            Some(status) if status.is_alive => {
                return Err(EngineError::Layout(format!(
                    "node {id} at {} is alive: stop it first",
                    status.row.node.address
                )));
            }
            Some(_) => {}
        }
        nodes.membership.remove_node(id).await?;
        Ok(())
    }

    /// Volumes by id, after `after`.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn volume_status(
        &self,
        after: Option<granary_types::VolumeId>,
        limit: u32,
    ) -> Result<Vec<VolumeRow>> {
        Ok(self.inner.store.volumes(after, limit).await?)
    }

    /// Whether requests can be served: the metadata answers and enough drives are usable to read and write.
    pub async fn is_ready(&self) -> bool {
        let answers = self.inner.store.volumes(None, 1).await.is_ok();
        let may_serve = match &self.inner.nodes {
            Some(nodes) => !nodes.is_removed() && self.inner.pool.can_place(),
            None => !self.inner.drives.usable().is_empty(),
        };
        answers && may_serve
    }
}
