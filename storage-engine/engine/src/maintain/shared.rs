//! What nodes do for all: ending what dead nodes left open, which one of them does, and finding what removed nodes took along.

use granary_metadata::{MetadataError, VolumeRow, VolumeState};

use crate::engine::Inner;
use crate::error::Result;
use crate::nodes::Nodes;

/// Seals the open volumes of nodes that are dead or were removed. One that lives after all finds its next commit refused
/// and goes on with another volume.
pub(super) async fn seal_abandoned(inner: &Inner, nodes: &Nodes) -> Result<()> {
    for (volume, owner) in nodes.membership.open_volumes().await? {
        if !owner.is_some_and(|owner| nodes.is_gone(owner)) || !nodes.leads() {
            continue;
        }
        match inner.store.seal_volume(volume).await {
            Ok(end) => tracing::info!(%volume, end = end.committed_end, "sealed a volume of a dead node"),
            Err(MetadataError::VolumeGone(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Forgets what was reported of columns that another node has healed since.
pub(super) fn learn_healed(inner: &Inner, volumes: &[VolumeRow]) {
    volumes.iter().for_each(|row| inner.damage.learn(row.volume.id, &row.volume.drives));
}

/// Has the columns rebuilt that lie on drives which were retired. All nodes do, each beginning somewhere else: what one of them has under
/// its lease the others leave alone, and what it has healed they find healed. Open volumes are sealed by whoever writes them first.
pub(super) fn report_retired(inner: &Inner, volumes: &[VolumeRow]) {
    for row in volumes.iter().filter(|row| row.state == VolumeState::Sealed) {
        for (column, drive) in (0_u8..).zip(&row.volume.drives) {
            if inner.drives.is_retired(*drive) {
                inner.damage.report(row.volume.id, column, Some(*drive));
            }
        }
    }
}
