//! Objects: put, open, delete, list.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use granary_metadata::{
    Commit, Content, DeleteObject, ListQuery, NewBlob, NewObject, Outcome, PartRef, PutObject, VersionKind,
    Write,
};
use granary_types::{
    BucketId, BucketName, ObjectKey, PartNumber, UnixMillis, VersionId, WriteId, crash_point,
};

use crate::api::{
    DeleteEntry, Digests, ListOptions, ListPage, PutOptions, PutSource, WriteConditions, Written,
};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::read::ObjectHandle;
use crate::record::{BlobRecord, ObjectRecord};
use crate::tags::tag_write;
use crate::write::{BlobWriter, PACKED_LENGTH_BYTES_MAX, PackWrite, WrittenBlob};

/// A client that sends nothing for this long is slow.
const IDLE: Duration = Duration::from_millis(500);

/// Where a body went.
pub(crate) enum Stored {
    Empty,
    /// Still in memory: it is packed when its record is complete.
    Small(Bytes),
    Blob(WrittenBlob),
}

/// Whether small bodies may stay in memory to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Small {
    Pack,
    /// Parts are always blobs of their own: a completion refers to them.
    Blob,
}

impl Engine {
    /// Stores an object. It is durable, or not there at all, when this returns.
    ///
    /// # Errors
    /// [`EngineError::Source`] for the body's own errors, [`EngineError::PreconditionFailed`], [`EngineError::NoSuchKey`]
    /// (an `if_match` without an object), [`EngineError::NoSuchBucket`], [`EngineError::NoSpace`], …
    pub async fn put_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        source: &mut dyn PutSource,
    ) -> Result<Written> {
        let bucket_id = self.bucket(bucket).await?.id;
        let record = BlobRecord { bucket: bucket_id, key: key.clone(), version: VersionId::NULL, part: None };
        let (stored, digests) = self.receive(source, &record, Small::Pack).await?;
        let mut object = new_object(options.clone(), digests, &stored)?;
        let written = written(&object);
        let tagging = tag_write(bucket_id, key, &object, options.tags);
        let outcome = match stored {
            Stored::Small(bytes) => {
                let record = ObjectRecord::encode(bucket_id, key, &object)?;
                let put = PutObject {
                    bucket: bucket_id,
                    key: key.clone(),
                    conditions: options.conditions,
                    object,
                    blobs: Vec::new(),
                };
                self.inner.packer.write(bytes, record, PackWrite::Put(Box::new(put), tagging)).await?
            }
            Stored::Empty => {
                let put = put_of(bucket_id, key, options.conditions, object, Vec::new());
                let writes = std::iter::once(put).chain(tagging).collect();
                self.commit_one(Commit { advances: Vec::new(), writes }).await?
            }
            Stored::Blob(blob) => {
                let number = PartNumber::new(1).map_err(|_| EngineError::Internal("part 1"))?;
                let part = PartRef { number, blob: blob.id, length_bytes: blob.length_bytes, checksum: None };
                object.content = Content::Blobs { parts: vec![part], multipart: false };
                let blobs = vec![NewBlob { id: blob.id, extents: blob.extents }];
                let put = put_of(bucket_id, key, options.conditions, object, blobs);
                let writes = std::iter::once(put).chain(tagging).collect();
                let outcome = self.commit_one(Commit { advances: blob.advances, writes }).await?;
                crash_point("engine.after_commit_before_ack");
                drop(blob.volumes);
                outcome
            }
        };
        self.accepted(bucket, &outcome)?;
        Ok(written)
    }

    /// Reads a body to its end: small ones stay in memory, others go to the drives and are flushed.
    pub(crate) async fn receive(
        &self,
        source: &mut dyn PutSource,
        record: &BlobRecord,
        small: Small,
    ) -> Result<(Stored, Digests)> {
        let (head, ended) = receive_head(source, small).await?;
        if ended && (small == Small::Pack || head.is_empty()) {
            let digests = source.finish().await.map_err(EngineError::Source)?;
            let stored = match head.concat() {
                empty if empty.is_empty() => Stored::Empty,
                bytes => Stored::Small(bytes),
            };
            return Ok((stored, digests));
        }
        let inner = &self.inner;
        let mut writer =
            BlobWriter::start(inner.pool.clone(), inner.write_budget.clone(), record.encode()?).await?;
        for bytes in head.chunks {
            writer.write(&bytes).await?;
        }
        if !ended {
            while let Some(bytes) = next_or_idle(source, &mut writer).await? {
                writer.write(&bytes).await?;
            }
        }
        let verified = async { source.finish().await.map_err(EngineError::Source) };
        let (digests, finished) = tokio::try_join!(verified, writer.finish())?;
        let blob = self.make_whole(finished, record).await?;
        Ok((Stored::Blob(blob), digests))
    }

    /// Commits one write.
    pub(crate) async fn commit_one(&self, commit: Commit) -> Result<Outcome> {
        let committed = self.inner.store.commit(commit).await;
        if let Err(error) = &committed {
            self.inner.pool.leave_fenced(error).await;
        }
        let outcomes = committed?;
        outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
    }

    /// Turns the outcome of a write into a result.
    pub(crate) fn accepted(&self, bucket: &BucketName, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Done { .. } => Ok(()),
            Outcome::PreconditionFailed => Err(EngineError::PreconditionFailed),
            Outcome::NoSuchKey => Err(EngineError::NoSuchKey),
            Outcome::NoSuchBucket => {
                self.inner.buckets.forget(bucket);
                Err(EngineError::NoSuchBucket(bucket.clone()))
            }
            Outcome::NoSuchUpload => Err(EngineError::NoSuchUpload),
            Outcome::InvalidPart(number) => Err(EngineError::InvalidPart(*number)),
            Outcome::Moved => Err(EngineError::Internal("a write was taken for a move")),
        }
    }

    /// Opens the current version of a key, or the one named.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`] (delete markers too).
    pub async fn open_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<ObjectHandle> {
        let bucket = self.bucket(bucket).await?.id;
        let guard = self.inner.reader.begin();
        let row = self.inner.store.object(bucket, key, version).await?;
        let row = row.filter(|row| row.object.kind == VersionKind::Object).ok_or(EngineError::NoSuchKey)?;
        Ok(ObjectHandle::new(self.inner.reader.clone(), guard, bucket, key.clone(), row))
    }

    /// Deletes a key. A key that is not there counts as deleted, unless a condition asked for one.
    ///
    /// # Errors
    /// [`EngineError::PreconditionFailed`], [`EngineError::NoSuchKey`] (an `if_match` without an object), …
    pub async fn delete_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        conditions: WriteConditions,
    ) -> Result<()> {
        let entry = DeleteEntry { key: key.clone(), conditions };
        let mut results = self.delete_objects(bucket, vec![entry]).await?;
        results.pop().unwrap_or(Err(EngineError::Internal("a delete without an outcome")))
    }

    /// Deletes many keys in one commit; each has a result of its own.
    ///
    /// # Errors
    /// As [`Engine::delete_object`] for each key; the outer error when nothing was deleted.
    pub async fn delete_objects(
        &self,
        bucket: &BucketName,
        entries: Vec<DeleteEntry>,
    ) -> Result<Vec<Result<()>>> {
        let id = self.bucket(bucket).await?.id;
        let writes = entries
            .into_iter()
            .map(|DeleteEntry { key, conditions }| {
                Write::Delete(DeleteObject { bucket: id, key, version: VersionId::NULL, conditions })
            })
            .collect();
        let outcomes = self.inner.store.commit(Commit { advances: Vec::new(), writes }).await?;
        Ok(outcomes.iter().map(|outcome| self.accepted(bucket, outcome)).collect())
    }

    /// One page of a bucket's objects.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn list_objects(&self, bucket: &BucketName, options: ListOptions) -> Result<ListPage> {
        let bucket = self.bucket(bucket).await?.id;
        let ListOptions { prefix, delimiter, after, limit } = options;
        Ok(self.inner.store.list_objects(ListQuery { bucket, prefix, delimiter, after, limit }).await?)
    }
}

/// The next bytes of a body. While none come, full stripes are not held back: a slow client keeps one stripe of the
/// shared buffers, not a whole run.
async fn next_or_idle(source: &mut dyn PutSource, writer: &mut BlobWriter) -> Result<Option<Bytes>> {
    let mut next = source.next();
    match tokio::time::timeout(IDLE, &mut next).await {
        Ok(bytes) => bytes.map_err(EngineError::Source),
        Err(_) => {
            writer.submit_full_stripes().await?;
            next.await.map_err(EngineError::Source)
        }
    }
}

/// The first chunks of a body.
#[derive(Default)]
struct Head {
    chunks: Vec<Bytes>,
    length: usize,
}

impl Head {
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All bytes in one piece, copied only if there are several.
    fn concat(mut self) -> Bytes {
        if self.chunks.len() == 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        let mut bytes = BytesMut::with_capacity(self.length);
        for chunk in &self.chunks {
            bytes.extend_from_slice(chunk);
        }
        bytes.freeze()
    }
}

/// Reads until the body ends or is too long to be packed; tells whether it ended.
async fn receive_head(source: &mut dyn PutSource, small: Small) -> Result<(Head, bool)> {
    let mut head = Head::default();
    let limit = match small {
        Small::Pack => PACKED_LENGTH_BYTES_MAX,
        Small::Blob => 0,
    };
    while head.length <= limit {
        match source.next().await.map_err(EngineError::Source)? {
            Some(bytes) => {
                head.length += bytes.len();
                head.chunks.push(bytes);
            }
            None => return Ok((head, true)),
        }
    }
    Ok((head, false))
}

fn new_object(options: PutOptions, digests: Digests, stored: &Stored) -> Result<NewObject> {
    let length_bytes = match stored {
        Stored::Empty => 0,
        Stored::Small(bytes) => bytes.len() as u64,
        Stored::Blob(blob) => blob.length_bytes,
    };
    Ok(NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::random()
            .map_err(|source| EngineError::Io { context: "drawing a write id", source })?,
        modified: UnixMillis::now(),
        length_bytes,
        etag: digests.etag,
        storage_class: options.storage_class,
        checksum: digests.checksum,
        attributes: options.attributes,
        content: Content::Empty,
    })
}

pub(crate) fn written(object: &NewObject) -> Written {
    Written {
        etag: object.etag.clone(),
        checksum: object.checksum.clone(),
        length_bytes: object.length_bytes,
        version: object.version,
        modified: object.modified,
    }
}

fn put_of(
    bucket: BucketId,
    key: &ObjectKey,
    conditions: WriteConditions,
    object: NewObject,
    blobs: Vec<NewBlob>,
) -> Write {
    Write::Put(Box::new(PutObject { bucket, key: key.clone(), conditions, object, blobs }))
}
