//! Ownership, committed ends, and what lives where.

use granary_types::VolumeId;

use super::Batch;
use crate::error::MetadataError;
use crate::model::{Extent, VolumeAdvance, VolumeState};
use crate::sqlite::apply::commit::Place;

impl Batch {
    /// Refuses the advance unless the volume is open at its epoch.
    pub(super) fn check_advance(&self, advance: &VolumeAdvance) -> Result<(), MetadataError> {
        let owned = self
            .volumes
            .get(&advance.volume)
            .is_some_and(|v| v.state == VolumeState::Open && v.epoch == advance.epoch);
        if owned {
            return Ok(());
        }
        Err(MetadataError::Fenced { volume: advance.volume, epoch: advance.epoch })
    }

    /// Refuses content in a volume that was freed or never opened, or beyond what is committed of it.
    pub(super) fn check_place(
        &self,
        advances: &[VolumeAdvance],
        place: Place<'_>,
    ) -> Result<(), MetadataError> {
        let volume = place.volume();
        let found = self.volumes.get(&volume).ok_or(MetadataError::VolumeGone(volume))?;
        place.check((found.state, found.data_columns, found.committed_end), advances)
    }

    pub(super) fn advance(&mut self, advance: &VolumeAdvance) {
        if let Some(volume) = self.volumes.get_mut(&advance.volume) {
            volume.committed_end = volume.committed_end.max(advance.end);
            volume.stored_bytes = volume.stored_bytes.saturating_add(advance.stored_bytes);
            volume.changed = true;
        }
    }

    /// Something of `length_bytes` lives in the volume from now on.
    pub(super) fn add_live(&mut self, volume: VolumeId, length_bytes: u64) {
        let (bytes, items) = self.deltas.entry(volume).or_default();
        *bytes = bytes.saturating_add_unsigned(length_bytes);
        *items = items.saturating_add(1);
    }

    /// Something of `length_bytes` is garbage from now on.
    pub(super) fn drop_live(&mut self, volume: VolumeId, length_bytes: u64) {
        let (bytes, items) = self.deltas.entry(volume).or_default();
        *bytes = bytes.saturating_sub_unsigned(length_bytes);
        *items = items.saturating_sub(1);
    }

    pub(super) fn add_extents(&mut self, extents: &[Extent]) {
        for extent in extents {
            self.add_live(extent.volume, extent.length_bytes);
        }
    }

    pub(super) fn drop_extents(&mut self, extents: &[Extent]) {
        for extent in extents {
            self.drop_live(extent.volume, extent.length_bytes);
        }
    }
}
