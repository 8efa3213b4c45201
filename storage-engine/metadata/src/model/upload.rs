//! Multipart uploads and their parts.

use granary_types::{BlobId, BucketId, Checksum, Etag, ObjectKey, PartNumber, UnixMillis, UploadId, WriteId};

use serde::{Deserialize, Serialize};

use super::commit::NewUpload;

/// An upload in progress.
pub type UploadRow = NewUpload;

/// A stored part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// The part.
    pub number: PartNumber,
    /// The request that wrote it.
    pub write: WriteId,
    /// When.
    pub modified: UnixMillis,
    /// Its length as clients see it.
    pub length_bytes: u64,
    /// Its MD5.
    pub etag: Etag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Its bytes.
    pub blob: BlobId,
}

/// Which parts of an upload to list, by number.
#[derive(Debug, Clone)]
pub struct PartQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// Only part numbers above this.
    pub after: u16,
    /// At most this many.
    pub limit: u32,
}

/// Some parts, by number.
#[derive(Debug, Clone)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<PartRow>,
    /// Whether more follow.
    pub more: bool,
}

/// Which uploads of a bucket to list, by key, then by start.
#[derive(Debug, Clone)]
pub struct UploadQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that begin with this.
    pub prefix: String,
    /// As in [`super::ListQuery`].
    pub delimiter: Option<String>,
    /// Only keys after this one, or this key with uploads after `after_upload`. Without `after_upload`, the key
    /// itself (or common prefix) is skipped.
    pub after_key: Option<String>,
    /// Only uploads of `after_key` after this one.
    pub after_upload: Option<UploadId>,
    /// At most this many uploads and common prefixes together.
    pub limit: u32,
}

/// An upload or a rolled-up prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a page has mostly uploads")]
pub enum UploadEntry {
    /// An upload.
    Upload(UploadRow),
    /// All keys that begin with this.
    CommonPrefix(String),
}

/// Entries in order.
#[derive(Debug, Clone)]
pub struct UploadPage {
    /// The entries.
    pub entries: Vec<UploadEntry>,
    /// Whether more follow.
    pub more: bool,
}
