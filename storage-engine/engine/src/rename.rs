//! Renames: a version gets another key in one commit. Large objects move no data, as the new version refers to the
//! blobs of the old one; what is packed is read and packed again, because its block names the key it is for.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use granary_metadata::{
    Bucket, ExpireObject, NewObject, Outcome, PutObject, RemoveObject, RenameObject, Write, WriteConditions,
};
use granary_types::{BucketName, ObjectKey, UnixMillis, VersionId, WriteId};

use crate::acls::acl_write;
use crate::api::{ByteRange, Written};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::events::{EventKind, Subject};
use crate::objects::{first, new_version, written};
use crate::read::ObjectHandle;
use crate::record::ObjectRecord;
use crate::tags::tag_write;
use crate::told::Told;
use crate::write::{Recorded, Unrecorded};

/// How often a call begins anew when the object is replaced or moved meanwhile.
const TRIES: u32 = 8;

/// Under which conditions an object is renamed.
#[derive(Debug, Clone, Default)]
pub struct RenameConditions {
    /// Decided against the object at the old key.
    pub source: WriteConditions,
    /// Decided against what is at the new key.
    pub target: WriteConditions,
}

impl Engine {
    /// Gives the current version of `from` the key `to`, with its tags and its access control list, in place of what is there. The old key is deleted
    /// as the bucket's versioning says. The new version gets the bucket's default retention and no other locks.
    ///
    /// # Errors
    /// [`EngineError::NoSuchKey`], [`EngineError::DeleteMarker`], [`EngineError::PreconditionFailed`],
    /// [`EngineError::Locked`] if one of the keys cannot be changed, [`EngineError::NoSuchBucket`], …
    pub async fn rename_object(
        &self,
        bucket: &BucketName,
        from: &ObjectKey,
        to: &ObjectKey,
        conditions: RenameConditions,
    ) -> Result<Written> {
        if from == to {
            return Err(EngineError::Internal("an object was renamed to its own key"));
        }
        for _ in 0..TRIES {
            let found = self.bucket(bucket).await?;
            let opened = self.open_object(bucket, from, None).await?;
            let tags = match opened.row.tag_count {
                0 => Vec::new(),
                _ => self.inner.store.object_tags(found.id, from, opened.row.object.write).await?,
            };
            // None where some were counted: the object is another one, or has other tags, by now.
            if tags.is_empty() && opened.row.tag_count > 0 {
                continue;
            }
            let acl = self.acl_of(found.id, from, opened.row.object.write).await?;
            let rename = renaming(&found, (from, to), &opened.row.object, &conditions)?;
            let object = rename.put.object.clone();
            let told = Told { tags: tags.clone(), acl: acl.clone(), ..Told::put(&found) };
            let told = told.under(&conditions.target);
            let behind = tag_write(found.id, to, &object, tags).into_iter();
            let behind = behind.chain(acl_write(found.id, to, &object, acl));
            let created = Subject::created(EventKind::CreatedCopy, to, &object);
            let removed = Subject::removed(&found, &rename.source.remove, None);
            let created = self.event_writes(&found, created).await?;
            let removed = self.event_writes(&found, removed).await?;
            let behind = behind.chain(created).chain(removed).collect();
            let left = rename.source.remove.clone();
            let outcome = self.commit_rename((&found, &told), rename, behind, opened).await?;
            self.tell_rename(&found, (&left, to), &object, &outcome).await;
            match outcome {
                Outcome::Moved => {}
                Outcome::VersioningChanged => self.inner.buckets.forget(bucket),
                outcome => {
                    self.accepted(bucket, &outcome)?;
                    return Ok(written(&object));
                }
            }
        }
        Err(EngineError::Unavailable { context: "renaming an object that changes all the time" })
    }

    async fn commit_rename(
        &self,
        (bucket, told): (&Bucket, &Told),
        rename: RenameObject,
        behind: Vec<Write>,
        opened: ObjectHandle,
    ) -> Result<Outcome> {
        let put = &rename.put;
        let remove = &rename.source.remove;
        let mut records = match remove.marker_in(bucket.settings) {
            Some(marker) => ObjectRecord::manifest(bucket.id, &remove.key, &marker, &Told::put(bucket))?,
            None => Vec::new(),
        };
        if let Some(location) = put.object.content.packed() {
            let record = ObjectRecord::encode(put.bucket, &put.key, &put.object, told)?;
            // As they are stored: what is encrypted stays so, under the same key.
            let bytes = opened.reader.packed(location).await?;
            let tier = self.inner.pool.tiers.for_keeping(put.object.storage_class);
            return self.inner.packer.rename(tier, (bytes, record), records, rename, behind).await;
        }
        records.extend(ObjectRecord::manifest(put.bucket, &put.key, &put.object, told)?);
        let writes = std::iter::once(Write::Rename(Box::new(rename))).chain(behind).collect();
        // Like what is packed, which would find no room either.
        let unrecorded = Unrecorded::Refused;
        first(self.commit_recorded(records, Recorded { unrecorded, writes, ..Recorded::default() }).await?)
    }

    /// Lets the blocks tell what became of the old key, where no marker was recorded before; or that both were refused.
    async fn tell_rename(
        &self,
        bucket: &Bucket,
        (left, to): (&RemoveObject, &ObjectKey),
        put: &NewObject,
        outcome: &Outcome,
    ) {
        let marker = left.marker_in(bucket.settings);
        let is_done = matches!(outcome, Outcome::Done { .. } | Outcome::Marked { .. });
        match (is_done, marker) {
            (true, None) => self.inner.record_erased(bucket, left).await,
            (true, Some(_)) => {}
            (false, marker) => {
                self.tell_refusal(bucket, to, put, outcome).await;
                if let Some(marker) = marker {
                    self.tell_refusal(bucket, &left.key, &marker, outcome).await;
                }
            }
        }
    }
}

/// The rename of `object`, which was found at the old key.
fn renaming(
    bucket: &Bucket,
    (from, to): (&ObjectKey, &ObjectKey),
    object: &NewObject,
    conditions: &RenameConditions,
) -> Result<RenameObject> {
    let put = PutObject {
        bucket: bucket.id,
        key: to.clone(),
        conditions: conditions.target.clone(),
        object: NewObject {
            version: new_version(bucket.settings)?,
            write: WriteId::random().map_err(EngineError::drawing)?,
            ..object.clone()
        },
        blobs: Vec::new(),
    };
    let remove = RemoveObject {
        bucket: bucket.id,
        key: from.clone(),
        conditions: conditions.source.clone(),
        version: VersionId::random().map_err(EngineError::drawing)?,
        write: WriteId::random().map_err(EngineError::drawing)?,
        modified: UnixMillis::now(),
    };
    Ok(RenameObject { put, source: ExpireObject { expected: object.write, remove } })
}

/// All bytes of an object that is small.
pub(crate) async fn whole(opened: ObjectHandle) -> Result<Bytes> {
    let range = ByteRange { start: 0, end: opened.info().length_bytes };
    let mut stream = opened.read(range);
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.freeze())
}
