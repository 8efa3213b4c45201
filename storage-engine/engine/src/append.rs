//! Appending: an object becomes one that goes on. A large one keeps its blobs and gets one more; what is packed is
//! written again with what is new.

use async_trait::async_trait;
use bytes::Bytes;
use granary_metadata::{Content, PartRef, TagMatch};
use granary_types::{BucketName, ObjectKey, PartNumber};

use crate::api::{Digests, PutOptions, PutSource, SourceError, WriteConditions, Written};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::read::ObjectHandle;
use crate::rename::whole;
use crate::restore::check_readable;

impl Engine {
    /// Appends the body of `source` to the current version of a key, which is `opened`; what its digests say is of the whole.
    /// Headers, metadata, tags, access control list and storage class stay. If the object is another one when this is committed, nothing is
    /// appended.
    ///
    /// # Errors
    /// [`EngineError::PreconditionFailed`] if the object is another one by then, or `conditions` do not hold;
    /// [`EngineError::NoSuchKey`] if it is gone; [`EngineError::TooManyParts`]; [`EngineError::EncryptedAppend`]; and as
    /// [`Engine::put_object`].
    pub async fn append_object(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        opened: ObjectHandle,
        conditions: WriteConditions,
        source: &mut dyn PutSource,
    ) -> Result<Written> {
        let object = opened.row.object.clone();
        check_readable(object.storage_class, opened.info().restored)?;
        let tags = match opened.row.tag_count {
            0 => Vec::new(),
            _ => self.inner.store.object_tags(opened.bucket, key, object.write).await?,
        };
        let acl = self.acl_of(opened.bucket, key, object.write).await?;
        let same = TagMatch::OneOf(vec![object.etag.clone()]);
        // Both conditions must hold; a client's that names another tag does not.
        let if_match = match conditions.if_match {
            Some(TagMatch::OneOf(tags)) if !tags.contains(&object.etag) => {
                return Err(EngineError::PreconditionFailed);
            }
            _ => Some(same),
        };
        let options = PutOptions {
            attributes: object.attributes,
            storage_class: object.storage_class,
            conditions: WriteConditions {
                if_match,
                if_none_match: conditions.if_none_match,
                if_modified_at: Some(object.modified),
                if_length_bytes: Some(object.length_bytes),
            },
            tags,
            acl,
            ..PutOptions::default()
        };
        let (parts, multipart) = match object.content {
            Content::Blobs { parts, multipart } => (parts, multipart),
            Content::SealedEmpty(_) | Content::SealedPacked(..) | Content::SealedBlobs { .. } => {
                return Err(EngineError::EncryptedAppend);
            }
            Content::Empty | Content::Packed(_) => {
                let mut source = Behind { before: Some(whole(opened).await?), source };
                return self.put_object(bucket, key, options, &mut source).await;
            }
        };
        let (number, length_bytes) = (next_number(&parts)?, object.length_bytes);
        let beginning = Beginning { parts, multipart, length_bytes, number };
        let written = self.put_behind(bucket, key, options, source, Some(beginning)).await;
        // Until here the blobs are kept by the version that refers to them, and by this.
        drop(opened);
        written
    }
}

/// What an object begins with, which is stored already.
pub(crate) struct Beginning {
    pub(crate) parts: Vec<PartRef>,
    pub(crate) multipart: bool,
    pub(crate) length_bytes: u64,
    /// The number of the part that comes next.
    pub(crate) number: PartNumber,
}

fn next_number(parts: &[PartRef]) -> Result<PartNumber> {
    let last = parts.last().map_or(0, |part| u32::from(part.number.get()));
    PartNumber::new(last.saturating_add(1)).map_err(|_| EngineError::TooManyParts)
}

/// A body behind bytes that are there.
struct Behind<'s> {
    before: Option<Bytes>,
    source: &'s mut dyn PutSource,
}

#[async_trait]
impl PutSource for Behind<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        match self.before.take().filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.source.next().await,
        }
    }

    async fn finish(&mut self) -> Result<Digests, SourceError> {
        self.source.finish().await
    }

    fn length_hint_bytes(&self) -> Option<u64> {
        None
    }
}
