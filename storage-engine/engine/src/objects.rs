//! Objects: put, open, delete, list.

use std::time::Instant;

use granary_keys::DataKey;
use granary_keys::units::StreamId;
use granary_metadata::{
    Commit, Content, ListQuery, NewBlob, NewObject, ObjectRow, Outcome, PartRef, PutObject, VersionKind,
    VersionQuery, Write,
};
use granary_types::{
    BlobId, BucketId, BucketName, Etag, ObjectKey, PartNumber, Seal, UnixMillis, VersionId, WriteId,
    crash_point,
};

use crate::acls::acl_write;
use crate::api::{
    Bucket, BucketSettings, ListOptions, ListPage, ListVersionsOptions, ObjectLock, PutOptions, PutSource,
    Tag, VersionPage, Versioning, WriteConditions, Written,
};
use crate::append::Beginning;
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, Result};
use crate::events::Subject;
use crate::locks::{check_bucket, lock_write};
use crate::quota::Amount;
use crate::read::ObjectHandle;
use crate::receive::{Hashing, Received, Small, Stored};
use crate::record::{BlobRecord, ObjectRecord};
use crate::sealing::{Encryption, EncryptionInfo, new_seal, shown_etag};
use crate::tags::tag_write;
use crate::tiers::Tier;
use crate::told::Told;
use crate::waits::Waits;
use crate::write::{Draft, PackWrite, Recorded, Unrecorded, WrittenBlob, placeholder};

/// How often a write is tried whose bucket's versioning changed under it.
pub(crate) const VERSIONING_TRIES_MAX: u32 = 3;

impl Engine {
    /// Stores an object. It is durable, or not there at all, when this returns.
    ///
    /// # Errors
    /// [`EngineError::Source`] for the body's own errors, [`EngineError::PreconditionFailed`], [`EngineError::NoSuchKey`]
    /// (an `if_match` without an object), [`EngineError::NoSuchBucket`], [`EngineError::NoDrivesForClass`],
    /// [`EngineError::QuotaExceeded`] before the body is asked for, [`EngineError::NoSpace`], …
    pub async fn put_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        source: &mut dyn PutSource,
    ) -> Result<Written> {
        self.put_behind(bucket, key, options, source, None).await
    }

    /// Stores an object that consists of `beginning` and the body of `source`.
    pub(crate) async fn put_behind(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        source: &mut dyn PutSource,
        beginning: Option<Beginning>,
    ) -> Result<Written> {
        let tier = self.inner.pool.tiers.for_writing(options.storage_class)?;
        let mut found = self.believed_bucket(bucket).await?;
        check_bucket(&found, options.lock)?;
        let mut version = new_version(found.settings)?;
        let record = BlobRecord { bucket: found.id, key: key.clone(), version, part: None };
        // What continues blobs is one.
        let small = if beginning.is_some() {
            Small::Blob(BlobId::random().map_err(EngineError::drawing)?)
        } else {
            Small::Pack(self.hashing(&options))
        };
        let announced = source.length_hint_bytes().unwrap_or(0);
        let mut room = self.room(&found, Amount { bytes: announced, objects: 1 }).await?;
        let sealed = new_seal(self.keys(), &options.encryption)?;
        let sealing = sealed.as_ref().map(|(_, key)| (key, StreamId::Whole));
        let received = self.receive(source, &record, (small, tier), sealing).await?;
        room.grow_to(received.length_bytes).await?;
        let (stored, mut new) = new_object(options, received, sealed, beginning)?;
        let mut tries = 0;
        loop {
            new.object.version = version;
            let (outcome, etag) = self.commit_put(&found, key, &new, (&stored, tier)).await?;
            tries += 1;
            let is_another = matches!(outcome, Outcome::VersioningChanged | Outcome::NoSuchBucket);
            if is_another && tries < VERSIONING_TRIES_MAX {
                if outcome == Outcome::NoSuchBucket {
                    self.tell_refusal(&found, key, &new.object, &outcome).await;
                }
                self.inner.buckets.forget(bucket);
                found = self.bucket(bucket).await?;
                version = new_version(found.settings)?;
                continue;
            }
            if let Stored::Blob(_) = stored {
                crash_point("object.after_commit_before_ack");
            }
            drop(stored);
            if let Some(etag) = etag {
                new.object.etag = etag;
            }
            self.tell_refusal(&found, key, &new.object, &outcome).await;
            self.accepted(bucket, &outcome)?;
            return Ok(written(&new.object));
        }
    }

    /// When the MD5 of a small body is to be known: encryption and events need it before the group is made.
    fn hashing(&self, options: &PutOptions) -> Hashing {
        let needs_it = !matches!(options.encryption, Encryption::None) || self.inner.targets.are_named();
        if needs_it { Hashing::Now } else { Hashing::WithGroup }
    }

    /// Commits an object whose body is received. Gives its tag too if that was not known before.
    async fn commit_put(
        &self,
        found: &Bucket,
        key: &ObjectKey,
        New { object, conditions, tags, lock, acl, beginning }: &New,
        (stored, tier): (&Stored, Tier),
    ) -> Result<(Outcome, Option<Etag>)> {
        let bucket = found.id;
        let told = Told { tags: tags.clone(), lock: *lock, acl: acl.clone(), ..Told::put(found) };
        let told = told.under(conditions);
        let mut put = PutObject {
            bucket,
            key: key.clone(),
            conditions: conditions.clone(),
            object: object.clone(),
            blobs: Vec::new(),
        };
        let behind = tag_write(bucket, key, object, tags.clone()).into_iter();
        let behind = behind.chain(lock_write(bucket, key, object, *lock));
        let behind = behind.chain(acl_write(bucket, key, object, acl.clone()));
        let subject = Subject::created(self.origin.created(), key, object);
        let behind = behind.chain(self.event_writes(found, subject).await?);
        let mut recorded = Recorded { unrecorded: Unrecorded::Refused, ..Recorded::default() };
        match stored {
            Stored::Small(bytes, hashing) => {
                let record = ObjectRecord::encode(bucket, key, object, &told)?;
                let write = PackWrite::Put(Box::new(put), behind.collect());
                let packer = &self.inner.packer;
                if *hashing == Hashing::Now {
                    return Ok((packer.write(tier, bytes.clone(), record, write).await?, None));
                }
                let (draft, mut etag) = Draft::untagged(record, object.write)?;
                let outcome = packer.write(tier, bytes.clone(), draft, write).await?;
                let etag =
                    etag.try_recv().map_err(|_| EngineError::Internal("a packed object without its tag"));
                return Ok((outcome, Some(etag?)));
            }
            Stored::Empty => {
                if let Some(Beginning { parts, multipart, .. }) = beginning {
                    put.object.content = Content::Blobs { parts: parts.clone(), multipart: *multipart };
                }
            }
            Stored::Blob(blob) => {
                let before = beginning.as_ref().map_or(0, |beginning| beginning.length_bytes);
                let length_bytes = object.length_bytes.saturating_sub(before);
                let content = content_with(blob, length_bytes, beginning.as_ref())?;
                put.object.content = content.sealed_like(&object.content);
                put.blobs.push(NewBlob { id: blob.id, extents: blob.extents.clone() });
                recorded.advances.clone_from(&blob.advances);
                recorded.volumes.clone_from(&blob.volumes);
            }
        }
        let records = ObjectRecord::manifest(bucket, key, &put.object, &told)?;
        recorded.writes = std::iter::once(Write::Put(Box::new(put))).chain(behind).collect();
        Ok((first(self.commit_recorded(records, recorded).await?)?, None))
    }

    /// As [`Inner::commit_one`].
    pub(crate) async fn commit_one(&self, commit: Commit) -> Result<Outcome> {
        self.inner.commit_one(commit).await
    }

    /// Turns the outcome of a write into a result.
    pub(crate) fn accepted(&self, bucket: &BucketName, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Done { .. } | Outcome::Marked { .. } => {
                self.inner.wake_for_events();
                Ok(())
            }
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
            Outcome::Moved => Err(EngineError::BlobsGone),
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
        let guard = self.inner.reader.running.begin();
        let (found, row) = self.find_object(bucket, key, version).await?;
        let Bucket { id, settings, .. } = found;
        let restored = self.restored(id, key, &row.object).await?;
        let opened = ObjectHandle::new(self.inner.reader.clone(), guard, (id, settings), key.clone(), row);
        Ok(opened.restored(restored))
    }

    /// A version and its bucket. What is found in a bucket that was believed to be there is in it; only what is not found is
    /// looked for again, if another bucket has the name now.
    async fn find_object(
        &self,
        name: &BucketName,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<(Bucket, ObjectRow)> {
        let believed = self.believed_bucket(name).await?;
        match self.object_row(believed.id, key, version).await {
            Ok(row) => Ok((believed, row)),
            Err(missing @ (EngineError::NoSuchKey | EngineError::NoSuchVersion)) => {
                let bucket = self.bucket(name).await?;
                if bucket.id == believed.id {
                    return Err(missing);
                }
                let row = self.object_row(bucket.id, key, version).await?;
                Ok((bucket, row))
            }
            Err(error) => Err(error),
        }
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

impl Inner {
    /// Commits one write, and what goes with it.
    pub(crate) async fn commit_one(&self, commit: Commit) -> Result<Outcome> {
        let started = Instant::now();
        let committed = self.store.commit(commit).await;
        Waits { metadata: started.elapsed(), ..Waits::default() }.note();
        if let Err(error) = &committed {
            self.pool.leave_fenced(error).await;
        }
        first(committed?)
    }
}

/// The outcome of a commit's first write.
pub(crate) fn first(outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.into_iter().next().ok_or(EngineError::Internal("a commit without an outcome"))
}

/// The version id that a write gets while the bucket's versioning is so.
pub(crate) fn new_version(settings: BucketSettings) -> Result<VersionId> {
    match settings.versioning {
        Versioning::Enabled => VersionId::random().map_err(EngineError::drawing),
        Versioning::Never | Versioning::Suspended => Ok(VersionId::NULL),
    }
}

/// An object whose body is received, but for its version; its content is still in [`Stored`].
struct New {
    object: NewObject,
    conditions: WriteConditions,
    tags: Vec<Tag>,
    lock: ObjectLock,
    beginning: Option<Beginning>,
    acl: Option<String>,
}

/// The blobs of an object: those it begins with, and this one, which clients see as so many bytes.
fn content_with(blob: &WrittenBlob, length_bytes: u64, beginning: Option<&Beginning>) -> Result<Content> {
    let (mut parts, multipart, number) = match beginning {
        Some(Beginning { parts, multipart, number, .. }) => (parts.clone(), *multipart, *number),
        None => (Vec::new(), false, PartNumber::new(1).map_err(|_| EngineError::Internal("part 1"))?),
    };
    parts.push(PartRef { number, blob: blob.id, length_bytes, checksum: None });
    Ok(Content::Blobs { parts, multipart })
}

fn new_object(
    options: PutOptions,
    received: Received,
    sealed: Option<(Seal, DataKey)>,
    beginning: Option<Beginning>,
) -> Result<(Stored, New)> {
    let Received { stored, digests, length_bytes } = received;
    let write = WriteId::random().map_err(EngineError::drawing)?;
    let etag = match stored {
        Stored::Small(_, Hashing::WithGroup) => placeholder(write),
        _ => shown_etag(sealed.as_ref().map(|(seal, key)| (seal, key)), &digests, length_bytes)?,
    };
    let content = match sealed {
        Some((seal, _)) => Content::Empty.sealed(seal),
        None => Content::Empty,
    };
    let before = beginning.as_ref().map_or(0, |beginning| beginning.length_bytes);
    let length_bytes = before.saturating_add(length_bytes);
    let object = NewObject {
        version: VersionId::NULL,
        kind: VersionKind::Object,
        write,
        modified: UnixMillis::now(),
        length_bytes,
        etag,
        storage_class: options.storage_class,
        checksum: digests.checksum,
        attributes: options.attributes,
        content,
    };
    let PutOptions { conditions, tags, lock, acl, .. } = options;
    Ok((stored, New { object, conditions, tags, lock, acl, beginning }))
}

pub(crate) fn written(object: &NewObject) -> Written {
    Written {
        etag: object.etag.clone(),
        checksum: object.checksum.clone(),
        length_bytes: object.length_bytes,
        version: Some(object.version).filter(|version| !version.is_null()),
        modified: object.modified,
        encryption: object.content.seal().map(EncryptionInfo::from),
    }
}

/// A version as it is shown: not at all while the bucket never had versioning.
pub(crate) fn shown_version(version: VersionId, settings: BucketSettings) -> Option<VersionId> {
    (settings.versioning != Versioning::Never || !version.is_null()).then_some(version)
}
