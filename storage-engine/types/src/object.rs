//! What an object's record says about it besides where its bytes are.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC. For showing to people and for ages; order never comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The wall clock's time.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970, rounded down, as HTTP dates count them.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// An entity tag without its quotes: the MD5 in hexadecimal, or `md5-N` for a multipart object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Etag(String);

impl Etag {
    /// Keeps `tag`, which must come without quotes.
    #[must_use]
    pub fn new(tag: impl Into<String>) -> Self {
        Self(tag.into())
    }

    /// The tag without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    /// Writes the tag in quotes, as S3 sends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A part number outside 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("part numbers are 1 to 10000")]
pub struct PartNumberError;

/// The number of a part: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The highest part number.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
    pub const MAX: u16 = 10_000;

    /// Checks the range.
    ///
    /// # Errors
    /// When `number` is not 1 to 10,000.
    pub fn new(number: u32) -> Result<Self, PartNumberError> {
        match u16::try_from(number) {
            Ok(number @ 1..=Self::MAX) => Ok(Self(number)),
            _ => Err(PartNumberError),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A checksum algorithm S3 knows besides MD5.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the algorithms' names")]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
    Xxhash64,
    Xxhash3,
    Xxhash128,
}

/// Whether a checksum is of the whole object or of its parts' checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Of all the object's bytes.
    FullObject,
    /// Of the concatenated checksums of its parts.
    Composite,
}

/// A checksum as the client sent it or as it was computed, kept to be returned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Of the whole, or of the parts.
    pub kind: ChecksumKind,
    /// The text S3 shows: base64, with `-N` behind it when it is composite.
    pub value: String,
}

/// What the client said of the object: standard headers and user metadata, returned as they came.
///
/// The frontend bounds the sizes (user metadata: 2 KiB in all); the engine only stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// `Content-Type`, as sent.
    pub content_type: Option<String>,
    /// Other standard headers (lower-case names): cache-control, content-disposition, content-encoding,
    /// content-language, expires, x-amz-website-redirect-location.
    pub headers: Vec<(String, String)>,
    /// User metadata: names without `x-amz-meta-`, lower-case, in the order sent.
    pub user: Vec<(String, String)>,
}

macro_rules! storage_classes {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A storage class S3 names.
        /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the variants are AWS's names")]
        pub enum StorageClass {
            $($variant),+
        }

        impl Default for StorageClass {
            fn default() -> Self {
                Self::Standard
            }
        }

        impl StorageClass {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name AWS uses.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The class of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

impl StorageClass {
    /// Whether objects of the class must be restored before they can be read.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html>
    #[must_use]
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }

    /// How cold the class is; rules of a lifecycle move objects to colder classes only.
    #[must_use]
    pub fn coldness(self) -> u8 {
        match self {
            Self::Standard | Self::ReducedRedundancy => 0,
            Self::StandardIa => 1,
            Self::IntelligentTiering => 2,
            Self::OnezoneIa => 3,
            Self::GlacierIr => 4,
            Self::Glacier => 5,
            Self::DeepArchive => 6,
        }
    }

    /// Whether rules of a lifecycle may move objects of this class to `to`.
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        to.coldness() > self.coldness() && (self, to) != (Self::OnezoneIa, Self::GlacierIr)
    }
}

storage_classes! {
    Standard = "STANDARD",
    ReducedRedundancy = "REDUCED_REDUNDANCY",
    StandardIa = "STANDARD_IA",
    OnezoneIa = "ONEZONE_IA",
    IntelligentTiering = "INTELLIGENT_TIERING",
    Glacier = "GLACIER",
    DeepArchive = "DEEP_ARCHIVE",
    GlacierIr = "GLACIER_IR",
}
