//! Objects: put, open, delete, list.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use granary_metadata::{
    Commit, Content, ListQuery, NewBlob, NewObject, ObjectRow, Outcome, PartRef, PutObject, VersionKind,
    VersionQuery, Write,
};
use granary_types::{
    BucketId, BucketName, ObjectKey, PartNumber, UnixMillis, VersionId, WriteId, crash_point,
};

use crate::api::{
    Bucket, BucketSettings, Digests, ListOptions, ListPage, ListVersionsOptions, ObjectLock, PutOptions,
    PutSource, Tag, VersionPage, Versioning, WriteConditions, Written,
};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::locks::{check_bucket, lock_write};
use crate::read::ObjectHandle;
use crate::record::{BlobRecord, ObjectRecord};
use crate::tags::tag_write;
use crate::told::Told;
use crate::write::{BlobWriter, PACKED_LENGTH_BYTES_MAX, PackWrite, Recorded, WrittenBlob};

/// A client that sends nothing for this long is slow.
const IDLE: Duration = Duration::from_millis(500);

/// How often a write is tried whose bucket's versioning changed under it.
pub(crate) const VERSIONING_TRIES_MAX: u32 = 3;

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
        let mut found = self.bucket(bucket).await?;
        check_bucket(&found, options.lock)?;
        let mut version = new_version(found.settings)?;
        let record = BlobRecord { bucket: found.id, key: key.clone(), version, part: None };
        let (stored, digests) = self.receive(source, &record, Small::Pack).await?;
        let mut new = new_object(options, digests, &stored)?;
        let mut tries = 0;
        loop {
            new.object.version = version;
            let outcome = self.commit_put(&found, key, &new, &stored).await?;
            tries += 1;
            if outcome == Outcome::VersioningChanged && tries < VERSIONING_TRIES_MAX {
                self.inner.buckets.forget(bucket);
                found = self.bucket(bucket).await?;
                version = new_version(found.settings)?;
                continue;
            }
            if let Stored::Blob(_) = stored {
                crash_point("engine.after_commit_before_ack");
            }
            drop(stored);
            self.tell_refusal(&found, key, &new.object, &outcome).await;
            self.accepted(bucket, &outcome)?;
            return Ok(written(&new.object));
        }
    }

    /// Commits an object whose body is received.
    async fn commit_put(
        &self,
        found: &Bucket,
        key: &ObjectKey,
        New { object, conditions, tags, lock }: &New,
        stored: &Stored,
    ) -> Result<Outcome> {
        let bucket = found.id;
        let told = Told {
            conditions: Some(conditions)
                .filter(|conditions| **conditions != WriteConditions::default())
                .cloned(),
            tags: tags.clone(),
            lock: *lock,
            ..Told::put(found)
        };
        let mut put = PutObject {
            bucket,
            key: key.clone(),
            conditions: conditions.clone(),
            object: object.clone(),
            blobs: Vec::new(),
        };
        let behind = tag_write(bucket, key, object, tags.clone()).into_iter();
        let behind = behind.chain(lock_write(bucket, key, object, *lock));
        let mut recorded = Recorded::default();
        match stored {
            Stored::Small(bytes) => {
                let record = ObjectRecord::encode(bucket, key, object, &told)?;
                let write = PackWrite::Put(Box::new(put), behind.collect());
                return self.inner.packer.write(bytes.clone(), record, write).await;
            }
            Stored::Empty => {}
            Stored::Blob(blob) => {
                let number = PartNumber::new(1).map_err(|_| EngineError::Internal("part 1"))?;
                let part = PartRef { number, blob: blob.id, length_bytes: blob.length_bytes, checksum: None };
                put.object.content = Content::Blobs { parts: vec![part], multipart: false };
                put.blobs.push(NewBlob { id: blob.id, extents: blob.extents.clone() });
                recorded.advances.clone_from(&blob.advances);
                recorded.volumes.clone_from(&blob.volumes);
            }
        }
        let records = ObjectRecord::manifest(bucket, key, &put.object, &told)?;
        recorded.writes = std::iter::once(Write::Put(Box::new(put))).chain(behind).collect();
        first(self.commit_recorded(records, recorded).await?)
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
        first(committed?)
    }

    /// Turns the outcome of a write into a result.
    pub(crate) fn accepted(&self, bucket: &BucketName, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Done { .. } | Outcome::Marked { .. } => Ok(()),
            Outcome::VersioningChanged => {
                self.inner.buckets.forget(bucket);
                Err(EngineError::Unavailable { context: "the bucket's versioning keeps changing" })
            }
            Outcome::Locked => Err(EngineError::Locked),
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
    /// [`EngineError::NoSuchBucket`], [`EngineError::NoSuchKey`], [`EngineError::NoSuchVersion`],
    /// [`EngineError::DeleteMarker`].
    pub async fn open_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<ObjectHandle> {
        let Bucket { id, settings, .. } = self.bucket(bucket).await?;
        let guard = self.inner.reader.begin();
        let row = self.object_row(id, key, version).await?;
        Ok(ObjectHandle::new(self.inner.reader.clone(), guard, (id, settings), key.clone(), row))
    }

    /// The current version of a key, or the one named, if it is no delete marker.
    pub(crate) async fn object_row(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<ObjectRow> {
        let row = self.inner.store.object(bucket, key, version).await?;
        let missing = if version.is_some() { EngineError::NoSuchVersion } else { EngineError::NoSuchKey };
        let row = row.ok_or(missing)?;
        if row.object.kind == VersionKind::DeleteMarker {
            let NewObject { version, modified, .. } = row.object;
            return Err(EngineError::DeleteMarker { version, modified });
        }
        Ok(row)
    }

    /// One page of all versions of a bucket's keys.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn list_versions(
        &self,
        bucket: &BucketName,
        options: ListVersionsOptions,
    ) -> Result<VersionPage> {
        let bucket = self.bucket(bucket).await?.id;
        let ListVersionsOptions { prefix, delimiter, after, after_version, limit } = options;
        let query = VersionQuery { bucket, prefix, delimiter, after, after_version, limit };
        Ok(self.inner.store.list_versions(query).await?)
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

/// The outcome of a commit's first write.
pub(crate) fn first(outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
}

fn drawing(source: std::io::Error) -> EngineError {
    EngineError::Io { context: "drawing an id", source }
}

/// The version id that a write gets while the bucket's versioning is so.
pub(crate) fn new_version(settings: BucketSettings) -> Result<VersionId> {
    match settings.versioning {
        Versioning::Enabled => VersionId::random().map_err(drawing),
        Versioning::Never | Versioning::Suspended => Ok(VersionId::NULL),
    }
}

/// An object whose body is received, but for its version; its content is still in [`Stored`].
struct New {
    object: NewObject,
    conditions: WriteConditions,
    tags: Vec<Tag>,
    lock: ObjectLock,
}

fn new_object(options: PutOptions, digests: Digests, stored: &Stored) -> Result<New> {
    let length_bytes = match stored {
        Stored::Empty => 0,
        Stored::Small(bytes) => bytes.len() as u64,
        Stored::Blob(blob) => blob.length_bytes,
    };
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write: WriteId::random().map_err(drawing)?,
        modified: UnixMillis::now(),
        length_bytes,
        etag: digests.etag,
        storage_class: options.storage_class,
        checksum: digests.checksum,
        attributes: options.attributes,
        content: Content::Empty,
    };
    Ok(New { object, conditions: options.conditions, tags: options.tags, lock: options.lock })
}

pub(crate) fn written(object: &NewObject) -> Written {
    Written {
        etag: object.etag.clone(),
        checksum: object.checksum.clone(),
        length_bytes: object.length_bytes,
        version: Some(object.version).filter(|version| !version.is_null()),
        modified: object.modified,
    }
}

/// A version as it is shown: not at all while the bucket never had versioning.
pub(crate) fn shown_version(version: VersionId, settings: BucketSettings) -> Option<VersionId> {
    (settings.versioning != Versioning::Never || !version.is_null()).then_some(version)
}
