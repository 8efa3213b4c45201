//! Multipart uploads. A part is a blob; completing an upload makes an object that refers to the blobs of its
//! parts and moves no data.

use std::collections::HashMap;

use granary_keys::CustomerKey;
use granary_keys::units::StreamId;
use granary_metadata::{
    Commit, CompleteUpload, Content, NewBlob, NewObject, NewUpload, Outcome, PartQuery, PartRef, PartRow,
    PutPart, UploadQuery, UploadRow, VersionKind, Write,
};
use granary_types::{
    BlobId, BucketId, BucketName, ObjectKey, PartNumber, UnixMillis, UploadId, VersionId, WriteId,
    crash_point,
};

use crate::acls::{acl_write, keep_upload_acl, take_upload_acl};
use crate::api::{
    CompleteOptions, ListUploadsOptions, PutSource, UploadInfo, UploadOptions, UploadPage, UploadedPart,
    UploadedPartPage, Written,
};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::events::{EventKind, Subject};
use crate::locks::{check_bucket, keep_upload_lock, lock_write, take_upload_lock};
use crate::objects::{VERSIONING_TRIES_MAX, first, new_version, written};
use crate::quota::Amount;
use crate::receive::{Received, Small, Stored};
use crate::record::{BlobRecord, ObjectRecord};
use crate::sealing::{
    EncryptionInfo, check_customer_key, data_key, keep_upload_seal, new_seal, shown_etag, take_upload_seal,
    upload_seal,
};
use crate::tags::{keep_upload_tags, tag_write, take_upload_tags};
use crate::told::Told;
use crate::write::Recorded;

const PARTS_PAGE: u32 = 1000;

impl Engine {
    /// Begins an upload; also tells how the object to be is encrypted.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoDrivesForClass`].
    pub async fn create_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: UploadOptions,
    ) -> Result<(UploadId, Option<EncryptionInfo>)> {
        // The drives it needs are there, or no part is taken.
        self.inner.pool.tiers.for_writing(options.storage_class)?;
        let upload = UploadId::random().map_err(EngineError::drawing)?;
        let mut attributes = options.attributes;
        keep_upload_tags(&mut attributes, options.tags);
        keep_upload_lock(&mut attributes, options.lock);
        keep_upload_acl(&mut attributes, options.acl);
        let found = self.bucket(bucket).await?;
        check_bucket(&found, options.lock)?;
        // An upload that could not be completed is better refused now.
        drop(self.room(&found, Amount { bytes: 0, objects: 1 }).await?);
        // The data key itself is asked for again with each part.
        let seal = new_seal(self.keys(), &options.encryption)?.map(|(seal, _)| seal);
        keep_upload_seal(&mut attributes, seal.as_ref())?;
        let row = NewUpload {
            bucket: found.id,
            key: key.clone(),
            upload,
            initiated: UnixMillis::now(),
            owner: options.owner,
            storage_class: options.storage_class,
            attributes,
            checksum: options.checksum,
        };
        let commit = Commit { advances: Vec::new(), writes: vec![Write::CreateUpload(Box::new(row))] };
        let outcome = self.commit_one(commit).await?;
        self.accepted(bucket, &outcome)?;
        Ok((upload, seal.as_ref().map(EncryptionInfo::from)))
    }

    /// An upload in progress.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchUpload`].
    pub async fn upload(&self, bucket: &BucketName, key: &ObjectKey, upload: UploadId) -> Result<UploadInfo> {
        let row = self.upload_row(self.bucket(bucket).await?.id, key, upload).await?;
        Ok(UploadInfo {
            initiated: row.initiated,
            owner: row.owner,
            storage_class: row.storage_class,
            checksum: row.checksum,
            encryption: upload_seal(&row.attributes)?.as_ref().map(EncryptionInfo::from),
        })
    }

    /// Refuses a customer's key that is not the one of the upload.
    ///
    /// # Errors
    /// [`EngineError::WrongCustomerKey`], [`EngineError::CustomerKeyUnfit`], [`EngineError::NoSuchUpload`].
    pub async fn check_upload_key(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
        customer: &CustomerKey,
    ) -> Result<()> {
        let row = self.upload_row(self.bucket(bucket).await?.id, key, upload).await?;
        match upload_seal(&row.attributes)? {
            Some(seal) => data_key(self.keys(), &seal, Some(customer)).map(drop),
            None => Err(EngineError::CustomerKeyUnfit),
        }
    }

    async fn upload_row(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<UploadRow> {
        self.inner.store.upload(bucket, key, upload).await?.ok_or(EngineError::NoSuchUpload)
    }

    /// An upload in progress whose parts are kept as they come.
    pub(crate) async fn unsealed_upload(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<()> {
        match upload_seal(&self.upload_row(bucket, key, upload).await?.attributes)? {
            None => Ok(()),
            Some(_) => Err(EngineError::Internal("a part of an encrypted upload was to share its bytes")),
        }
    }

    /// Stores a part, in place of an earlier one of the same number. `customer` is the key of an upload that is encrypted
    /// with one.
    ///
    /// # Errors
    /// [`EngineError::NoSuchUpload`], [`EngineError::WrongCustomerKey`], [`EngineError::Source`], [`EngineError::NoSpace`], …
    pub async fn put_part(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        (upload, number): (UploadId, PartNumber),
        customer: Option<&CustomerKey>,
        source: &mut dyn PutSource,
    ) -> Result<UploadedPart> {
        let found = self.bucket(bucket).await?;
        let id = found.id;
        let row = self.upload_row(id, key, upload).await?;
        let tier = self.inner.pool.tiers.for_writing(row.storage_class)?;
        let seal = upload_seal(&row.attributes)?;
        check_customer_key(seal.as_ref(), customer)?;
        let data = seal.as_ref().map(|seal| data_key(self.keys(), seal, customer)).transpose()?;
        let announced = source.length_hint_bytes().unwrap_or(0);
        let mut room = self.room(&found, Amount { bytes: announced, objects: 0 }).await?;
        let blob_id = BlobId::random().map_err(EngineError::drawing)?;
        let sealing = data.as_ref().map(|data| (data, StreamId::Part(blob_id)));
        let record = BlobRecord {
            bucket: id,
            key: key.clone(),
            version: VersionId::NULL,
            part: Some((upload, number)),
        };
        let received = self.receive(source, &record, (Small::Blob(blob_id), tier), sealing).await?;
        let Received { stored, digests, length_bytes } = received;
        room.grow_to(length_bytes).await?;
        let (blob, advances, volumes) = match stored {
            Stored::Blob(blob) => {
                (NewBlob { id: blob.id, extents: blob.extents }, blob.advances, blob.volumes)
            }
            Stored::Empty => (NewBlob { id: blob_id, extents: Vec::new() }, Vec::new(), Vec::new()),
            Stored::Small(..) => return Err(EngineError::Internal("a part was kept to be packed")),
        };
        let part = UploadedPart {
            number,
            write: WriteId::random().map_err(EngineError::drawing)?,
            modified: UnixMillis::now(),
            length_bytes,
            etag: shown_etag(seal.as_ref().zip(data.as_ref()), &digests, length_bytes)?,
            checksum: digests.checksum,
        };
        let write = Write::PutPart(Box::new(PutPart {
            bucket: id,
            key: key.clone(),
            upload,
            number,
            write: part.write,
            modified: part.modified,
            length_bytes,
            etag: part.etag.clone(),
            checksum: part.checksum.clone(),
            blob,
        }));
        let outcome = self.commit_one(Commit { advances, writes: vec![write] }).await?;
        crash_point("part.after_commit_before_ack");
        drop(volumes);
        self.accepted(bucket, &outcome)?;
        Ok(part)
    }

    /// Parts of an upload by number.
    ///
    /// # Errors
    /// [`EngineError::NoSuchUpload`].
    pub async fn uploaded_parts(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
        after: u16,
        limit: u32,
    ) -> Result<UploadedPartPage> {
        let bucket = self.bucket(bucket).await?.id;
        self.upload_row(bucket, key, upload).await?;
        let query = PartQuery { bucket, key: key.clone(), upload, after, limit };
        let page = self.inner.store.list_parts(query).await?;
        Ok(UploadedPartPage { parts: page.parts.into_iter().map(uploaded).collect(), more: page.more })
    }

    /// Uploads in progress.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn list_uploads(&self, bucket: &BucketName, options: ListUploadsOptions) -> Result<UploadPage> {
        let query = UploadQuery {
            bucket: self.bucket(bucket).await?.id,
            prefix: options.prefix,
            delimiter: options.delimiter,
            after_key: options.after_key,
            after_upload: options.after_upload,
            limit: options.limit,
        };
        Ok(self.inner.store.list_uploads(query).await?)
    }

    /// Makes an object of an upload's parts.
    ///
    /// # Errors
    /// [`EngineError::NoSuchUpload`], [`EngineError::InvalidPart`] if a part was replaced since it was listed,
    /// [`EngineError::PreconditionFailed`], [`EngineError::NoSuchKey`].
    pub async fn complete_upload(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
        options: CompleteOptions,
    ) -> Result<Written> {
        let mut found = self.bucket(bucket).await?;
        let id = found.id;
        let mut row = self.upload_row(id, key, upload).await?;
        // Its bytes are counted with the parts.
        let _room = self.room(&found, Amount { bytes: 0, objects: 1 }).await?;
        let tags = take_upload_tags(&mut row.attributes);
        let lock = take_upload_lock(&mut row.attributes)?;
        let seal = take_upload_seal(&mut row.attributes)?;
        let acl = take_upload_acl(&mut row.attributes);
        let rows = self.part_blobs(id, key, upload).await?;
        let parts = part_refs(&rows, &options.parts)?;
        let mut object = NewObject {
            version: VersionId::NULL,
            kind: VersionKind::Object,
            // An upload is completed once, so its id can be the write's, and shows later what it became.
            write: WriteId::from_bytes(*upload.as_bytes()),
            modified: UnixMillis::now(),
            length_bytes: parts.iter().map(|part| part.length_bytes).sum(),
            etag: options.etag,
            storage_class: row.storage_class,
            checksum: options.checksum,
            attributes: row.attributes,
            content: Content::Blobs { parts, multipart: true },
        };
        if let Some(seal) = seal {
            object.content = object.content.sealed(seal);
        }
        let mut tries = 0;
        loop {
            object.version = new_version(found.settings)?;
            let tagging = tag_write(id, key, &object, tags.clone());
            let locking = lock_write(id, key, &object, lock);
            let owned = acl_write(id, key, &object, acl.clone());
            let subject = Subject::created(EventKind::CreatedComplete, key, &object);
            let events = self.event_writes(&found, subject).await?;
            let write = Write::CompleteUpload(Box::new(CompleteUpload {
                bucket: id,
                key: key.clone(),
                upload,
                parts: options.parts.iter().map(|part| (part.number, part.write)).collect(),
                conditions: options.conditions.clone(),
                object: object.clone(),
            }));
            let writes = std::iter::once(write).chain(tagging).chain(locking).chain(owned);
            let writes = writes.chain(events).collect();
            let told = Told { tags: tags.clone(), lock, acl: acl.clone(), ..Told::put(&found) };
            let told = told.under(&options.conditions);
            let records = ObjectRecord::manifest(id, key, &object, &told)?;
            let recorded = Recorded { writes, ..Recorded::default() };
            let outcome = first(self.commit_recorded(records, recorded).await?)?;
            tries += 1;
            if outcome == Outcome::VersioningChanged && tries < VERSIONING_TRIES_MAX {
                self.inner.buckets.forget(bucket);
                found = self.bucket(bucket).await?;
                continue;
            }
            self.tell_refusal(&found, key, &object, &outcome).await;
            self.accepted(bucket, &outcome)?;
            return Ok(written(&object));
        }
    }

    async fn part_blobs(&self, bucket: BucketId, key: &ObjectKey, upload: UploadId) -> Result<Vec<PartRow>> {
        let mut parts: Vec<PartRow> = Vec::new();
        loop {
            let after = parts.last().map_or(0, |part| part.number.get());
            let query = PartQuery { bucket, key: key.clone(), upload, after, limit: PARTS_PAGE };
            let page = self.inner.store.list_parts(query).await?;
            parts.extend(page.parts);
            if !page.more {
                return Ok(parts);
            }
        }
    }

    /// Drops an upload and its parts.
    ///
    /// # Errors
    /// [`EngineError::NoSuchUpload`].
    pub async fn abort_upload(&self, bucket: &BucketName, key: &ObjectKey, upload: UploadId) -> Result<()> {
        let id = self.bucket(bucket).await?.id;
        let write = Write::AbortUpload { bucket: id, key: key.clone(), upload };
        let outcome = self.commit_one(Commit { advances: Vec::new(), writes: vec![write] }).await?;
        self.accepted(bucket, &outcome)
    }
}

/// The parts of the object to be, with the blobs that hold them.
fn part_refs(rows: &[PartRow], named: &[UploadedPart]) -> Result<Vec<PartRef>> {
    let blobs: HashMap<WriteId, BlobId> = rows.iter().map(|row| (row.write, row.blob)).collect();
    let mut parts = Vec::with_capacity(named.len());
    for part in named {
        let blob = *blobs.get(&part.write).ok_or(EngineError::InvalidPart(part.number))?;
        let checksum = part.checksum.clone();
        parts.push(PartRef { number: part.number, blob, length_bytes: part.length_bytes, checksum });
    }
    Ok(parts)
}

fn uploaded(row: PartRow) -> UploadedPart {
    UploadedPart {
        number: row.number,
        write: row.write,
        modified: row.modified,
        length_bytes: row.length_bytes,
        etag: row.etag,
        checksum: row.checksum,
    }
}
