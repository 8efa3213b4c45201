//! Vocabulary shared by every storage crate: identifiers, names and newtypes, with no behaviour beyond
//! validation and display. Nothing here does I/O.

mod class;
mod crash;
mod id;
mod name;
mod object;
mod rehearsal;
mod seal;

pub use class::{DriveClass, DriveClassError};
pub use crash::{CRASH_POINT_VARIABLE, CRASH_POINTS, crash_point};
pub use id::{
    BlobId, BucketId, ClusterId, DriveId, Epoch, MasterKeyId, NodeId, ParseIdError, UploadId, VersionId,
    VolumeId, WriteId,
};
pub use name::{BucketName, BucketNameError, KEY_LENGTH_BYTES_MAX, KeyError, ObjectKey};
pub use object::{
    Attributes, Checksum, ChecksumAlgorithm, ChecksumKind, Etag, PartNumber, PartNumberError, StorageClass,
    UnixMillis,
};
pub use rehearsal::{REHEARSED_RELEASE_VARIABLE, Release, rehearsed_release};
pub use seal::{BucketKeys, Cipher, Envelope, Seal, SealedWith};
