//! Buckets.

use granary_types::{BucketId, BucketName};
use rusqlite::OptionalExtension;

use super::Batch;
use crate::error::MetadataError;
use crate::model::{Bucket, BucketChange, BucketSettings, NewBucket};
use crate::sqlite::codec::{blob, decode_checked, encode, id_bytes, row_hash};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    pub(super) fn create_bucket(&mut self, bucket: &NewBucket) -> Result<(), Failure> {
        let name = bucket.name.as_str().as_bytes();
        let taken = self
            .connection
            .prepare_cached("SELECT 1 FROM buckets WHERE name = ?1 OR id = ?2")?
            .exists((name, bucket.id.as_bytes()))?;
        if taken {
            return Err(Failure::Refused(MetadataError::BucketExists(bucket.name.clone())));
        }
        let record = encode(bucket)?;
        let hash = row_hash("buckets", &[name], &record);
        self.connection
            .prepare_cached("INSERT INTO buckets (name, id, record, row_hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute((name, bucket.id.as_bytes(), record, hash))?;
        self.buckets.insert(bucket.id, Some(bucket.settings));
        Ok(())
    }

    pub(super) fn delete_bucket(&mut self, name: &BucketName) -> Result<(), Failure> {
        let id = self
            .connection
            .prepare_cached("SELECT id FROM buckets WHERE name = ?1")?
            .query_row([name.as_str().as_bytes()], |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let Some(id) = id else {
            return Err(Failure::Refused(MetadataError::NoSuchBucket(name.clone())));
        };
        let id = BucketId::from_bytes(id_bytes(&id)?);
        let used: bool = self
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket_id = ?1) \
                 OR EXISTS (SELECT 1 FROM object_versions WHERE bucket_id = ?1) \
                 OR EXISTS (SELECT 1 FROM uploads WHERE bucket_id = ?1)",
            )?
            .query_row([id.as_bytes()], |row| row.get(0))?;
        if used {
            return Err(Failure::Refused(MetadataError::BucketNotEmpty(name.clone())));
        }
        self.connection
            .prepare_cached("DELETE FROM buckets WHERE name = ?1")?
            .execute([name.as_str().as_bytes()])?;
        self.drop_documents(id)?;
        self.drop_usage(id)?;
        self.buckets.insert(id, None);
        Ok(())
    }

    pub(super) fn change_bucket(&mut self, name: &BucketName, change: BucketChange) -> Result<(), Failure> {
        let key = name.as_str().as_bytes();
        let found: Option<Bucket> = self
            .connection
            .prepare_cached("SELECT row_hash, record FROM buckets WHERE name = ?1")?
            .query_row([key], |row| {
                Ok(blob(row, 0).and_then(|hash| decode_checked("buckets", &[key], hash, blob(row, 1)?)))
            })
            .optional()?
            .transpose()?;
        let mut bucket = found.ok_or_else(|| Failure::Refused(MetadataError::NoSuchBucket(name.clone())))?;
        bucket.settings = bucket
            .settings
            .changed(change)
            .ok_or_else(|| Failure::Refused(MetadataError::BucketSettings(name.clone())))?;
        let record = encode(&bucket)?;
        let hash = row_hash("buckets", &[key], &record);
        self.connection
            .prepare_cached("UPDATE buckets SET record = ?2, row_hash = ?3 WHERE name = ?1")?
            .execute((key, record, hash))?;
        self.buckets.insert(bucket.id, Some(bucket.settings));
        self.count_configuration_change()
    }

    /// Whether the bucket exists now.
    pub(super) fn bucket_exists(&mut self, bucket: BucketId) -> Result<bool, Failure> {
        Ok(self.bucket_settings(bucket)?.is_some())
    }

    /// The settings of the bucket, if it exists now.
    pub(super) fn bucket_settings(&mut self, id: BucketId) -> Result<Option<BucketSettings>, Failure> {
        if let Some(known) = self.buckets.get(&id) {
            return Ok(*known);
        }
        let found: Option<Bucket> = self
            .connection
            .prepare_cached("SELECT name, row_hash, record FROM buckets WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| {
                let decode = |name| decode_checked("buckets", &[name], blob(row, 1)?, blob(row, 2)?);
                Ok(blob(row, 0).and_then(decode))
            })
            .optional()?
            .transpose()?;
        let settings = found.map(|bucket| bucket.settings);
        self.buckets.insert(id, settings);
        Ok(settings)
    }
}
