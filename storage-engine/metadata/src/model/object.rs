//! Object versions and where their bytes are.

use granary_types::{
    Attributes, BlobId, Checksum, Etag, PartNumber, Seal, StorageClass, UnixMillis, VersionId, VolumeId,
    WriteId,
};
use serde::{Deserialize, Serialize};

use super::lock::ObjectLock;

/// An object or the mark that it was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionKind {
    /// An object with bytes (perhaps none).
    Object,
    /// A delete marker.
    DeleteMarker,
}

/// Where a packed object lies: whole, in one data block of one stripe.
///
/// Offsets count from the start of the shard file. The bytes themselves are one read of `length_bytes` at
/// `offset` in the shard file of `column`; the stripe is named so that the other columns can rebuild them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackedLocation {
    /// The volume.
    pub volume: VolumeId,
    /// Where the stripe begins, the same in every shard file.
    pub stripe_offset: u64,
    /// The data column that holds the object.
    pub column: u8,
    /// Where the object's bytes begin in the shard file of `column`.
    pub offset: u64,
    /// How many bytes.
    pub length_bytes: u32,
    /// BLAKE3 of the stored bytes.
    pub hash: [u8; 32],
}

/// A run of consecutive stripes of one volume that hold consecutive bytes of one blob.
///
/// All stripes but the last hold `stripe_data_bytes` (k blocks of equal length) of the blob; the last holds the
/// rest. The engine derives each stripe's place from these numbers; see its `layout` module.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// The volume.
    pub volume: VolumeId,
    /// Where the first stripe begins in each shard file.
    pub offset: u64,
    /// How many bytes of the blob the extent holds.
    pub length_bytes: u64,
}

/// One blob of a large object; multipart objects have one for each part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRef {
    /// The part number; 1 for an object that was put whole.
    pub number: PartNumber,
    /// The blob that holds the bytes.
    pub blob: BlobId,
    /// The length of the part as clients see it; what is stored of an encrypted one is longer.
    pub length_bytes: u64,
    /// The part's own checksum, if it has one.
    pub checksum: Option<Checksum>,
}

/// An object's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// No bytes.
    Empty,
    /// Small by value: one place in one block.
    Packed(PackedLocation),
    /// Large by reference: whole blobs, one after the other. `multipart` tells a completed upload (even of one
    /// part) from an object that was put whole.
    Blobs {
        /// The blobs in order.
        parts: Vec<PartRef>,
        /// Whether a multipart upload made it.
        multipart: bool,
    },
    /// As [`Content::Empty`], of an object that is encrypted.
    SealedEmpty(Box<Seal>),
    /// As [`Content::Packed`]; the bytes there are encrypted.
    SealedPacked(Box<Seal>, PackedLocation),
    /// As [`Content::Blobs`]; the bytes of each blob are encrypted, as a stream of their own.
    SealedBlobs {
        /// How.
        seal: Box<Seal>,
        /// The blobs in order.
        parts: Vec<PartRef>,
        /// Whether a multipart upload made it.
        multipart: bool,
    },
}

impl Content {
    /// The same place, of bytes that are encrypted as `seal` tells.
    #[must_use]
    pub fn sealed(self, seal: Seal) -> Self {
        let seal = Box::new(seal);
        match self {
            Self::Empty | Self::SealedEmpty(_) => Self::SealedEmpty(seal),
            Self::Packed(location) | Self::SealedPacked(_, location) => Self::SealedPacked(seal, location),
            Self::Blobs { parts, multipart } | Self::SealedBlobs { parts, multipart, .. } => {
                Self::SealedBlobs { seal, parts, multipart }
            }
        }
    }

    /// The same place, of bytes that are encrypted as those of `other`.
    #[must_use]
    pub fn sealed_like(self, other: &Self) -> Self {
        match other.seal() {
            Some(seal) => self.sealed(seal.clone()),
            None => self,
        }
    }

    /// How the bytes are encrypted, if they are.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        match self {
            Self::Empty | Self::Packed(_) | Self::Blobs { .. } => None,
            Self::SealedEmpty(seal) | Self::SealedPacked(seal, _) | Self::SealedBlobs { seal, .. } => {
                Some(seal)
            }
        }
    }

    /// Where a packed object lies.
    #[must_use]
    pub fn packed(&self) -> Option<&PackedLocation> {
        match self {
            Self::Packed(location) | Self::SealedPacked(_, location) => Some(location),
            _ => None,
        }
    }

    /// As [`Content::packed`], to be changed.
    pub fn packed_mut(&mut self) -> Option<&mut PackedLocation> {
        match self {
            Self::Packed(location) | Self::SealedPacked(_, location) => Some(location),
            _ => None,
        }
    }

    /// The blobs of a large object in order, and whether a multipart upload made it.
    #[must_use]
    pub fn blobs(&self) -> Option<(&[PartRef], bool)> {
        match self {
            Self::Blobs { parts, multipart } | Self::SealedBlobs { parts, multipart, .. } => {
                Some((parts, *multipart))
            }
            _ => None,
        }
    }

    /// The blobs of a large object in order; none of another one.
    #[must_use]
    pub fn parts(&self) -> &[PartRef] {
        self.blobs().map_or(&[], |(parts, _)| parts)
    }

    /// As [`Content::parts`], to be changed.
    pub fn parts_mut(&mut self) -> &mut [PartRef] {
        match self {
            Self::Blobs { parts, .. } | Self::SealedBlobs { parts, .. } => parts,
            _ => &mut [],
        }
    }

    /// What is told of it where its place is not: the encryption alone.
    #[must_use]
    pub fn without_place(&self) -> Self {
        match self.seal() {
            Some(seal) => Self::SealedEmpty(Box::new(seal.clone())),
            None => Self::Empty,
        }
    }
}

/// A version to be written. The store gives it its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewObject {
    /// The version; [`VersionId::NULL`] while versioning is off.
    pub version: VersionId,
    /// Object or delete marker.
    pub kind: VersionKind,
    /// The request that writes it.
    pub write: WriteId,
    /// The time shown as Last-Modified.
    pub modified: UnixMillis,
    /// The length of the object as clients see it.
    pub length_bytes: u64,
    /// Its entity tag.
    pub etag: Etag,
    /// The storage class asked for.
    pub storage_class: StorageClass,
    /// Its checksum, if it has one.
    pub checksum: Option<Checksum>,
    /// Headers and user metadata.
    pub attributes: Attributes,
    /// Where the bytes are.
    pub content: Content,
}

/// A version as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// Its place among the versions of its key: the previous order + 1.
    pub order: u64,
    /// Everything else.
    pub object: NewObject,
    /// How many tags it has, as reads tell it; outcomes need not.
    pub tag_count: u16,
    /// Its locks. Entries of backups carry them beside the row.
    #[serde(skip)]
    pub lock: ObjectLock,
}

/// A blob to be written together with the row that first refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBlob {
    /// Its id.
    pub id: BlobId,
    /// Its bytes, in order.
    pub extents: Vec<Extent>,
}

/// A blob as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    /// Its id.
    pub id: BlobId,
    /// Its bytes, in order.
    pub extents: Vec<Extent>,
}
