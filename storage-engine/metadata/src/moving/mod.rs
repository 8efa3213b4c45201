//! Moving the metadata of a store as a whole: from one backend to another, into a backup and back.
//!
//! Everything a store knows is a stream of typed [`Entry`]s, [`Table`] by table. Whatever can be read that way is an
//! [`Export`], whatever can be filled that way an [`Import`], and [`copy`] joins any two of them, so there is no code for a
//! pair of backends. The import keeps in its own transactions how far it has come ([`CopyState`]): a copy that was killed at
//! any point goes on where it stopped, and a store that holds an unfinished copy refuses to be opened. When all is there,
//! both sides are read once more and compared by [`Digests`]: a count and a hash over the entries' canonical encoding for
//! each table and bucket, which do not depend on the order they are read in.
//!
//! What is not moved: what only the backend itself needs (logs, generations, the rows of writers), and what buckets hold,
//! which is added up from the entries while they are stored.

mod backup;
mod copy;
mod digest;
mod frame_file;

use async_trait::async_trait;
use granary_types::{BlobId, BucketId, DriveClass, ObjectKey, UploadId, WriteId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{
    Bucket, BucketDocument, DriveRow, Extent, IdentityDocument, NewUpload, ObjectLock, ObjectRow, PartRow,
    QueuedEvent, Restored, Tag, VolumeRow, WarmRow,
};
use crate::sqlite::apply::blobs::{Referrer, object_referrer};
use crate::sqlite::codec::{LockColumns, StoredObject};
use crate::sqlite::failure::Failure;

pub use backup::{Backup, FrameSink, FrameSource, Manifest, back_up};
pub use copy::{CopyOptions, CopyReport, Phase, Progress, copy, digests};
pub use digest::{Difference, Digests, SetDigest};
pub use frame_file::{FrameEncoder, FrameFile, FrameFileSink};

/// What a store is made of, in the order it is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the entries are documented")]
pub enum Table {
    Drives,
    Volumes,
    Buckets,
    Blobs,
    References,
    Objects,
    Versions,
    Uploads,
    Parts,
    Tags,
    Documents,
    Identities,
    Acls,
    Events,
    Restores,
    Warmth,
}

impl Table {
    /// All of them, in the order they are copied.
    pub const ALL: [Self; 16] = [
        Self::Drives,
        Self::Volumes,
        Self::Buckets,
        Self::Blobs,
        Self::References,
        Self::Objects,
        Self::Versions,
        Self::Uploads,
        Self::Parts,
        Self::Tags,
        Self::Documents,
        Self::Identities,
        Self::Acls,
        Self::Events,
        Self::Restores,
        Self::Warmth,
    ];

    /// The name shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drives => "drives",
            Self::Volumes => "volumes",
            Self::Buckets => "buckets",
            Self::Blobs => "blobs",
            Self::References => "references",
            Self::Objects => "objects",
            Self::Versions => "versions",
            Self::Uploads => "uploads",
            Self::Parts => "parts",
            Self::Tags => "tags",
            Self::Documents => "configurations",
            Self::Identities => "identities",
            Self::Acls => "access control lists",
            Self::Events => "events",
            Self::Restores => "restored versions",
            Self::Warmth => "warm versions",
        }
    }
}

/// A version with all that a store knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub row: ObjectRow,
    /// The highest order the key ever gave.
    pub top_order: u64,
    /// Object lock: mode, until when in milliseconds, legal hold.
    pub lock: (Option<i64>, Option<i64>, i64),
    /// How many older versions the key has; 0 for an older version.
    pub older_count: u64,
}

impl VersionEntry {
    /// Of a version that was found without its metadata. The locks are those of the row.
    #[must_use]
    pub fn found(bucket: BucketId, key: ObjectKey, row: ObjectRow, top_order: u64, older_count: u64) -> Self {
        Self::new(bucket, key, StoredObject { row, top_order }, older_count)
    }

    /// Its locks.
    ///
    /// # Errors
    /// [`crate::MetadataError::Corrupt`] if they cannot be understood.
    pub fn object_lock(&self) -> Result<ObjectLock> {
        let stored = self.stored().map_err(|failure| failure.into_error("reading a version's locks"))?;
        Ok(stored.row.lock)
    }

    pub(crate) fn new(bucket: BucketId, key: ObjectKey, stored: StoredObject, older_count: u64) -> Self {
        let StoredObject { mut row, top_order } = stored;
        // In the entry it is beside the row, as in the tables.
        let LockColumns { mode, until_ms, legal_hold } = std::mem::take(&mut row.lock).into();
        Self { bucket, key, row, top_order, lock: (mode, until_ms, legal_hold), older_count }
    }

    pub(crate) fn stored(&self) -> Result<StoredObject, Failure> {
        let (mode, until_ms, legal_hold) = self.lock;
        let lock = LockColumns { mode, until_ms, legal_hold }.lock()?;
        Ok(StoredObject { row: ObjectRow { lock, ..self.row.clone() }, top_order: self.top_order })
    }
}

/// One thing that a store knows. The order of the variants is part of the backup format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "most entries are versions")]
pub enum Entry {
    /// A drive whose class nobody told; its row leaves the class out. See [`Entry::of_drive`].
    Drive(DriveRow),
    /// A volume, and how many items live in it.
    Volume(VolumeRow, u64),
    /// A bucket.
    Bucket(Bucket),
    /// A blob.
    Blob(BlobId, Vec<Extent>),
    /// That something refers to a blob.
    Reference(BlobId, Referrer),
    /// The current version of a key.
    Object(VersionEntry),
    /// An older version of a key.
    Version(VersionEntry),
    /// An upload in progress.
    Upload(NewUpload),
    /// A part of one.
    Part(BucketId, UploadId, PartRow),
    /// The tags of the version that a write made.
    Tags(BucketId, ObjectKey, WriteId, Vec<Tag>),
    /// A configuration of a bucket.
    Document(BucketDocument),
    /// An account, user, group, role or policy.
    Identity(IdentityDocument),
    /// The access control list of the version that a write made.
    Acl(BucketId, ObjectKey, WriteId, Vec<u8>),
    /// An event that waits to be sent.
    Event(QueuedEvent),
    /// A drive of another class, and the class.
    ClassedDrive(DriveRow, DriveClass),
    /// Until when the version that a write made is readable.
    Restore(BucketId, ObjectKey, WriteId, Restored),
    /// How warm the version that a write made is.
    Warm(BucketId, ObjectKey, WriteId, WarmRow),
}

impl Entry {
    /// A drive. One whose class nobody told is as it was before there were classes, so that older backups equal what they become.
    #[must_use]
    pub fn of_drive(row: DriveRow) -> Self {
        match row.class {
            DriveClass::Untold => Self::Drive(row),
            class => Self::ClassedDrive(row, class),
        }
    }

    /// The drive, if it is one.
    #[must_use]
    pub fn drive(&self) -> Option<DriveRow> {
        match self {
            Self::Drive(row) => Some(DriveRow { class: DriveClass::Untold, ..row.clone() }),
            Self::ClassedDrive(row, class) => Some(DriveRow { class: *class, ..row.clone() }),
            _ => None,
        }
    }

    /// The table the entry belongs to.
    #[must_use]
    pub fn table(&self) -> Table {
        match self {
            Self::Drive(_) | Self::ClassedDrive(..) => Table::Drives,
            Self::Volume(..) => Table::Volumes,
            Self::Bucket(_) => Table::Buckets,
            Self::Blob(..) => Table::Blobs,
            Self::Reference(..) => Table::References,
            Self::Object(_) => Table::Objects,
            Self::Version(_) => Table::Versions,
            Self::Upload(_) => Table::Uploads,
            Self::Part(..) => Table::Parts,
            Self::Tags(..) => Table::Tags,
            Self::Document(_) => Table::Documents,
            Self::Identity(_) => Table::Identities,
            Self::Acl(..) => Table::Acls,
            Self::Event(_) => Table::Events,
            Self::Restore(..) => Table::Restores,
            Self::Warm(..) => Table::Warmth,
        }
    }

    /// The bucket it belongs to, if it belongs to one.
    #[must_use]
    pub fn bucket(&self) -> Option<BucketId> {
        match self {
            Self::Drive(_)
            | Self::ClassedDrive(..)
            | Self::Volume(..)
            | Self::Blob(..)
            | Self::Reference(..)
            | Self::Identity(_) => None,
            Self::Bucket(bucket) => Some(bucket.id),
            Self::Object(version) | Self::Version(version) => Some(version.bucket),
            Self::Upload(upload) => Some(upload.bucket),
            Self::Part(bucket, ..)
            | Self::Tags(bucket, ..)
            | Self::Acl(bucket, ..)
            | Self::Restore(bucket, ..)
            | Self::Warm(bucket, ..) => Some(*bucket),
            Self::Document(document) => Some(document.bucket),
            Self::Event(event) => Some(event.place.bucket),
        }
    }
}

/// Where a walk over a table stands. Only the export that gave it understands it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub(crate) Vec<u8>);

impl Place {
    /// A place that an export of its own kind understands.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What it was made of.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Who refers to the blob at `index` of a version: the second half of [`Entry::Reference`].
#[must_use]
pub fn referrer(bucket: BucketId, key: &ObjectKey, order: u64, index: u32) -> Referrer {
    object_referrer(bucket, key, order, index)
}

/// Some entries of a table.
#[derive(Debug, Clone)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the end of the table.
    pub next: Option<Place>,
}

/// Which state of which store: two exports with the same source hold the same entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The store.
    pub store: [u8; 16],
    /// Its state: a hash over its history, or an id that never comes again.
    pub state: [u8; 32],
}

/// Metadata that can be read as a whole. It must not change while it is read.
#[async_trait]
pub trait Export: Send + Sync {
    /// What is read here.
    async fn source(&self) -> Result<Source>;

    /// How many entries each table has, for progress.
    async fn count(&self, table: Table) -> Result<u64>;

    /// About `limit` entries of a table after `after`, or its first ones.
    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page>;
}

/// How far a copy has come; kept by the import, in the transactions that store the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyState {
    /// What is copied.
    pub source: Source,
    /// What comes next; `None` when all entries are stored.
    pub at: Option<(Table, Option<Place>)>,
    /// Entries stored so far.
    pub stored: u64,
    /// Whether the copy was verified and may be opened.
    pub complete: bool,
}

/// Metadata that can be filled as a whole. Until it is finished nothing opens it.
#[async_trait]
pub trait Import: Export {
    /// The copy that was begun here, if one was.
    async fn state(&self) -> Result<Option<CopyState>>;

    /// Begins a copy: empties what an unfinished copy of the same store left.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`] if another store's metadata is here.
    async fn begin(&self, state: &CopyState) -> Result<()>;

    /// Stores entries of one table and the state after them, together or not at all. `before` is the state that must
    /// still hold: two copies into one target do not mix.
    async fn store(&self, entries: &[Entry], before: &CopyState, after: &CopyState) -> Result<()>;

    /// Makes the copy what is opened from now on.
    async fn finish(&self, before: &CopyState) -> Result<()>;
}
