//! The rows of drives and volumes.

use std::collections::{BTreeMap, BTreeSet};

use granary_drive::detect_class;
use granary_metadata::{DriveRow, DriveState, Extent, NewVolume, PackedLocation, VolumeRow, VolumeState};
use granary_types::{DriveId, Epoch, UnixMillis, VolumeId};

use super::drives::OpenDrives;
use super::resolve::Base;
use super::scan::FoundVolume;
use crate::error::{EngineError, Result};

/// What lives in each volume: bytes and items.
#[derive(Debug, Default)]
pub(super) struct Live(BTreeMap<VolumeId, (u64, u64)>);

impl Live {
    pub(super) fn packed(&mut self, place: &PackedLocation) {
        self.add(place.volume, u64::from(place.length_bytes));
    }

    pub(super) fn blob(&mut self, extents: &[Extent]) {
        extents.iter().for_each(|extent| self.add(extent.volume, extent.length_bytes));
    }

    pub(super) fn is_empty_in(&self, volume: VolumeId) -> bool {
        !self.0.contains_key(&volume)
    }

    fn add(&mut self, volume: VolumeId, length_bytes: u64) {
        let (bytes, items) = self.0.entry(volume).or_default();
        *bytes = bytes.saturating_add(length_bytes);
        *items = items.saturating_add(1);
    }
}

/// All drives: those that are here, those that are lost, and what a backup knows of others.
pub(super) fn drive_rows(opened: &OpenDrives, base: Option<&Base>) -> Vec<DriveRow> {
    let mut rows: BTreeMap<DriveId, DriveRow> = BTreeMap::new();
    for row in base.iter().flat_map(|base| &base.drives) {
        rows.insert(row.id, row.clone());
    }
    for (id, slot) in &opened.lost {
        let known = rows.get(id);
        let path = known.map(|row| row.path.clone()).unwrap_or_default();
        let class = known.map(|row| row.class).unwrap_or_default();
        rows.insert(*id, DriveRow { id: *id, slot: *slot, path, state: DriveState::Active, class });
    }
    for drive in &opened.drives {
        let path = drive.directory().display().to_string();
        // The next start tells it again, as it is told then.
        let class = detect_class(drive.directory());
        let row = DriveRow { id: drive.id(), slot: drive.slot(), path, state: DriveState::Active, class };
        rows.insert(drive.id(), row);
    }
    rows.into_values().collect()
}

/// The row of a volume and how many items live in it. It is sealed, and its owner's epoch is behind it.
pub(super) fn volume_row(
    found: &FoundVolume,
    opened: &OpenDrives,
    base: Option<&Base>,
    live: &Live,
) -> Result<(VolumeRow, u64)> {
    let known = base.and_then(|base| base.volumes.get(&found.id));
    let (live_bytes, live_items) = live.0.get(&found.id).copied().unwrap_or_default();
    let epoch = known.map_or(0, |row| row.epoch.0).max(found.epoch);
    let opened_at = known.map(|row| row.volume.opened.0).or(found.opened_ms).unwrap_or(0);
    let row = VolumeRow {
        volume: NewVolume {
            id: found.id,
            data_columns: found.profile.0,
            parity_columns: found.profile.1,
            drives: place_columns(found, opened, known)?,
            opened: UnixMillis(opened_at),
        },
        state: VolumeState::Sealed,
        epoch: Epoch(epoch.saturating_add(1)),
        committed_end: found.end,
        live_bytes,
        stored_bytes: found.stored_bytes,
        freed: None,
    };
    Ok((row, live_items))
}

/// The drive of each column. One that is nowhere was on a drive that is lost, as far as there is one that holds no other
/// column of the volume; healing puts it where there is room.
fn place_columns(
    found: &FoundVolume,
    opened: &OpenDrives,
    known: Option<&VolumeRow>,
) -> Result<Vec<DriveId>> {
    let mut used: BTreeSet<DriveId> = found.columns.iter().flatten().copied().collect();
    let mut drives = Vec::with_capacity(found.columns.len());
    for (column, drive) in found.columns.iter().enumerate() {
        if let Some(drive) = drive {
            drives.push(*drive);
            continue;
        }
        let told = known.and_then(|row| row.volume.drives.get(column)).copied();
        let others = opened.lost.keys().copied().chain(opened.drives.iter().map(|drive| drive.id()));
        let free = told.into_iter().chain(others).find(|drive| !used.contains(drive));
        let drive = match free {
            Some(drive) => drive,
            None => DriveId::random().map_err(EngineError::drawing)?,
        };
        used.insert(drive);
        drives.push(drive);
    }
    Ok(drives)
}
