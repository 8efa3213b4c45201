//! Tags of versions and configurations of buckets.

use granary_types::{BucketId, ObjectKey, VersionId, WriteId};
use rusqlite::Connection;
use serde::Serialize;

use super::Batch;
use super::objects::{load_current, load_older};
use crate::model::{AclChange, BucketDocument, Outcome, RestoreChange, Tag, Tagging};
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
            drop_beside(self.connection, Beside::Tags, (*bucket, key, *write))?;
        } else {
            self.store_tags(*bucket, key, *write, tags)?;
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    pub(super) fn change_acl(&mut self, change: &AclChange) -> Result<Outcome, Failure> {
        let AclChange { bucket, key, version, write, acl } = change;
        self.change_beside(Beside::Acl, (*bucket, key), (*version, *write), acl.as_ref())
    }

    pub(super) fn restore_object(&mut self, change: &RestoreChange) -> Result<Outcome, Failure> {
        let RestoreChange { bucket, key, version, write, restored } = change;
        self.change_beside(Beside::Restore, (*bucket, key), (*version, *write), restored.as_ref())
    }

    fn change_beside<T: Serialize>(
        &mut self,
        kind: Beside,
        (bucket, key): (BucketId, &ObjectKey),
        (version, write): (VersionId, WriteId),
        value: Option<&T>,
    ) -> Result<Outcome, Failure> {
        if let Some(refused) = self.refuse_side(bucket, key, (version, write))? {
            return Ok(refused);
        }
        match value {
            Some(value) => self.store_beside(kind, (bucket, key, write), value)?,
            None => drop_beside(self.connection, kind, (bucket, key, write))?,
        }
        Ok(Outcome::Done { replaced: None, order: 0 })
    }

    /// What answers that there is no such version, or that another write made it.
    pub(super) fn refuse_side(
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

    pub(super) fn store_beside<T: Serialize>(
        &self,
        kind: Beside,
        (bucket, key, write): (BucketId, &ObjectKey, WriteId),
        value: &T,
    ) -> Result<(), Failure> {
        let table = kind.table();
        let (hash, record) = side_row(table, (bucket, key, write), value)?;
        let sql = format!(
            "REPLACE INTO {table} (bucket_id, key, write_id, row_hash, record) VALUES (?1, ?2, ?3, ?4, ?5)"
        );
        self.connection.prepare_cached(&sql)?.execute((
            bucket.as_bytes(),
            key.as_bytes(),
            write.as_bytes(),
            hash,
            record,
        ))?;
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
        if put.counts_as_change() {
            self.count_configuration_change()?;
        }
        Ok(true)
    }

    /// The configurations of a bucket go with it.
    pub(super) fn drop_documents(&self, bucket: BucketId) -> Result<(), Failure> {
        self.connection
            .prepare_cached("DELETE FROM bucket_documents WHERE bucket_id = ?1")?
            .execute([bucket.as_bytes()])?;
        self.count_configuration_change()
    }

    pub(super) fn count_configuration_change(&self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("UPDATE configuration SET generation = generation + 1 WHERE one = 1")?
            .execute([])?;
        Ok(())
    }
}

/// What there may be one of beside a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// Its tags.
    Tags,
    /// An access control list of its own.
    Acl,
    /// That it was restored.
    Restore,
}

impl Beside {
    fn table(self) -> &'static str {
        match self {
            Self::Tags => "object_tags",
            Self::Acl => "object_acls",
            Self::Restore => "object_restores",
        }
    }
}

/// What was beside a version that is gone, or has none of it any more.
pub(super) fn drop_beside(
    connection: &Connection,
    kind: Beside,
    (bucket, key, write): (BucketId, &ObjectKey, WriteId),
) -> Result<(), Failure> {
    let table = kind.table();
    let sql = format!("DELETE FROM {table} WHERE bucket_id = ?1 AND key = ?2 AND write_id = ?3");
    connection.prepare_cached(&sql)?.execute((bucket.as_bytes(), key.as_bytes(), write.as_bytes()))?;
    Ok(())
}
