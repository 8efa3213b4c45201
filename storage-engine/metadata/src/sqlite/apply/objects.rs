//! Versions of objects.

use std::collections::HashSet;

use granary_types::{BucketId, ObjectKey, VersionId};
use rusqlite::{Connection, OptionalExtension};

use super::Batch;
use super::blobs::object_referrer;
use super::commit::refused;
use super::side::{Beside, drop_beside};
use crate::model::{
    BucketSettings, DeleteObject, EraseTerms, NewObject, ObjectLock, ObjectMove, ObjectRow, Outcome, PartRef,
    PutObject, RemoveObject, Versioning, fits,
};
use crate::sqlite::codec::{ObjectColumns, StoredObject};
use crate::sqlite::failure::Failure;

const SELECT_CURRENT: &str = "SELECT kind, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, \
     checksum_kind, version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, legal_hold, row_hash, record, \
     (SELECT tag_count FROM object_tags t WHERE t.bucket_id = objects.bucket_id AND t.key = objects.key \
     AND t.write_id = objects.write_id) \
     FROM objects WHERE bucket_id = ?1 AND key = ?2";
const SELECT_VERSION: &str = "SELECT kind, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, \
     checksum_kind, version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, legal_hold, row_hash, record, \
     (SELECT tag_count FROM object_tags t WHERE t.bucket_id = object_versions.bucket_id AND t.key = object_versions.key \
     AND t.write_id = object_versions.write_id) \
     FROM object_versions WHERE bucket_id = ?1 AND key = ?2 AND version_id = ?3";
const SELECT_NEWEST_OLDER: &str = "SELECT kind, length_bytes, modified_ms, etag, storage_class, \
     checksum_algorithm, checksum_kind, version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, legal_hold, \
     row_hash, record FROM object_versions WHERE bucket_id = ?1 AND key = ?2 ORDER BY ord DESC LIMIT 1";
pub(super) const REPLACE_CURRENT: &str = "REPLACE INTO objects (bucket_id, key, kind, length_bytes, modified_ms, etag, \
     storage_class, checksum_algorithm, checksum_kind, version_id, ord, top_ord, write_id, lock_mode, \
     lock_until_ms, legal_hold, row_hash, record) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
/// The row goes with its hash, which vouches for the same columns in either table.
const KEEP_CURRENT: &str = "REPLACE INTO object_versions (bucket_id, key, kind, length_bytes, modified_ms, etag, \
     storage_class, checksum_algorithm, checksum_kind, version_id, ord, top_ord, write_id, lock_mode, \
     lock_until_ms, legal_hold, row_hash, record) \
     SELECT bucket_id, key, kind, length_bytes, modified_ms, etag, storage_class, checksum_algorithm, checksum_kind, \
     version_id, ord, top_ord, write_id, lock_mode, lock_until_ms, legal_hold, row_hash, record \
     FROM objects WHERE bucket_id = ?1 AND key = ?2";
pub(super) const REPLACE_VERSION: &str = "REPLACE INTO object_versions (bucket_id, key, kind, length_bytes, modified_ms, etag, \
     storage_class, checksum_algorithm, checksum_kind, version_id, ord, top_ord, write_id, lock_mode, \
     lock_until_ms, legal_hold, row_hash, record) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// The current version of a key.
pub(in crate::sqlite) fn load_current(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<Option<StoredObject>, Failure> {
    connection
        .prepare_cached(SELECT_CURRENT)?
        .query_row((bucket.as_bytes(), key.as_bytes()), |row| {
            Ok(StoredObject::read_with_tags(row, bucket, key.as_bytes()))
        })
        .optional()?
        .transpose()
}

/// An older version of a key.
pub(in crate::sqlite) fn load_older(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    version: VersionId,
) -> Result<Option<StoredObject>, Failure> {
    connection
        .prepare_cached(SELECT_VERSION)?
        .query_row((bucket.as_bytes(), key.as_bytes(), version.as_bytes()), |row| {
            Ok(StoredObject::read_with_tags(row, bucket, key.as_bytes()))
        })
        .optional()?
        .transpose()
}

pub(super) fn load_newest_older(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<Option<StoredObject>, Failure> {
    connection
        .prepare_cached(SELECT_NEWEST_OLDER)?
        .query_row((bucket.as_bytes(), key.as_bytes()), |row| {
            Ok(StoredObject::read(row, bucket, key.as_bytes(), 0))
        })
        .optional()?
        .transpose()
}

pub(super) fn store(
    connection: &Connection,
    statement: &str,
    bucket: BucketId,
    key: &ObjectKey,
    columns: &ObjectColumns<'_>,
) -> Result<(), Failure> {
    use crate::sqlite::codec::{class_code, version_kind_code};
    let object = columns.object;
    connection.prepare_cached(statement)?.execute(rusqlite::params![
        bucket.as_bytes(),
        key.as_bytes(),
        version_kind_code(object.kind),
        object.length_bytes.cast_signed(),
        object.modified.0,
        object.etag.as_str(),
        class_code(object.storage_class),
        columns.algorithm(),
        columns.kind(),
        object.version.as_bytes(),
        columns.order.cast_signed(),
        columns.top_order.cast_signed(),
        object.write.as_bytes(),
        columns.lock.mode,
        columns.lock.until_ms,
        columns.lock.legal_hold,
        columns.hash,
        columns.record,
    ])?;
    Ok(())
}

pub(crate) fn parts_of(object: &NewObject) -> &[PartRef] {
    object.content.parts()
}

impl Batch<'_> {
    pub(super) fn put_object(&mut self, put: &PutObject) -> Result<Outcome, Failure> {
        let Some(settings) = self.bucket_settings(put.bucket)? else { return Ok(Outcome::NoSuchBucket) };
        if !fits(settings, put.object.version) {
            return Ok(Outcome::VersioningChanged);
        }
        let current = load_current(self.connection, put.bucket, &put.key)?;
        if let Some(outcome) = refused(&put.conditions, current.as_ref().map(|stored| &stored.row)) {
            return Ok(outcome);
        }
        if self.replaces_locked(put.bucket, &put.key, current.as_ref(), &put.object)? {
            return Ok(Outcome::Locked);
        }
        let parts = parts_of(&put.object);
        let new: HashSet<_> = put.blobs.iter().map(|blob| blob.id).collect();
        for part in parts.iter().filter(|part| !new.contains(&part.blob)) {
            if !self.blob_exists(part.blob)? {
                return Ok(Outcome::Moved);
            }
        }
        let used: HashSet<_> = parts.iter().map(|part| part.blob).collect();
        for blob in put.blobs.iter().filter(|blob| used.contains(&blob.id)) {
            self.add_blob(blob)?;
        }
        let order = next_order(current.as_ref());
        for (index, part) in (0_u32..).zip(parts) {
            self.add_reference(part.blob, &object_referrer(put.bucket, &put.key, order, index))?;
        }
        let lock = ObjectLock::by_default(settings, &put.object);
        let replaced = self.place(put.bucket, &put.key, current, (&put.object, lock))?;
        Ok(Outcome::Done { replaced: replaced.map(Box::new), order })
    }

    /// Makes `object`, whose blobs are stored and referred to, the current version. Returns the version it replaced.
    pub(super) fn place(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        current: Option<StoredObject>,
        (object, lock): (&NewObject, ObjectLock),
    ) -> Result<Option<ObjectRow>, Failure> {
        let order = next_order(current.as_ref());
        let replaced = match current {
            Some(current) if current.row.object.version == object.version => Some(current.row),
            Some(_) => {
                let same = load_older(self.connection, bucket, key, object.version)?;
                if let Some(same) = &same {
                    self.delete_older(bucket, key, same.row.order)?;
                }
                self.connection.prepare_cached(KEEP_CURRENT)?.execute((bucket.as_bytes(), key.as_bytes()))?;
                same.map(|same| same.row)
            }
            None => None,
        };
        let columns = ObjectColumns::new(bucket, key, object, (order, order), lock)?;
        store(self.connection, REPLACE_CURRENT, bucket, key, &columns)?;
        self.used.put(bucket, object);
        if let Some(location) = object.content.packed() {
            self.add_live(location.volume, u64::from(location.length_bytes))?;
        }
        if let Some(row) = &replaced {
            self.drop_content(bucket, key, row)?;
        }
        Ok(replaced)
    }

    pub(super) fn delete_older(&self, bucket: BucketId, key: &ObjectKey, order: u64) -> Result<(), Failure> {
        self.connection
            .prepare_cached("DELETE FROM object_versions WHERE bucket_id = ?1 AND key = ?2 AND ord = ?3")?
            .execute((bucket.as_bytes(), key.as_bytes(), order.cast_signed()))?;
        Ok(())
    }

    /// The tags and the list of a version that is gone go too; its bytes are garbage, unless something else refers to them.
    pub(super) fn drop_content(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        row: &ObjectRow,
    ) -> Result<(), Failure> {
        self.used.gone(bucket, &row.object);
        if let Some(location) = row.object.content.packed() {
            self.drop_live(location.volume, u64::from(location.length_bytes))?;
        }
        for (index, part) in (0_u32..).zip(parts_of(&row.object)) {
            self.drop_reference(part.blob, &object_referrer(bucket, key, row.order, index))?;
        }
        let place = (bucket, key, row.object.write);
        if row.object.storage_class.is_archive() {
            drop_beside(self.connection, Beside::Restore, place)?;
        }
        drop_beside(self.connection, Beside::Acl, place)?;
        drop_beside(self.connection, Beside::Tags, place)
    }

    pub(super) fn delete_object(
        &mut self,
        delete: &DeleteObject,
        terms: &EraseTerms,
    ) -> Result<Outcome, Failure> {
        let (bucket, key) = (delete.bucket, &delete.key);
        if !self.bucket_exists(bucket)? {
            return Ok(Outcome::NoSuchBucket);
        }
        let current = load_current(self.connection, bucket, key)?;
        if let Some(outcome) = refused(&delete.conditions, current.as_ref().map(|stored| &stored.row)) {
            return Ok(outcome);
        }
        let top_order = current.as_ref().map_or(0, |stored| stored.top_order);
        let (is_current, named) = match current {
            Some(current) if current.row.object.version == delete.version => (true, Some(current)),
            Some(_) => (false, load_older(self.connection, bucket, key, delete.version)?),
            None => (false, None),
        };
        if let Some(outcome) = self.withheld(bucket, key, named.as_ref(), is_current, terms)? {
            return Ok(outcome);
        }
        let Some(StoredObject { row, .. }) = named else {
            return Ok(Outcome::Done { replaced: None, order: 0 });
        };
        if is_current {
            self.delete_current(bucket, key, top_order)?;
        } else {
            self.delete_older(bucket, key, row.order)?;
        }
        self.drop_content(bucket, key, &row)?;
        Ok(Outcome::Done { replaced: Some(Box::new(row)), order: 0 })
    }

    /// Deletes the key for good or by a delete marker, as the bucket's versioning says.
    pub(super) fn remove_object(&mut self, remove: &RemoveObject) -> Result<Outcome, Failure> {
        let (bucket, key) = (remove.bucket, &remove.key);
        let Some(settings) = self.bucket_settings(bucket)? else { return Ok(Outcome::NoSuchBucket) };
        let Some(version) = marker_version(settings, remove.version) else {
            return self.delete_object(&remove.null(), &EraseTerms::at(remove.modified));
        };
        let current = load_current(self.connection, bucket, key)?;
        if let Some(outcome) = refused(&remove.conditions, current.as_ref().map(|stored| &stored.row)) {
            return Ok(outcome);
        }
        let marker = remove.marker(version);
        if self.replaces_locked(bucket, key, current.as_ref(), &marker)? {
            return Ok(Outcome::Locked);
        }
        let order = next_order(current.as_ref());
        self.place(bucket, key, current, (&marker, ObjectLock::default()))?;
        Ok(Outcome::Marked { version, order })
    }

    /// Removes the current version; the newest older one takes its place and remembers the highest order.
    pub(super) fn delete_current(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        top_order: u64,
    ) -> Result<(), Failure> {
        let Some(older) = load_newest_older(self.connection, bucket, key)? else {
            self.connection
                .prepare_cached("DELETE FROM objects WHERE bucket_id = ?1 AND key = ?2")?
                .execute((bucket.as_bytes(), key.as_bytes()))?;
            return Ok(());
        };
        let row = &older.row;
        let columns = ObjectColumns::new(bucket, key, &row.object, (row.order, top_order), row.lock)?;
        store(self.connection, REPLACE_CURRENT, bucket, key, &columns)?;
        self.delete_older(bucket, key, row.order)
    }

    pub(super) fn move_object(&mut self, moved: &ObjectMove) -> Result<Outcome, Failure> {
        let (bucket, key) = (moved.bucket, &moved.key);
        let Some((statement, mut stored)) = self.version(bucket, key, moved.version)? else {
            return Ok(Outcome::Moved);
        };
        match stored.row.object.content.packed_mut() {
            Some(location) if *location == moved.from => *location = moved.to.clone(),
            _ => return Ok(Outcome::Moved),
        }
        let row = &stored.row;
        let columns = ObjectColumns::new(bucket, key, &row.object, (row.order, stored.top_order), row.lock)?;
        store(self.connection, statement, bucket, key, &columns)?;
        self.add_live(moved.to.volume, u64::from(moved.to.length_bytes))?;
        self.drop_live(moved.from.volume, u64::from(moved.from.length_bytes))?;
        Ok(Outcome::Done { replaced: None, order: 0 })
    }
}

/// The version of a delete marker, or `None` where deletes are for good.
pub(crate) fn marker_version(settings: BucketSettings, enabled: VersionId) -> Option<VersionId> {
    match settings.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(enabled),
        Versioning::Suspended => Some(VersionId::NULL),
    }
}

/// The order the next version of the key gets.
pub(crate) fn next_order(current: Option<&StoredObject>) -> u64 {
    current.map_or(1, |stored| stored.top_order.saturating_add(1))
}
