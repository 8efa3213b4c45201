//! Copies by reference: an object or a part that consists of bytes of another object refers to the blobs of that, and no bytes
//! are moved.
//!
//! The commit makes the reference only if the blobs are still there, and with the last reference they become garbage: a delete or
//! a compaction that races with a copy never frees what the copy has. Whoever comes too late gets [`EngineError::BlobsGone`], and looks
//! at the source again.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use granary_metadata::{Commit, Content, PartRef, PartRow, ReferPart, Write};
use granary_types::{
    BlobId, BucketName, ObjectKey, PartNumber, StorageClass, UnixMillis, UploadId, WriteId, crash_point,
};

use crate::api::{ByteRange, Digests, PutOptions, PutSource, SourceError, UploadedPart, Written};
use crate::append::Beginning;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::quota::Amount;
use crate::read::{ObjectHandle, ObjectStream};
use crate::sealing::Encryption;
use crate::tiers::Tier;

/// Blobs asked for together.
const BLOBS_PAGE: usize = 1_000;

/// Whole blobs of an object that is opened, which another one may refer to.
pub struct SharedBlobs {
    opened: ObjectHandle,
    range: ByteRange,
    parts: Vec<PartRef>,
}

impl SharedBlobs {
    /// The bytes, for whoever needs a digest of them.
    #[must_use]
    pub fn read(&self) -> ObjectStream {
        self.opened.again().read(self.range)
    }

    /// How many bytes.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.range.length_bytes()
    }

    /// Whether it is one blob, as a part needs it.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.parts.len() == 1
    }
}

impl Engine {
    /// The blobs that hold `range` of an object, if an unencrypted object of `class` may refer to them: if the range consists of whole
    /// ones, they are not encrypted, and bytes of that class belong where they lie.
    ///
    /// # Errors
    /// [`EngineError::NoDrivesForClass`], and when the metadata fails.
    pub async fn shared_blobs(
        &self,
        opened: &ObjectHandle,
        range: ByteRange,
        class: StorageClass,
    ) -> Result<Option<SharedBlobs>> {
        let Content::Blobs { parts, .. } = &opened.row.object.content else { return Ok(None) };
        let Some(parts) = parts_of(parts, range) else { return Ok(None) };
        if !self.lie_in(&parts, self.inner.pool.tiers.for_writing(class)?).await? {
            return Ok(None);
        }
        Ok(Some(SharedBlobs { opened: opened.again(), range, parts }))
    }

    /// Whether all bytes of these parts lie in the tier. What spilled, is on its way to another class or was written under other rules
    /// does not, whatever the class of its object says.
    async fn lie_in(&self, parts: &[PartRef], tier: Tier) -> Result<bool> {
        if !self.inner.pool.tiers.is_tiered() {
            return Ok(true);
        }
        let mut ids: Vec<BlobId> = parts.iter().map(|part| part.blob).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut volumes = BTreeSet::new();
        for ids in ids.chunks(BLOBS_PAGE) {
            let blobs = self.inner.store.blobs(ids).await?;
            volumes.extend(blobs.iter().flat_map(|blob| &blob.extents).map(|extent| extent.volume));
        }
        for volume in volumes {
            let row = self.inner.store.volume(volume).await?;
            if !row.is_some_and(|row| self.inner.pool.tiers.is_in(&row, tier)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stores an object that consists of these blobs. `source` gives no bytes, and at its end the digests of theirs: it is asked when
    /// it is known that there is room for the object.
    ///
    /// # Errors
    /// [`EngineError::BlobsGone`] if the object they were found at was deleted or changed meanwhile; and as [`Engine::put_object`].
    pub async fn put_shared(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        options: PutOptions,
        shared: &SharedBlobs,
        source: &mut dyn PutSource,
    ) -> Result<Written> {
        if !matches!(options.encryption, Encryption::None) {
            return Err(EngineError::Internal("an encrypted object was to share its bytes"));
        }
        let length_bytes = shared.length_bytes();
        let parts = renumbered(&shared.parts)?;
        let number = parts.last().map(|part| part.number);
        let number = number.ok_or(EngineError::Internal("a copy of no blobs"))?;
        let beginning = Beginning { parts, multipart: false, length_bytes, number };
        let mut nothing_more = NothingMore { source, length_bytes };
        self.put_behind(bucket, key, options, &mut nothing_more, Some(beginning)).await
    }

    /// Stores a part of an upload without encryption that consists of these blobs, of which there must be one. `source` is as for
    /// [`Engine::put_shared`].
    ///
    /// # Errors
    /// [`EngineError::BlobsGone`] as for [`Engine::put_shared`]; and as [`Engine::put_part`].
    pub async fn refer_part(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        (upload, number): (UploadId, PartNumber),
        shared: &SharedBlobs,
        source: &mut dyn PutSource,
    ) -> Result<UploadedPart> {
        let [blob] = shared.parts.as_slice() else {
            return Err(EngineError::Internal("a part was to refer to several blobs"));
        };
        let found = self.bucket(bucket).await?;
        self.unsealed_upload(found.id, key, upload).await?;
        let length_bytes = shared.length_bytes();
        let _room = self.room(&found, Amount { bytes: length_bytes, objects: 0 }).await?;
        let digests = source.finish().await.map_err(EngineError::Source)?;
        let part = UploadedPart {
            number,
            write: WriteId::random().map_err(EngineError::drawing)?,
            modified: UnixMillis::now(),
            length_bytes,
            etag: digests.etag,
            checksum: digests.checksum,
        };
        let row = PartRow {
            number,
            write: part.write,
            modified: part.modified,
            length_bytes,
            etag: part.etag.clone(),
            checksum: part.checksum.clone(),
            blob: blob.blob,
        };
        let refer = ReferPart { bucket: found.id, key: key.clone(), upload, part: row };
        let commit = Commit { advances: Vec::new(), writes: vec![Write::ReferPart(Box::new(refer))] };
        let outcome = self.commit_one(commit).await?;
        crash_point("part.after_commit_before_ack");
        self.accepted(bucket, &outcome)?;
        Ok(part)
    }
}

/// The parts that make up exactly this range.
fn parts_of(parts: &[PartRef], range: ByteRange) -> Option<Vec<PartRef>> {
    let mut at = 0_u64;
    let mut found = Vec::new();
    // Nothing refers to a part without bytes.
    for part in parts.iter().filter(|part| part.length_bytes > 0) {
        let end = at.checked_add(part.length_bytes)?;
        if at >= range.start && end <= range.end {
            found.push(part.clone());
        } else if at < range.end && end > range.start {
            // A part of which only some is in the range.
            return None;
        }
        at = end;
    }
    let held: u64 = found.iter().map(|part| part.length_bytes).sum();
    (held == range.length_bytes() && !found.is_empty()).then_some(found)
}

/// The parts of an object that was not uploaded in parts: they have no checksums of their own.
fn renumbered(parts: &[PartRef]) -> Result<Vec<PartRef>> {
    let numbered = (1_u32..).zip(parts).map(|(number, part)| {
        let number = PartNumber::new(number).map_err(|_| EngineError::TooManyParts)?;
        Ok(PartRef { number, checksum: None, ..part.clone() })
    });
    numbered.collect()
}

/// The body behind blobs that are the whole object.
struct NothingMore<'s> {
    source: &'s mut dyn PutSource,
    length_bytes: u64,
}

#[async_trait]
impl PutSource for NothingMore<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        self.source.finish().await
    }

    /// Of the object, as its quota counts it.
    fn length_hint_bytes(&self) -> Option<u64> {
        Some(self.length_bytes)
    }
}

#[cfg(test)]
#[path = "refer_tests.rs"]
mod tests;
