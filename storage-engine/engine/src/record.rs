//! What a block says of the object it holds, for the day the metadata is gone and for compaction today.

use granary_metadata::{Bucket, Content, NewObject, PartRef, VersionKind};
use granary_types::{
    Attributes, BucketId, Etag, ObjectKey, PartNumber, StorageClass, UploadId, VersionId, WriteId,
};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::told::{Deed, Stamp, Told};

/// The record of an object: everything its row holds but the place.
///
/// A packed object's record lies beside its bytes. What has no bytes of its own in a packed block (objects made of
/// blobs, empty objects, delete markers) has a record beside no bytes at all: its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The row; of the content of a packed object its encryption alone.
    pub object: NewObject,
}

/// Which part of a manifest a record is; it follows the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Counted from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// Blobs in one piece of a manifest: less than 64 KiB, whatever checksums they have.
const PARTS_PER_PIECE: usize = 400;

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
    pub(crate) fn encode(
        bucket: BucketId,
        key: &ObjectKey,
        object: &NewObject,
        told: &Told,
    ) -> Result<Vec<u8>> {
        let object = NewObject { content: object.content.without_place(), ..object.clone() };
        let record = postcard::to_stdvec(&Self { bucket, key: key.clone(), object });
        told.append_to(record.map_err(|_| EngineError::Internal("an object's record cannot be encoded"))?)
    }

    /// The records of an object that has no bytes in packed blocks. A manifest of many parts takes several; each tells
    /// all of the object but the other parts.
    pub(crate) fn manifest(
        bucket: BucketId,
        key: &ObjectKey,
        object: &NewObject,
        told: &Told,
    ) -> Result<Vec<Vec<u8>>> {
        let unencodable = |_| EngineError::Internal("a manifest cannot be encoded");
        let encode = |object: NewObject, piece: Piece| {
            let record = postcard::to_stdvec(&Self { bucket, key: key.clone(), object });
            told.append_to(postcard::to_extend(&piece, record.map_err(unencodable)?).map_err(unencodable)?)
        };
        let Some((parts, multipart)) = object.content.blobs() else {
            let object = NewObject { content: object.content.without_place(), ..object.clone() };
            return Ok(vec![encode(object, Piece { index: 0, of: 1 })?]);
        };
        let pieces = parts.chunks(PARTS_PER_PIECE);
        let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let piece = |(index, parts): (u32, &[PartRef])| {
            let content = Content::Blobs { parts: parts.to_vec(), multipart }.sealed_like(&object.content);
            encode(NewObject { content, ..object.clone() }, Piece { index, of })
        };
        (0_u32..).zip(pieces).map(piece).collect()
    }

    /// The record of a class that a version was given after it was put.
    pub(crate) fn of_class(
        bucket: &Bucket,
        key: &ObjectKey,
        object: &NewObject,
        class: StorageClass,
    ) -> Result<Vec<Vec<u8>>> {
        let object = NewObject { content: Content::Empty, ..object.clone() };
        Self::of_class_and_blobs(bucket, key, &object, class)
    }

    /// As [`Self::of_class`], of a version that refers to the blobs of `object` from then on.
    pub(crate) fn of_class_and_blobs(
        bucket: &Bucket,
        key: &ObjectKey,
        object: &NewObject,
        class: StorageClass,
    ) -> Result<Vec<Vec<u8>>> {
        let object = NewObject { storage_class: class, attributes: Attributes::default(), ..object.clone() };
        Self::manifest(bucket.id, key, &object, &Told::of(bucket, Deed::Retiered))
    }

    /// The record of a bucket. It is that of an object which never was, under the bucket's name: who does not know it for
    /// what it is lets it go.
    pub(crate) fn of_bucket(bucket: &Bucket, deed: Deed) -> Result<Vec<Vec<u8>>> {
        let nameless = |_| EngineError::Internal("a bucket's name is no key");
        let key = ObjectKey::new(bucket.name.as_str()).map_err(nameless)?;
        let write = WriteId::random().map_err(EngineError::drawing)?;
        let object = NewObject {
            version: VersionId::NULL,
            kind: VersionKind::DeleteMarker,
            write,
            modified: bucket.created,
            length_bytes: 0,
            etag: Etag::new(""),
            storage_class: StorageClass::Standard,
            checksum: None,
            attributes: Attributes::default(),
            content: Content::Empty,
        };
        Self::manifest(bucket.id, &key, &object, &Told::of(bucket, deed))
    }

    /// The record in a block.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// The record of the same version when it has another class: all else of it, its stamp too, stays.
    pub(crate) fn with_class(bytes: &[u8], class: StorageClass) -> Option<Vec<u8>> {
        let (mut record, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        record.object.storage_class = class;
        let mut changed = postcard::to_stdvec(&record).ok()?;
        changed.extend_from_slice(rest);
        Some(changed)
    }

    /// The record in a block with all that follows it. `beside_bytes` is the length of the bytes beside it: with none it
    /// is a piece of a manifest.
    pub(crate) fn decode_all(bytes: &[u8], beside_bytes: u32) -> Option<WholeRecord> {
        let (record, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let (piece, rest) = match beside_bytes {
            0 => postcard::take_from_bytes::<Piece>(rest).ok()?,
            _ => (Piece { index: 0, of: 1 }, rest),
        };
        let told = Told::read(rest).ok()?;
        Some(WholeRecord { record, piece, told })
    }
}

/// A record with all that follows it.
#[derive(Debug, Clone)]
pub(crate) struct WholeRecord {
    pub record: ObjectRecord,
    pub piece: Piece,
    /// Nothing of releases that told nothing.
    pub told: Option<(Told, Stamp)>,
}

impl BlobRecord {
    /// The record in a block.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// The bytes that go into the block.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|_| EngineError::Internal("a blob's record cannot be encoded"))
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
