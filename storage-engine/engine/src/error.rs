//! What can go wrong in the engine, told in its own terms; the frontend maps it to S3's codes.

use granary_drive::DriveError;
use granary_erasure::ErasureError;
use granary_keys::KeyError;
use granary_metadata::MetadataError;
use granary_types::{BucketName, DriveClass, PartNumber, StorageClass, UnixMillis, VersionId};

use crate::api::SourceError;
use crate::quota::Quota;

/// The result of an engine call.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No bucket has that name.
    #[error("bucket {0} does not exist")]
    NoSuchBucket(BucketName),
    /// The bucket of that name exists.
    #[error("bucket {0} already exists")]
    BucketExists(BucketName),
    /// The bucket still holds something.
    #[error("bucket {0} is not empty")]
    BucketNotEmpty(BucketName),
    /// No object has that key (or version).
    #[error("the key does not exist")]
    NoSuchKey,
    /// The key has no version of that id.
    #[error("the version does not exist")]
    NoSuchVersion,
    /// The version asked for, or the current one, is a delete marker.
    #[error("the object is deleted by marker {version}")]
    DeleteMarker {
        /// The marker's version.
        version: VersionId,
        /// When the object was deleted.
        modified: UnixMillis,
    },
    /// The settings of the bucket forbid what was asked for.
    #[error("the settings of bucket {0} forbid the change")]
    BucketSettings(BucketName),
    /// A retention or a legal hold of the version forbids it.
    #[error("the version is locked")]
    Locked,
    /// The bucket has no object lock, which what was asked for needs.
    #[error("bucket {0} has no object lock")]
    BucketNotLocked(BucketName),
    /// The upload is not in progress for that key.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// What was to refer to the bytes of another object came when these were gone.
    #[error("the bytes that were to be shared are gone")]
    BlobsGone,
    /// A part named by a completion is gone or was replaced meanwhile.
    #[error("part {} is missing or was replaced", .0.get())]
    InvalidPart(PartNumber),
    /// The object consists of as many parts as one may have.
    #[error("the object has too many parts")]
    TooManyParts,
    /// The object is encrypted, and its data key is for the bytes it was made with.
    #[error("appending to an encrypted object is not implemented")]
    EncryptedAppend,
    /// A condition of the write did not hold when it was committed.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// The object is encrypted with a key that the caller has to bring along.
    #[error("the object is encrypted with a customer's key")]
    CustomerKeyNeeded,
    /// The caller brought a key along for an object that is not encrypted with one.
    #[error("the object is not encrypted with a customer's key")]
    CustomerKeyUnfit,
    /// The caller's key is not the one that the object is encrypted with.
    #[error("the customer's key is another one")]
    WrongCustomerKey,
    /// The key ring has no key of that name.
    #[error("the key ring has no key named {0:?}")]
    NoSuchMasterKey(String),
    /// The server has no key ring, and was asked to encrypt with a key of it.
    #[error("this server has no key ring")]
    NoKeyRing,
    /// A key failed in another way: the ring lacks what the object was encrypted under, or the object's record is damaged.
    #[error("encryption")]
    Keys(#[source] KeyError),
    /// The caller's [`crate::PutSource`] failed; nothing was stored.
    #[error("the body could not be read")]
    Source(#[source] SourceError),
    /// The bucket may not take so much.
    #[error("the quota of the bucket is exceeded: {0:?}")]
    QuotaExceeded(Quota),
    /// The account that the bucket belongs to may not have so much in all its buckets.
    #[error("the quota of the account is exceeded: {0:?}")]
    AccountQuotaExceeded(Quota),
    /// The store has no drives of the kind that the class belongs on.
    #[error("class {} belongs on drives of class {drives}, and the store has none", .class.as_str())]
    NoDrivesForClass {
        /// The storage class asked for.
        class: StorageClass,
        /// The class of drives it belongs on.
        drives: DriveClass,
    },
    /// The version is archived and must be restored before it is read.
    #[error("the object is of class {} and was not restored", .0.as_str())]
    Archived(StorageClass),
    /// The version is not archived, so that there is nothing to restore.
    #[error("the object is of class {}, which need not be restored", .0.as_str())]
    NotArchived(StorageClass),
    /// The version is being restored already.
    #[error("the object is being restored already")]
    RestoreInProgress,
    /// An expedited restore finds no room on the SSDs. Others may wait for it.
    #[error("there is no room for an expedited restore")]
    ExpeditedUnavailable,
    /// No drive has room. Reads and deletes go on.
    #[error("no room left on the drives")]
    NoSpace,
    /// Cannot be done now; the same request may succeed later.
    #[error("unavailable while {context}")]
    Unavailable {
        /// What was being done.
        context: &'static str,
    },
    /// A heal or scrub went over all volumes and had to leave some as they are; the same task may succeed later.
    #[error(
        "{volumes} volumes were left out, as they cannot be read whole or find no room now; the first: {first_reason}"
    )]
    Skipped {
        /// How many.
        volumes: u64,
        /// Why the first of them was.
        first_reason: String,
    },
    /// More shards are lost or rotten than the code can rebuild. The bytes are not served.
    #[error("{context}: too many shards are unreadable")]
    Unreadable {
        /// Which bytes.
        context: String,
    },
    /// The metadata store failed.
    #[error("metadata")]
    Metadata(#[source] MetadataError),
    /// A drive failed in a way that redundancy could not hide.
    #[error("drive")]
    Drive(#[from] DriveError),
    /// The codec refused its input.
    #[error("erasure code")]
    Erasure(#[from] ErasureError),
    /// The operating system refused something unrelated to drives.
    #[error("i/o error while {context}")]
    Io {
        /// What was being done.
        context: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The drives given at start do not make up one store.
    #[error("{0}")]
    Layout(String),
    /// An invariant does not hold; a bug. Nothing was acknowledged.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl EngineError {
    /// The system gave no random numbers for an id.
    pub(crate) fn drawing(source: std::io::Error) -> Self {
        Self::Io { context: "drawing an id", source }
    }

    /// Whether the same request may succeed later: the frontend asks the client to come back.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unreadable { .. } | Self::NoSpace | Self::BlobsGone => true,
            // Another node may have a newer key ring than this one has loaded so far.
            Self::Keys(error) => matches!(error, KeyError::NoSuchVersion(_)),
            Self::Metadata(error) => {
                // Another node sealed the volume, taking this one for dead: the same request goes to another volume.
                matches!(
                    error,
                    MetadataError::Unavailable { .. }
                        | MetadataError::OutcomeUnknown { .. }
                        | MetadataError::Fenced { .. }
                        | MetadataError::VolumeGone(_)
                        | MetadataError::DriveRetired(_)
                )
            }
            _ => false,
        }
    }
}

impl From<KeyError> for EngineError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NoSuchKey(name) => Self::NoSuchMasterKey(name),
            KeyError::NoKeyRing => Self::NoKeyRing,
            other => Self::Keys(other),
        }
    }
}

impl From<MetadataError> for EngineError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::BucketExists(name) => Self::BucketExists(name),
            MetadataError::NoSuchBucket(name) => Self::NoSuchBucket(name),
            MetadataError::BucketNotEmpty(name) => Self::BucketNotEmpty(name),
            MetadataError::BucketSettings(name) => Self::BucketSettings(name),
            other => Self::Metadata(other),
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
