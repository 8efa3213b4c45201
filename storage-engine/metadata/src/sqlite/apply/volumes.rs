//! Volumes and drives: ownership, committed ends, and what lives where.

use granary_types::{DriveClass, DriveId, Epoch, UnixMillis, VolumeId};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Batch;
use super::commit::Place;
use crate::error::MetadataError;
use crate::model::{
    DriveRow, DriveState, Extent, NewVolume, SealedEnd, ShardMove, VolumeAdvance, VolumeRow, VolumeState,
};
use crate::sqlite::codec::{blob, decode_checked, drive_class_code, encode, row_hash};
use crate::sqlite::failure::Failure;

/// A volume's row as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sqlite) struct StoredVolume {
    pub(in crate::sqlite) row: VolumeRow,
    /// Packed objects and extents that lie in the volume. Objects of no bytes cannot hide from it.
    pub(in crate::sqlite) live_items: u64,
}

impl StoredVolume {
    /// Reads one volume.
    pub(in crate::sqlite) fn load(connection: &Connection, id: VolumeId) -> Result<Option<Self>, Failure> {
        connection
            .prepare_cached("SELECT row_hash, record FROM volumes WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| {
                Ok(blob(row, 0)
                    .and_then(|hash| decode_checked("volumes", &[id.as_bytes()], hash, blob(row, 1)?)))
            })
            .optional()?
            .transpose()
    }

    pub(super) fn store(&self, connection: &Connection) -> Result<(), Failure> {
        let id = self.row.volume.id;
        let record = encode(self)?;
        let hash = row_hash("volumes", &[id.as_bytes()], &record);
        connection
            .prepare_cached("REPLACE INTO volumes (id, row_hash, record) VALUES (?1, ?2, ?3)")?
            .execute((id.as_bytes(), hash, record))?;
        Ok(())
    }
}

/// A volume the batch has looked at; `None` if there is none of that id.
#[derive(Default)]
pub(super) struct Cached {
    stored: Option<StoredVolume>,
    changed: bool,
}

impl Batch<'_> {
    fn cached(&mut self, id: VolumeId) -> Result<&mut Cached, Failure> {
        use std::collections::btree_map::Entry;
        match self.volumes.entry(id) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let stored = StoredVolume::load(self.connection, id)?;
                Ok(entry.insert(Cached { stored, changed: false }))
            }
        }
    }

    fn peek(&mut self, id: VolumeId) -> Result<Option<&StoredVolume>, Failure> {
        Ok(self.cached(id)?.stored.as_ref())
    }

    /// Changes a volume that exists. `false` if it does not.
    fn change(&mut self, id: VolumeId, change: impl FnOnce(&mut StoredVolume)) -> Result<bool, Failure> {
        let cached = self.cached(id)?;
        let Some(stored) = cached.stored.as_mut() else { return Ok(false) };
        change(stored);
        cached.changed = true;
        Ok(true)
    }

    /// Writes every changed volume.
    pub(super) fn flush_volumes(&mut self) -> Result<(), Failure> {
        for cached in self.volumes.values_mut().filter(|cached| cached.changed) {
            if let Some(stored) = &cached.stored {
                stored.store(self.connection)?;
            }
            cached.changed = false;
        }
        Ok(())
    }

    /// Refuses the advance unless the volume is open at its epoch.
    pub(super) fn check_advance(&mut self, advance: &VolumeAdvance) -> Result<(), Failure> {
        let owned = self
            .peek(advance.volume)?
            .is_some_and(|v| v.row.state == VolumeState::Open && v.row.epoch == advance.epoch);
        if owned {
            return Ok(());
        }
        Err(Failure::Refused(MetadataError::Fenced { volume: advance.volume, epoch: advance.epoch }))
    }

    /// Refuses content in a volume that was freed or never opened, or beyond what is committed of it.
    pub(super) fn check_place(
        &mut self,
        advances: &[VolumeAdvance],
        place: Place<'_>,
    ) -> Result<(), Failure> {
        let volume = place.volume();
        let found = self.peek(volume)?.ok_or(Failure::Refused(MetadataError::VolumeGone(volume)))?;
        let known = (found.row.state, found.row.volume.data_columns, found.row.committed_end);
        place.check(known, advances).map_err(Failure::Refused)
    }

    fn check_known(&mut self, volume: VolumeId) -> Result<(), Failure> {
        let known = self.peek(volume)?.is_some_and(|v| v.row.state != VolumeState::Freed);
        if known { Ok(()) } else { Err(Failure::Refused(MetadataError::VolumeGone(volume))) }
    }

    pub(super) fn advance(&mut self, advance: &VolumeAdvance) -> Result<(), Failure> {
        self.change(advance.volume, |v| {
            v.row.committed_end = v.row.committed_end.max(advance.end);
            v.row.stored_bytes = v.row.stored_bytes.saturating_add(advance.stored_bytes);
        })?;
        Ok(())
    }

    /// Something of `length_bytes` lives in the volume from now on.
    pub(super) fn add_live(&mut self, volume: VolumeId, length_bytes: u64) -> Result<(), Failure> {
        self.change(volume, |v| {
            v.row.live_bytes = v.row.live_bytes.saturating_add(length_bytes);
            v.live_items = v.live_items.saturating_add(1);
        })?;
        Ok(())
    }

    /// Something of `length_bytes` is garbage from now on.
    pub(super) fn drop_live(&mut self, volume: VolumeId, length_bytes: u64) -> Result<(), Failure> {
        let known = self.change(volume, |v| {
            if v.row.live_bytes < length_bytes || v.live_items == 0 {
                tracing::error!(%volume, length_bytes, "live bytes drifted; a recount repairs them");
            }
            v.row.live_bytes = v.row.live_bytes.saturating_sub(length_bytes);
            v.live_items = v.live_items.saturating_sub(1);
        })?;
        if !known {
            tracing::error!(%volume, "a row referred to a volume that is not known");
        }
        Ok(())
    }

    pub(super) fn add_extents(&mut self, extents: &[Extent]) -> Result<(), Failure> {
        extents.iter().try_for_each(|extent| self.add_live(extent.volume, extent.length_bytes))
    }

    pub(super) fn drop_extents(&mut self, extents: &[Extent]) -> Result<(), Failure> {
        extents.iter().try_for_each(|extent| self.drop_live(extent.volume, extent.length_bytes))
    }

    /// Sets what was counted; for the recount.
    pub(super) fn set_live(&mut self, volume: VolumeId, bytes: u64, items: u64) -> Result<(), Failure> {
        self.change(volume, |v| {
            v.row.live_bytes = bytes;
            v.live_items = items;
        })?;
        Ok(())
    }

    /// The first of the drives that was retired.
    fn retired_among(&self, drives: &[DriveId]) -> Result<Option<DriveId>, Failure> {
        for drive in drives {
            if self.drive(*drive)?.is_some_and(|row| row.state == DriveState::Retired) {
                return Ok(Some(*drive));
            }
        }
        Ok(None)
    }

    fn drive(&self, id: DriveId) -> Result<Option<DriveRow>, Failure> {
        self.connection
            .prepare_cached("SELECT row_hash, record FROM drives WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| {
                Ok(blob(row, 0)
                    .and_then(|hash| decode_checked("drives", &[id.as_bytes()], hash, blob(row, 1)?)))
            })
            .optional()?
            .transpose()
    }

    pub(super) fn open_volume(&mut self, volume: &NewVolume) -> Result<(), Failure> {
        let retired = self.retired_among(&volume.drives)?;
        let cached = self.cached(volume.id)?;
        if let Some(stored) = &cached.stored {
            // The same call again, after an answer that was lost, is no error; any other reuse of an id is.
            if stored.row.volume == *volume && stored.row.epoch == Epoch::FIRST {
                return Ok(());
            }
            return Err(Failure::Refused(MetadataError::Fenced { volume: volume.id, epoch: Epoch::FIRST }));
        }
        if let Some(drive) = retired {
            return Err(Failure::Refused(MetadataError::DriveRetired(drive)));
        }
        let row = VolumeRow {
            volume: volume.clone(),
            state: VolumeState::Open,
            epoch: Epoch::FIRST,
            committed_end: 0,
            live_bytes: 0,
            stored_bytes: 0,
            freed: None,
        };
        *cached = Cached { stored: Some(StoredVolume { row, live_items: 0 }), changed: true };
        Ok(())
    }

    pub(super) fn seal_volume(&mut self, volume: VolumeId) -> Result<SealedEnd, Failure> {
        self.check_known(volume)?;
        let gone = || Failure::Refused(MetadataError::VolumeGone(volume));
        let epoch = self.peek(volume)?.and_then(|v| v.row.epoch.next()).ok_or_else(gone)?;
        self.change(volume, |v| {
            v.row.epoch = epoch;
            v.row.state = VolumeState::Sealed;
        })?;
        let committed_end = self.peek(volume)?.ok_or_else(gone)?.row.committed_end;
        Ok(SealedEnd { epoch, committed_end })
    }

    pub(super) fn free_volume(&mut self, volume: VolumeId, now: UnixMillis) -> Result<bool, Failure> {
        let empty = self.peek(volume)?.is_some_and(|v| {
            v.row.state == VolumeState::Sealed && v.row.live_bytes == 0 && v.live_items == 0
        });
        if !empty {
            return Ok(false);
        }
        self.change(volume, |v| {
            v.row.state = VolumeState::Freed;
            v.row.freed = Some(now);
        })
    }

    pub(super) fn forget_volume(&mut self, volume: VolumeId) -> Result<bool, Failure> {
        if !self.peek(volume)?.is_some_and(|v| v.row.state == VolumeState::Freed) {
            return Ok(false);
        }
        self.connection.prepare_cached("DELETE FROM volumes WHERE id = ?1")?.execute([volume.as_bytes()])?;
        *self.cached(volume)? = Cached::default();
        Ok(true)
    }

    pub(super) fn move_shard(&mut self, shard: &ShardMove) -> Result<bool, Failure> {
        let column = usize::from(shard.column);
        let matches = self.peek(shard.volume)?.is_some_and(|v| {
            v.row.state != VolumeState::Freed && v.row.volume.drives.get(column) == Some(&shard.from)
        });
        if !matches || self.retired_among(&[shard.to])?.is_some() {
            return Ok(false);
        }
        self.change(shard.volume, |v| {
            if let Some(drive) = v.row.volume.drives.get_mut(column) {
                *drive = shard.to;
            }
        })
    }

    pub(super) fn put_drive(&mut self, drive: &DriveRow, class: DriveClass) -> Result<(), Failure> {
        if drive.state == DriveState::Active && self.retired_among(&[drive.id])?.is_some() {
            return Err(Failure::Refused(MetadataError::DriveRetired(drive.id)));
        }
        let record = encode(drive)?;
        let hash = row_hash("drives", &[drive.id.as_bytes()], &record);
        self.connection
            .prepare_cached(
                "REPLACE INTO drives (id, slot, row_hash, record, class) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((drive.id.as_bytes(), drive.slot, hash, record, drive_class_code(class)))?;
        Ok(())
    }
}
