//! What a block says of the object it holds, for the day the metadata is gone and for compaction today.

use granary_metadata::{Content, NewObject};
use granary_types::{BucketId, ObjectKey, PartNumber, UploadId, VersionId};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};

/// The record of a packed object: everything its row holds but the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The row, with [`Content::Empty`] in place of the location.
    pub object: NewObject,
}

/// What a blob's block was written for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobRecord {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version, for an object put whole.
    pub version: VersionId,
    /// The upload and part, for a part.
    pub part: Option<(UploadId, PartNumber)>,
}

impl ObjectRecord {
    /// The bytes that go into the block.
    pub(crate) fn encode(bucket: BucketId, key: &ObjectKey, object: &NewObject) -> Result<Vec<u8>> {
        let object = NewObject { content: Content::Empty, ..object.clone() };
        postcard::to_stdvec(&Self { bucket, key: key.clone(), object })
            .map_err(|_| EngineError::Internal("an object's record cannot be encoded"))
    }

    /// The record in a block.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl BlobRecord {
    /// The bytes that go into the block.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|_| EngineError::Internal("a blob's record cannot be encoded"))
    }
}
