//! What can go wrong between the engine and its metadata.

use granary_types::{BucketName, DriveId, Epoch, VolumeId};

/// The result of a metadata call.
pub type Result<T, E = MetadataError> = std::result::Result<T, E>;

/// An error of the metadata store. Outcomes that a request can meet in normal life (a failed precondition,
/// a missing key) are values of [`crate::Outcome`], not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The bucket of that name exists.
    #[error("bucket {0} already exists")]
    BucketExists(BucketName),
    /// No bucket has that name.
    #[error("bucket {0} does not exist")]
    NoSuchBucket(BucketName),
    /// The bucket still has objects, versions or uploads.
    #[error("bucket {0} is not empty")]
    BucketNotEmpty(BucketName),
    /// The settings of the bucket forbid the change.
    #[error("the settings of bucket {0} forbid the change")]
    BucketSettings(BucketName),
    /// The volume has another owner, is sealed, freed or unknown: nothing of the commit was applied.
    #[error("volume {volume} is not owned at epoch {epoch}")]
    Fenced {
        /// The volume whose advance was refused.
        volume: VolumeId,
        /// The epoch the writer believed in.
        epoch: Epoch,
    },
    /// A volume that the commit refers to was freed meanwhile: nothing of the commit was applied.
    #[error("volume {0} was freed or never opened")]
    VolumeGone(VolumeId),
    /// The commit's content would lie beyond what is committed of the volume, the commit's own advances included. The
    /// writer is wrong: it must not commit bytes whose writes have not returned. Nothing was applied.
    #[error(
        "content that ends at {end} or later lies beyond the committed end {committed_end} of volume {volume}"
    )]
    BeyondEnd {
        /// The volume.
        volume: VolumeId,
        /// The least end that the content can have in a shard file.
        end: u64,
        /// The committed end after the commit's own advances.
        committed_end: u64,
    },
    /// What the commit refers to did not become durable. Nothing was applied.
    #[error("what the commit refers to did not become durable")]
    NotDurable,
    /// The drive was retired: it never comes back, and nothing new is placed on it. Nothing was changed.
    #[error("drive {0} was retired")]
    DriveRetired(DriveId),
    /// The connection died while committing and reading back by write id did not tell the outcome.
    #[error("the outcome of the commit is unknown: {context}")]
    OutcomeUnknown {
        /// What was being done.
        context: &'static str,
    },
    /// The store cannot answer now and may later.
    #[error("metadata store unavailable while {context}")]
    Unavailable {
        /// What was being done.
        context: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row or log record does not match its checksum or cannot be decoded.
    #[error("metadata is corrupt: {context}")]
    Corrupt {
        /// What was read.
        context: String,
    },
    /// The schema was made by a newer release that this binary must not touch.
    #[error(
        "the metadata has schema {found}, which does not serve this version of granary any more (it knows up to schema \
         {supported}): use a newer version"
    )]
    SchemaTooNew {
        /// The schema found.
        found: u32,
        /// The newest schema this binary serves.
        supported: u32,
    },
    /// The file system refused.
    #[error("i/o error while {context}")]
    Io {
        /// What was being done.
        context: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
