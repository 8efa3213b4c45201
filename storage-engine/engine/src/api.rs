//! What the engine is asked and what it answers: plain values, free of HTTP and of volumes.

use async_trait::async_trait;
use bytes::Bytes;
use granary_types::{
    Attributes, BucketName, Checksum, ChecksumAlgorithm, ChecksumKind, Etag, ObjectKey, PartNumber,
    StorageClass, UnixMillis, VersionId, WriteId,
};

use crate::sealing::{Encryption, EncryptionInfo};

pub use granary_metadata::{
    Bucket, BucketChange, BucketLock, BucketPage, BucketQuery, BucketSettings, Bypass, DefaultRetention,
    LegalHold, ListEntry, ListPage, ListedObject, ListedVersion, LockChange, LockMode, ObjectLock, Restored,
    Retention, RetentionPeriod, Tag, TagMatch, UploadEntry, UploadPage, VersionEntry, VersionKind,
    VersionMarker, VersionPage, Versioning, WriteConditions,
};

/// An error of the caller's own making inside a [`PutSource`]; handed back as it came in
/// [`crate::EngineError::Source`].
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a body only after its last byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The MD5 in hexadecimal (the engine does not check it).
    pub etag: Etag,
    /// The checksum to keep.
    pub checksum: Option<Checksum>,
}

/// What is known of a body that is in memory as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All of it.
    Digested(Digests),
    /// All but its MD5, which the engine computes together with those of other bodies; and the checksum to keep.
    ButMd5(Option<Checksum>),
}

/// A body being received. The engine pulls it, so back-pressure reaches the client.
#[async_trait]
pub trait PutSource: Send {
    /// The next bytes (never empty), or `None` at the end.
    ///
    /// # Errors
    /// Aborts the write: nothing is stored.
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError>;

    /// Called once, after `next` gave `None` and before anything is committed: the place to verify lengths,
    /// signatures and digests. It may wait for digests that are still being computed; what was received is written
    /// and flushed meanwhile.
    ///
    /// # Errors
    /// Aborts the write: nothing is stored.
    async fn finish(&mut self) -> Result<Digests, SourceError>;

    /// Called instead of [`PutSource::finish`] for a body that the engine has in memory as a whole and can hash itself.
    ///
    /// # Errors
    /// Aborts the write: nothing is stored.
    async fn finish_but_md5(&mut self) -> Result<Ended, SourceError> {
        self.finish().await.map(Ended::Digested)
    }

    /// The length announced, if any. Used to choose the layout; never trusted.
    fn length_hint_bytes(&self) -> Option<u64>;
}

/// How an object is put.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Headers and user metadata to keep.
    pub attributes: Attributes,
    /// The storage class asked for.
    pub storage_class: StorageClass,
    /// Decided when the object is committed.
    pub conditions: WriteConditions,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its locks; a retention goes before the bucket's default.
    pub lock: ObjectLock,
    /// How it is to be encrypted.
    pub encryption: Encryption,
    /// Its access control list, into which the engine does not look; `None` for the default one.
    pub acl: Option<String>,
}

/// An object was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its entity tag.
    pub etag: Etag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Its length.
    pub length_bytes: u64,
    /// Its version; `None` for the null version.
    pub version: Option<VersionId>,
    /// When it was written.
    pub modified: UnixMillis,
    /// How it is encrypted, if it is.
    pub encryption: Option<EncryptionInfo>,
}

/// A part of a multipart object, as GetObjectAttributes shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its number.
    pub number: PartNumber,
    /// Its length.
    pub length_bytes: u64,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// An object as HEAD shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its version; `None` if its bucket never had versioning.
    pub version: Option<VersionId>,
    /// The write that made it. A completed upload's has the bytes of the upload's id.
    pub write: WriteId,
    /// Its length.
    pub length_bytes: u64,
    /// Its entity tag.
    pub etag: Etag,
    /// Last-Modified.
    pub modified: UnixMillis,
    /// Its storage class.
    pub storage_class: StorageClass,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Headers and user metadata.
    pub attributes: Attributes,
    /// Its parts if a multipart upload made it, in order; `None` if it was put whole.
    pub parts: Option<Vec<PartInfo>>,
    /// How many tags it has.
    pub tag_count: u16,
    /// Its locks.
    pub lock: ObjectLock,
    /// How it is encrypted, if it is.
    pub encryption: Option<EncryptionInfo>,
    /// Of an archive class: whether it can be read or is being restored; `None` for neither.
    pub restored: Option<RestoreState>,
}

/// How urgent a restore is: of those that wait, the more urgent ones are done first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are AWS's names")]
pub enum Urgency {
    Expedited,
    #[default]
    Standard,
    Bulk,
}

/// How far the restore of a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreState {
    /// It was asked for and is not done yet: the version cannot be read.
    Ongoing,
    /// The version can be read.
    Done(Restored),
}

/// A version was restored, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    /// The version, if it is shown.
    pub version: Option<VersionId>,
    /// Whether it could be read already, so that only the end of that is another.
    pub was_restored: bool,
    /// How far the restore is.
    pub state: RestoreState,
}

/// Bytes `start` up to but not including `end` of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte; at most the object's length.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes.
    #[must_use]
    pub fn length_bytes(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// One page of a listing, in byte order of the keys.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Roll up keys at the first occurrence of this after the prefix.
    pub delimiter: Option<String>,
    /// Only entries after this key or common prefix.
    pub after: Option<String>,
    /// At most this many entries.
    pub limit: u32,
}

/// One page of all versions of a bucket's keys; see [`ListOptions`].
#[derive(Debug, Clone, Default)]
pub struct ListVersionsOptions {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Roll up keys at the first occurrence of this after the prefix.
    pub delimiter: Option<String>,
    /// Only entries after this key or common prefix.
    pub after: Option<String>,
    /// Also the versions of `after` behind this one.
    pub after_version: Option<VersionMarker>,
    /// At most this many entries.
    pub limit: u32,
}

/// One page of uploads in progress; see [`ListOptions`].
#[derive(Debug, Clone, Default)]
pub struct ListUploadsOptions {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Roll up keys at the first occurrence of this after the prefix.
    pub delimiter: Option<String>,
    /// Only uploads of keys after this one (or of this key after `after_upload`).
    pub after_key: Option<String>,
    /// Only uploads of `after_key` after this one.
    pub after_upload: Option<granary_types::UploadId>,
    /// At most this many entries.
    pub limit: u32,
}

/// How a multipart upload begins.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions {
    /// Who begins it.
    pub owner: String,
    /// Headers and user metadata of the object to be.
    pub attributes: Attributes,
    /// The class of the object to be.
    pub storage_class: StorageClass,
    /// The checksum the client chose, kept for the parts and the completion.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// The tags of the object to be.
    pub tags: Vec<Tag>,
    /// The locks of the object to be; a retention goes before the bucket's default.
    pub lock: ObjectLock,
    /// How the object to be is encrypted.
    pub encryption: Encryption,
    /// The access control list of the object to be.
    pub acl: Option<String>,
}

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// When it began.
    pub initiated: UnixMillis,
    /// Who began it.
    pub owner: String,
    /// The class of the object to be.
    pub storage_class: StorageClass,
    /// The checksum the client chose.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// How the object to be is encrypted, if it is.
    pub encryption: Option<EncryptionInfo>,
}

/// A stored part of an upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number.
    pub number: PartNumber,
    /// The write that stored it; names exactly this content of the part in [`CompleteOptions`].
    pub write: WriteId,
    /// When.
    pub modified: UnixMillis,
    /// Its length.
    pub length_bytes: u64,
    /// Its MD5.
    pub etag: Etag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// Some parts, by number.
#[derive(Debug, Clone)]
pub struct UploadedPartPage {
    /// The parts.
    pub parts: Vec<UploadedPart>,
    /// Whether more follow.
    pub more: bool,
}

/// How an upload becomes an object. The frontend has checked the client's list against the parts.
#[derive(Debug, Clone)]
pub struct CompleteOptions {
    /// The parts of the object, ascending, as [`crate::Engine::uploaded_parts`] gave them.
    pub parts: Vec<UploadedPart>,
    /// The object's entity tag.
    pub etag: Etag,
    /// The object's checksum.
    pub checksum: Option<Checksum>,
    /// Decided when the object is committed.
    pub conditions: WriteConditions,
}

/// One key of a DeleteObjects request.
#[derive(Debug, Clone)]
pub struct DeleteEntry {
    /// The key.
    pub key: ObjectKey,
    /// The version to delete for good; `None` deletes the key as the bucket's versioning says.
    pub version: Option<VersionId>,
    /// Which locks of that version do not hold.
    pub bypass: Bypass,
    /// Decided when the delete is committed.
    pub conditions: WriteConditions,
}

/// What a delete did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The object, if there was one, is gone for good.
    Gone,
    /// The key is hidden by a delete marker of this version.
    Marked(VersionId),
    /// A delete marker is gone for good.
    MarkerGone,
}

/// The object a copy reads.
#[derive(Debug, Clone)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
}
