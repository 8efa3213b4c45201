//! Blobs and the rows that refer to them.

use granary_types::{BlobId, BucketId, ObjectKey, PartNumber, UploadId};
use rusqlite::{Connection, OptionalExtension};

use super::Batch;
use crate::model::{BlobMove, Extent, NewBlob, Outcome};
use crate::sqlite::codec::{blob, decode_checked, encode, row_hash};
use crate::sqlite::failure::Failure;

/// Who refers to a blob: a place in an object's list or a part of an upload.
pub(crate) type Referrer = [u8; 20];

/// The referrer for the blob at `index` of a version. The order is in it, so that a version that replaces another
/// and shares a blob with it holds a reference of its own.
pub(crate) fn object_referrer(bucket: BucketId, key: &ObjectKey, order: u64, index: u32) -> Referrer {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"object");
    hasher.update(bucket.as_bytes());
    hasher.update(&order.to_le_bytes());
    hasher.update(key.as_bytes());
    let mut owner = [0_u8; 16];
    hasher.finalize_xof().fill(&mut owner);
    join(owner, index)
}

/// The referrer for a part's blob.
pub(crate) fn part_referrer(upload: UploadId, number: PartNumber) -> Referrer {
    join(*upload.as_bytes(), u32::from(number.get()))
}

fn join(owner: [u8; 16], index: u32) -> Referrer {
    let mut referrer = [0_u8; 20];
    let (head, tail) = referrer.split_at_mut(16);
    head.copy_from_slice(&owner);
    tail.copy_from_slice(&index.to_be_bytes());
    referrer
}

/// The extents of a blob, if it exists.
pub(in crate::sqlite) fn load_extents(
    connection: &Connection,
    id: BlobId,
) -> Result<Option<Vec<Extent>>, Failure> {
    connection
        .prepare_cached("SELECT row_hash, record FROM blobs WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            Ok(blob(row, 0).and_then(|hash| decode_checked("blobs", &[id.as_bytes()], hash, blob(row, 1)?)))
        })
        .optional()?
        .transpose()
}

impl Batch<'_> {
    pub(super) fn blob_exists(&self, id: BlobId) -> Result<bool, Failure> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?.exists([id.as_bytes()])?)
    }

    pub(super) fn store_extents(&self, id: BlobId, extents: &[Extent]) -> Result<(), Failure> {
        let record = encode(&extents)?;
        let hash = row_hash("blobs", &[id.as_bytes()], &record);
        self.connection
            .prepare_cached("REPLACE INTO blobs (id, row_hash, record) VALUES (?1, ?2, ?3)")?
            .execute((id.as_bytes(), hash, record))?;
        Ok(())
    }

    /// Stores a blob unless it is there already (ids are never reused, so it is the same then).
    pub(super) fn add_blob(&mut self, new: &NewBlob) -> Result<(), Failure> {
        if self.blob_exists(new.id)? {
            return Ok(());
        }
        self.store_extents(new.id, &new.extents)?;
        self.add_extents(&new.extents)
    }

    pub(super) fn add_reference(&self, id: BlobId, referrer: &Referrer) -> Result<(), Failure> {
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO blob_refs (blob_id, referrer) VALUES (?1, ?2)")?
            .execute((id.as_bytes(), referrer))?;
        Ok(())
    }

    /// Hands a reference over, from a part to an object.
    pub(super) fn move_reference(&self, id: BlobId, from: &Referrer, to: &Referrer) -> Result<(), Failure> {
        let moved = self
            .connection
            .prepare_cached(
                "UPDATE OR REPLACE blob_refs SET referrer = ?3 WHERE blob_id = ?1 AND referrer = ?2",
            )?
            .execute((id.as_bytes(), from, to))?;
        if moved == 0 {
            tracing::error!(blob = %id, "a part's reference to its blob was missing");
            self.add_reference(id, to)?;
        }
        Ok(())
    }

    /// Drops a reference, and the blob with its last one.
    pub(super) fn drop_reference(&mut self, id: BlobId, referrer: &Referrer) -> Result<(), Failure> {
        let dropped = self
            .connection
            .prepare_cached("DELETE FROM blob_refs WHERE blob_id = ?1 AND referrer = ?2")?
            .execute((id.as_bytes(), referrer))?;
        if dropped == 0 {
            tracing::error!(blob = %id, "a reference to a blob was missing");
        }
        let referred = self
            .connection
            .prepare_cached("SELECT 1 FROM blob_refs WHERE blob_id = ?1 LIMIT 1")?
            .exists([id.as_bytes()])?;
        if referred {
            return Ok(());
        }
        let Some(extents) = load_extents(self.connection, id)? else { return Ok(()) };
        self.connection.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([id.as_bytes()])?;
        self.drop_extents(&extents)
    }

    pub(super) fn move_blob(&mut self, moved: &BlobMove) -> Result<Outcome, Failure> {
        match load_extents(self.connection, moved.blob)? {
            Some(extents) if extents == moved.from => {}
            _ => return Ok(Outcome::Moved),
        }
        self.store_extents(moved.blob, &moved.to)?;
        self.add_extents(&moved.to)?;
        self.drop_extents(&moved.from)?;
        Ok(Outcome::Done { replaced: None, order: 0 })
    }
}
