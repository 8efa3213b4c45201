//! The store as operators see it.

use granary_metadata::VolumeRow;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::maintain::named_node;
use crate::nodes::NodeStatus;

impl Engine {
    /// The nodes of the store as this one sees them; none for a store on one machine.
    #[must_use]
    pub fn node_status(&self) -> Vec<NodeStatus> {
        self.inner.nodes.as_ref().map(|nodes| nodes.status()).unwrap_or_default()
    }

    /// How many copies of the metadata are missing on the drives; 0 where it is in a database of its own.
    #[must_use]
    pub fn metadata_copies_missing(&self) -> usize {
        self.inner.embedded.as_ref().map_or(0, |embedded| embedded.copies_missing())
    }

    /// Removes a node for good, by its address or id: one that was drained, or one that is dead; what lay on the drives of a
    /// dead one is rebuilt on others.
    ///
    /// # Errors
    /// [`EngineError::Layout`] when the node is not known, or is alive and was not drained.
    pub async fn remove_node(&self, name: &str) -> Result<()> {
        let nodes = self.inner.nodes.as_ref();
        let nodes = nodes.ok_or_else(|| EngineError::Layout("the store has no nodes".to_owned()))?;
        let id = named_node(nodes, name)?;
        let known = nodes.status().into_iter().find(|status| status.row.node.id == id);
        match known {
            None => return Err(EngineError::Layout(format!("there is no node {id}"))),
            Some(status) if status.is_alive && !self.is_drained(nodes, id).await? => {
                return Err(EngineError::Layout(format!(
                    "node {id} at {} is alive and its drives are not empty: drain it first",
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
