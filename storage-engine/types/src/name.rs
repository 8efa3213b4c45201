//! Bucket names and object keys, checked once at the border.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest key, in bytes of UTF-8.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
pub const KEY_LENGTH_BYTES_MAX: usize = 1024;

/// Why a bucket name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BucketNameError {
    /// Not 3 to 63 characters long.
    #[error("a bucket name has 3 to 63 characters")]
    Length,
    /// A character other than lower-case letters, digits, dots and hyphens.
    #[error("a bucket name has only lower-case letters, digits, dots and hyphens")]
    Character,
    /// Begins or ends with a dot or hyphen, or has two dots in a row.
    #[error("a bucket name begins and ends with a letter or digit and has no two dots in a row")]
    Shape,
    /// Looks like an IPv4 address.
    #[error("a bucket name is not an IP address")]
    IpAddress,
    /// Uses a prefix or suffix that S3 keeps for itself.
    #[error("this prefix or suffix of bucket names is reserved")]
    Reserved,
}

/// A valid bucket name.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketName(String);

impl BucketName {
    /// Checks `name` against AWS's rules for general purpose buckets.
    ///
    /// # Errors
    /// The first rule that `name` breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, BucketNameError> {
        let name = name.into();
        let bytes = name.as_bytes();
        if !(3..=63).contains(&bytes.len()) {
            return Err(BucketNameError::Length);
        }
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !bytes.iter().all(|b| alphanumeric(b) || matches!(b, b'.' | b'-')) {
            return Err(BucketNameError::Character);
        }
        let ends_well = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
        if !ends_well || name.contains("..") {
            return Err(BucketNameError::Shape);
        }
        if name.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(BucketNameError::IpAddress);
        }
        const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
        const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
        if PREFIXES.iter().any(|p| name.starts_with(p)) || SUFFIXES.iter().any(|s| name.ends_with(s)) {
            return Err(BucketNameError::Reserved);
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key has no characters.
    #[error("a key has at least one byte")]
    Empty,
    /// The key is longer than [`KEY_LENGTH_BYTES_MAX`].
    #[error("a key has at most {KEY_LENGTH_BYTES_MAX} bytes, this one has {length_bytes}")]
    TooLong {
        /// The length of the refused key.
        length_bytes: usize,
    },
}

/// An object key: 1 to 1,024 bytes of UTF-8, any of them, compared by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks the length of `key`; its bytes are kept as they are.
    ///
    /// # Errors
    /// When the key is empty or too long.
    pub fn new(key: impl Into<String>) -> Result<Self, KeyError> {
        let key = key.into();
        match key.len() {
            0 => Err(KeyError::Empty),
            1..=KEY_LENGTH_BYTES_MAX => Ok(Self(key)),
            length_bytes => Err(KeyError::TooLong { length_bytes }),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes the key is ordered by.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, taken out.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({:?})", self.0)
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
