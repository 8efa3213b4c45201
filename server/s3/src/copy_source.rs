//! The `x-amz-copy-source` header: `[/]bucket/key[?versionId=id]`, percent-encoded.

use granary_types::{BucketName, ObjectKey};

use crate::encoding::decode;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The object a copy reads, and the version asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySourceHeader {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// The version, as sent.
    pub version_id: Option<String>,
}

impl CopySourceHeader {
    /// Reads the header. The version is split off before decoding, so that a key may hold an encoded `?`.
    ///
    /// # Errors
    /// `InvalidArgument` when it names no bucket and key; the errors of names that break the rules.
    pub fn parse(text: &str) -> S3Result<Self> {
        let invalid = || {
            S3Error::invalid_argument(
                "x-amz-copy-source",
                text,
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            )
        };
        if text.starts_with("arn:") {
            return Err(S3Error::not_implemented("An access point as copy source"));
        }
        let (path, version_id) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query.strip_prefix("versionId=").ok_or_else(invalid)?)),
            None => (text, None),
        };
        // The slashes may themselves be encoded: some clients encode the whole value.
        let path = decode(path).ok_or_else(invalid)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid());
        }
        let bucket = BucketName::new(bucket).map_err(|error| {
            S3Error::new(ErrorCode::InvalidBucketName).field("BucketName", bucket).because(error)
        })?;
        let key = crate::address::object_key(key)?;
        let version_id = match version_id {
            Some(version_id) => Some(decode(version_id).ok_or_else(invalid)?.into_owned()),
            None => None,
        };
        Ok(Self { bucket, key, version_id })
    }
}

#[cfg(test)]
#[path = "copy_source_tests.rs"]
mod tests;
