//! Tags of versions and configurations of buckets.

use granary_types::{BucketId, ObjectKey, VersionId, WriteId};
use rusqlite::Connection;

use super::Batch;
use super::objects::{load_current, load_older};
use crate::model::{AclChange, BucketDocument, Outcome, Tag, Tagging};
use crate::sqlite::codec::{encode, row_hash, side_row};
use crate::sqlite::failure::Failure;

/// How many tags a row may count: far more than a frontend lets through.
pub(crate) fn tag_count(tags: &[Tag]) -> u16 {
    u16::try_from(tags.len()).unwrap_or(u16::MAX)
}

impl Batch<'_> {
    pub(super) fn tag_object(&mut self, tagging: &Tagging) -> Result<Outcome, Failure> {
        let Tagging { bucket, key, version, write, tags } = tagging;
        if let Some(refused) = self.refuse_side(*bucket, key, (*version, *write))? {
            return Ok(refused);
        }
        if tags.is_empty() {
            drop_tags(self.connection, *bucket, key, *write)?;
        } else {
            self.store_tags(*bucket, key, *write, tags)?;
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    pub(super) fn change_acl(&mut self, change: &AclChange) -> Result<Outcome, Failure> {
        let AclChange { bucket, key, version, write, acl } = change;
        if let Some(refused) = self.refuse_side(*bucket, key, (*version, *write))? {
            return Ok(refused);
        }
        match acl {
            Some(acl) => self.store_acl(*bucket, key, *write, acl)?,
            None => drop_acl(self.connection, *bucket, key, *write)?,
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    /// What answers that there is no such version, or that another write made it.
    fn refuse_side(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        (version, write): (VersionId, WriteId),
    ) -> Result<Option<Outcome>, Failure> {
        if !self.bucket_exists(bucket)? {
            return Ok(Some(Outcome::NoSuchBucket));
        }
        let current = load_current(self.connection, bucket, key)?;
        let named = match current {
            Some(current) if current.row.object.version != version => {
                load_older(self.connection, bucket, key, version)?
            }
            current => current,
        };
        let is_other = named.is_none_or(|named| named.row.object.write != write);
        Ok(is_other.then_some(Outcome::NoSuchKey))
    }

    pub(super) fn store_acl(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
        acl: &[u8],
    ) -> Result<(), Failure> {
        let (hash, record) = side_row("object_acls", (bucket, key, write), &acl)?;
        self.connection
            .prepare_cached(
                "REPLACE INTO object_acls (bucket_id, key, write_id, row_hash, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes(), hash, record))?;
        Ok(())
    }

    pub(super) fn store_tags(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        write: WriteId,
        tags: &[Tag],
    ) -> Result<(), Failure> {
        let (hash, record) = side_row("object_tags", (bucket, key, write), &tags)?;
        self.connection
            .prepare_cached(
                "REPLACE INTO object_tags (bucket_id, key, write_id, tag_count, row_hash, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes(), tag_count(tags), hash, record))?;
        Ok(())
    }

    pub(super) fn put_document(&mut self, put: &BucketDocument) -> Result<bool, Failure> {
        if !self.bucket_exists(put.bucket)? {
            return Ok(false);
        }
        let name = put.name.as_bytes();
        match &put.document {
            Some(document) => {
                let record = encode(document)?;
                let hash = row_hash("bucket_documents", &[put.bucket.as_bytes(), name], &record);
                self.connection
                    .prepare_cached(
                        "REPLACE INTO bucket_documents (bucket_id, name, row_hash, record) \
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute((put.bucket.as_bytes(), name, hash, record))?;
            }
            None => {
                self.connection
                    .prepare_cached("DELETE FROM bucket_documents WHERE bucket_id = ?1 AND name = ?2")?
                    .execute((put.bucket.as_bytes(), name))?;
            }
        }
        self.count_configuration_change()?;
        Ok(true)
    }

    /// The configurations of a bucket go with it.
    pub(super) fn drop_documents(&self, bucket: BucketId) -> Result<(), Failure> {
        self.connection
            .prepare_cached("DELETE FROM bucket_documents WHERE bucket_id = ?1")?
            .execute([bucket.as_bytes()])?;
        self.count_configuration_change()
    }

    fn count_configuration_change(&self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("UPDATE configuration SET generation = generation + 1 WHERE one = 1")?
            .execute([])?;
        Ok(())
    }
}

/// The tags of a version that is gone, or has none any more.
pub(super) fn drop_tags(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    write: WriteId,
) -> Result<(), Failure> {
    connection
        .prepare_cached("DELETE FROM object_tags WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3")?
        .execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes()))?;
    Ok(())
}

/// The access control list of a version that is gone, or has none of its own any more.
pub(super) fn drop_acl(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    write: WriteId,
) -> Result<(), Failure> {
    connection
        .prepare_cached("DELETE FROM object_acls WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3")?
        .execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes()))?;
    Ok(())
}
