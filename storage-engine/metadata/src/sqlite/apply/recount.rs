//! Counting anew what lives in each volume, and what buckets hold.

use std::collections::BTreeMap;

use granary_types::{BlobId, BucketId, VolumeId};

use super::Batch;
use super::blobs::load_extents;
use super::volumes::StoredVolume;
use crate::model::{Extent, UsageDeltas, WarmPlace, WarmRow};
use crate::sqlite::codec::{OBJECT_COLUMNS, StoredObject, blob, decode_checked, id_bytes};
use crate::sqlite::failure::Failure;

/// What was counted.
#[derive(Default)]
struct Counted {
    /// Bytes and items that live in each volume.
    volumes: BTreeMap<VolumeId, (u64, u64)>,
    /// What buckets hold.
    used: UsageDeltas,
}

fn count(counted: &mut Counted, volume: VolumeId, length_bytes: u64) {
    let (bytes, items) = counted.volumes.entry(volume).or_default();
    *bytes = bytes.saturating_add(length_bytes);
    *items = items.saturating_add(1);
}

impl Batch<'_> {
    pub(super) fn recount(&mut self) -> Result<Vec<(VolumeId, u64, u64)>, Failure> {
        self.flush_volumes()?;
        let mut counted = Counted::default();
        self.count_versions("objects", &mut counted)?;
        self.count_versions("object_versions", &mut counted)?;
        self.count_blobs(&mut counted)?;
        self.count_warm(&mut counted)?;
        self.replace_usage(counted.used)?;
        let mut drifted = Vec::new();
        for id in self.volume_ids()? {
            let Some(stored) = StoredVolume::load(self.connection, id)? else { continue };
            let (bytes, items) = counted.volumes.get(&id).copied().unwrap_or_default();
            if (stored.row.live_bytes, stored.live_items) != (bytes, items) {
                tracing::warn!(volume = %id, was = stored.row.live_bytes, is = bytes, "live bytes had drifted");
                drifted.push((id, stored.row.live_bytes, bytes));
                self.set_live(id, bytes, items)?;
            }
        }
        Ok(drifted)
    }

    fn volume_ids(&self) -> Result<Vec<VolumeId>, Failure> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM volumes ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push(VolumeId::from_bytes(id_bytes(blob(row, 0)?)?));
        }
        Ok(ids)
    }

    /// Counts the versions of a table, and, in their volumes, those that are packed.
    fn count_versions(&self, table: &str, counted: &mut Counted) -> Result<(), Failure> {
        let sql = format!("SELECT {OBJECT_COLUMNS}, bucket_id, key FROM {table}");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let bucket = BucketId::from_bytes(id_bytes(blob(row, 16)?)?);
            let stored = StoredObject::read(row, bucket, blob(row, 17)?, 0)?;
            counted.used.put(bucket, &stored.row.object);
            if let Some(location) = stored.row.object.content.packed() {
                count(counted, location.volume, u64::from(location.length_bytes));
            }
        }
        Ok(())
    }

    /// Counts the warm copies.
    fn count_warm(&self, counted: &mut Counted) -> Result<(), Failure> {
        let sql =
            "SELECT bucket_id, key, write_id, row_hash, record FROM object_warmth WHERE length_bytes > 0";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = [blob(row, 0)?, blob(row, 1)?, blob(row, 2)?];
            let warm: WarmRow = decode_checked("object_warmth", &place, blob(row, 3)?, blob(row, 4)?)?;
            for (volume, length_bytes) in warm.place.iter().flat_map(WarmPlace::live) {
                count(counted, volume, length_bytes);
            }
        }
        Ok(())
    }

    /// Counts the blobs that something refers to.
    fn count_blobs(&self, counted: &mut Counted) -> Result<(), Failure> {
        let mut statement = self.connection.prepare("SELECT DISTINCT blob_id FROM blob_refs")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id = BlobId::from_bytes(id_bytes(blob(row, 0)?)?);
            let extents: Vec<Extent> = load_extents(self.connection, id)?.unwrap_or_default();
            for extent in extents {
                count(counted, extent.volume, extent.length_bytes);
            }
        }
        Ok(())
    }
}
