//! Random 128-bit identifiers. They are never reused, so a stale reference can never name a new thing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A string is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id must be 32 hexadecimal digits")]
pub struct ParseIdError {
    kind: &'static str,
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with exactly these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id, in the order they are stored and compared.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A new random id from the operating system's generator.
            ///
            /// # Errors
            /// When the operating system cannot give random bytes.
            pub fn random() -> std::io::Result<Self> {
                let mut bytes = [0_u8; 16];
                getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; 32];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0_u8; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError { kind: $kind })?;
                Ok(Self(bytes))
            }
        }
    };
}

id128!(
    /// A Granary store: all its drives and its metadata carry the same cluster id.
    ClusterId, "cluster");
id128!(
    /// A drive: one data directory, for its whole life, wherever it is mounted.
    DriveId, "drive");
id128!(
    /// A node: one process that serves drives, for as long as it keeps them.
    NodeId, "node");
id128!(
    /// A volume: an append-only container spread over k+m drives.
    VolumeId, "volume");
id128!(
    /// A blob: the bytes of one large upload or of one part, as a list of extents.
    BlobId, "blob");
id128!(
    /// A bucket, for its whole life; a bucket created again under the same name gets a new id.
    BucketId, "bucket");
id128!(
    /// One write request. Stored in the row it wrote, so that an unknown outcome can be read back.
    WriteId, "write");
id128!(
    /// One multipart upload.
    UploadId, "upload");
id128!(
    /// One version of an object.
    VersionId, "version");

id128!(
    /// One version of a master key.
    MasterKeyId, "master key");

impl VersionId {
    /// The version written while versioning is off or suspended (S3's `null` version).
    pub const NULL: Self = Self([0; 16]);

    /// Whether this is S3's `null` version.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }
}

/// The generation of a volume's owner. Raising it fences every earlier owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a volume that was just opened.
    pub const FIRST: Self = Self(1);

    /// The epoch after this one, or `None` at the end of the range.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
