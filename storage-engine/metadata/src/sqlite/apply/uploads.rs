//! Multipart uploads.

use std::collections::HashMap;

use granary_types::{BlobId, BucketId, Checksum, Etag, ObjectKey, PartNumber, UnixMillis, UploadId, WriteId};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::Batch;
use super::blobs::{object_referrer, part_referrer};
use super::commit::refused;
use super::objects::{load_current, next_order};
use crate::model::{CompleteUpload, NewUpload, ObjectLock, Outcome, PartRow, PutPart, ReferPart, fits};
use crate::sqlite::codec::{blob, decode_checked, encode, row_hash};
use crate::sqlite::failure::Failure;

const DONE: Outcome = Outcome::Done { replaced: None, order: 0 };

/// A part as stored under its upload and number.
#[derive(Serialize, Deserialize)]
pub(crate) struct PartRecord {
    write: WriteId,
    modified: UnixMillis,
    length_bytes: u64,
    etag: Etag,
    checksum: Option<Checksum>,
    blob: BlobId,
}

impl PartRecord {
    pub(crate) fn of(part: &PartRow) -> Self {
        Self {
            write: part.write,
            modified: part.modified,
            length_bytes: part.length_bytes,
            etag: part.etag.clone(),
            checksum: part.checksum.clone(),
            blob: part.blob,
        }
    }

    /// The part of that number.
    pub(crate) fn numbered(self, number: u16) -> Result<PartRow, Failure> {
        let number = PartNumber::new(u32::from(number))
            .map_err(|_| Failure::Corrupt(format!("stored part number {number}")))?;
        Ok(PartRow {
            number,
            write: self.write,
            modified: self.modified,
            length_bytes: self.length_bytes,
            etag: self.etag,
            checksum: self.checksum,
            blob: self.blob,
        })
    }
}

/// Decodes a row selected as `number, row_hash, record`.
pub(in crate::sqlite) fn read_part(upload: UploadId, row: &Row<'_>) -> Result<PartRow, Failure> {
    let number: u16 = row.get(0)?;
    let record: PartRecord =
        decode_checked("parts", &[upload.as_bytes(), &number.to_be_bytes()], blob(row, 1)?, blob(row, 2)?)?;
    record.numbered(number)
}

/// Decodes an upload selected as `row_hash, record` from column `first` on.
pub(in crate::sqlite) fn read_upload(
    upload: &[u8],
    row: &Row<'_>,
    first: usize,
) -> Result<NewUpload, Failure> {
    decode_checked("uploads", &[upload], blob(row, first)?, blob(row, first.saturating_add(1))?)
}

/// The upload, if it is in progress for that key.
pub(in crate::sqlite) fn load_upload(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
    upload: UploadId,
) -> Result<Option<NewUpload>, Failure> {
    let found = connection
        .prepare_cached("SELECT row_hash, record FROM uploads WHERE upload_id = ?1")?
        .query_row([upload.as_bytes()], |row| Ok(read_upload(upload.as_bytes(), row, 0)))
        .optional()?
        .transpose()?;
    Ok(found.filter(|row| row.bucket == bucket && row.key == *key))
}

impl Batch<'_> {
    fn upload_exists(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<bool, Failure> {
        Ok(self
            .connection
            .prepare_cached("SELECT 1 FROM uploads WHERE upload_id = ?1 AND bucket_id = ?2 AND key = ?3")?
            .exists((upload.as_bytes(), bucket.as_bytes(), key.as_bytes()))?)
    }

    fn part(&self, upload: UploadId, number: PartNumber) -> Result<Option<PartRow>, Failure> {
        self.connection
            .prepare_cached(
                "SELECT number, row_hash, record FROM parts WHERE upload_id = ?1 AND number = ?2",
            )?
            .query_row((upload.as_bytes(), number.get()), |row| Ok(read_part(upload, row)))
            .optional()?
            .transpose()
    }

    fn all_parts(&self, upload: UploadId) -> Result<Vec<PartRow>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, row_hash, record FROM parts WHERE upload_id = ?1 ORDER BY number",
        )?;
        let mut rows = statement.query([upload.as_bytes()])?;
        let mut parts = Vec::new();
        while let Some(row) = rows.next()? {
            parts.push(read_part(upload, row)?);
        }
        Ok(parts)
    }

    pub(super) fn create_upload(&mut self, new: &NewUpload) -> Result<Outcome, Failure> {
        if !self.bucket_exists(new.bucket)? {
            return Ok(Outcome::NoSuchBucket);
        }
        let record = encode(new)?;
        let hash = row_hash("uploads", &[new.upload.as_bytes()], &record);
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO uploads (bucket_id, key, initiated_ms, upload_id, row_hash, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                new.bucket.as_bytes(),
                new.key.as_bytes(),
                new.initiated.0,
                new.upload.as_bytes(),
                hash,
                record,
            ))?;
        Ok(DONE)
    }

    pub(super) fn put_part(&mut self, part: &PutPart) -> Result<Outcome, Failure> {
        if let Some(refused) = self.refuses_part(part.bucket, &part.key, part.upload)? {
            return Ok(refused);
        }
        self.add_blob(&part.blob)?;
        self.store_part(part.bucket, part.upload, &part.row())
    }

    pub(super) fn refer_part(&mut self, refer: &ReferPart) -> Result<Outcome, Failure> {
        if let Some(refused) = self.refuses_part(refer.bucket, &refer.key, refer.upload)? {
            return Ok(refused);
        }
        if !self.blob_exists(refer.part.blob)? {
            return Ok(Outcome::Moved);
        }
        self.store_part(refer.bucket, refer.upload, &refer.part)
    }

    fn refuses_part(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<Option<Outcome>, Failure> {
        if !self.bucket_exists(bucket)? {
            return Ok(Some(Outcome::NoSuchBucket));
        }
        Ok((!self.upload_exists(bucket, key, upload)?).then_some(Outcome::NoSuchUpload))
    }

    /// Stores a part whose blob is there, in place of the one of its number.
    fn store_part(&mut self, bucket: BucketId, upload: UploadId, part: &PartRow) -> Result<Outcome, Failure> {
        let old = self.part(upload, part.number)?;
        let referrer = part_referrer(upload, part.number);
        self.add_reference(part.blob, &referrer)?;
        let record = encode(&PartRecord::of(part))?;
        let number = part.number.get();
        let hash = row_hash("parts", &[upload.as_bytes(), &number.to_be_bytes()], &record);
        self.connection
            .prepare_cached(
                "REPLACE INTO parts (upload_id, number, row_hash, record) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((upload.as_bytes(), number, hash, record))?;
        self.used.part_put(bucket, part.length_bytes);
        if let Some(old) = &old {
            self.used.part_gone(bucket, old.length_bytes);
        }
        // The same part written again by the same request still refers to the same blob.
        if let Some(old) = old.filter(|old| old.blob != part.blob) {
            self.drop_reference(old.blob, &referrer)?;
        }
        Ok(DONE)
    }

    pub(super) fn complete_upload(&mut self, complete: &CompleteUpload) -> Result<Outcome, Failure> {
        let (bucket, key, upload) = (complete.bucket, &complete.key, complete.upload);
        let Some(settings) = self.bucket_settings(bucket)? else { return Ok(Outcome::NoSuchBucket) };
        if !self.upload_exists(bucket, key, upload)? {
            return Ok(Outcome::NoSuchUpload);
        }
        if !fits(settings, complete.object.version) {
            return Ok(Outcome::VersioningChanged);
        }
        let mut stored: HashMap<_, _> =
            self.all_parts(upload)?.into_iter().map(|part| (part.number, part)).collect();
        if let Some(number) = unfit_part(complete, &stored) {
            return Ok(Outcome::InvalidPart(number));
        }
        let current = load_current(self.connection, bucket, key)?;
        if let Some(outcome) = refused(&complete.conditions, current.as_ref().map(|stored| &stored.row)) {
            return Ok(outcome);
        }
        if self.replaces_locked(bucket, key, current.as_ref(), &complete.object)? {
            return Ok(Outcome::Locked);
        }
        for part in stored.values() {
            self.used.part_gone(bucket, part.length_bytes);
        }
        let order = next_order(current.as_ref());
        for (index, (number, _)) in (0_u32..).zip(&complete.parts) {
            if let Some(part) = stored.remove(number) {
                let to = object_referrer(bucket, key, order, index);
                self.move_reference(part.blob, &part_referrer(upload, *number), &to)?;
            }
        }
        self.forget_upload(upload, stored.into_values().collect())?;
        let lock = ObjectLock::by_default(settings, &complete.object);
        let replaced = self.place(bucket, key, current, (&complete.object, lock))?;
        Ok(Outcome::Done { replaced: replaced.map(Box::new), order })
    }

    pub(super) fn abort_upload(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<Outcome, Failure> {
        if !self.bucket_exists(bucket)? {
            return Ok(Outcome::NoSuchBucket);
        }
        if !self.upload_exists(bucket, key, upload)? {
            return Ok(Outcome::NoSuchUpload);
        }
        let parts = self.all_parts(upload)?;
        for part in &parts {
            self.used.part_gone(bucket, part.length_bytes);
        }
        self.forget_upload(upload, parts)?;
        Ok(DONE)
    }

    /// Removes the upload and all its part rows; `dropped` are the parts whose blobs nothing took over.
    fn forget_upload(&mut self, upload: UploadId, mut dropped: Vec<PartRow>) -> Result<(), Failure> {
        dropped.sort_unstable_by_key(|part| part.number);
        for part in dropped {
            self.drop_reference(part.blob, &part_referrer(upload, part.number))?;
        }
        self.connection
            .prepare_cached("DELETE FROM parts WHERE upload_id = ?1")?
            .execute([upload.as_bytes()])?;
        self.connection
            .prepare_cached("DELETE FROM uploads WHERE upload_id = ?1")?
            .execute([upload.as_bytes()])?;
        Ok(())
    }
}

/// The first part of the completion that is not there as it was checked.
pub(crate) fn unfit_part(
    complete: &CompleteUpload,
    stored: &HashMap<PartNumber, PartRow>,
) -> Option<PartNumber> {
    let Some((parts, _)) = complete.object.content.blobs() else {
        return complete.parts.first().map(|(number, _)| *number);
    };
    let mut content = parts.iter();
    let mut previous = None;
    for (number, write) in &complete.parts {
        let blob = content.next().map(|part| part.blob);
        let fits = stored.get(number).is_some_and(|part| part.write == *write && Some(part.blob) == blob);
        // A part named twice would hand its one reference over twice.
        if !fits || previous.is_some_and(|previous| previous >= *number) {
            return Some(*number);
        }
        previous = Some(*number);
    }
    content.next().map(|part| part.number)
}
