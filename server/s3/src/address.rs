//! What a request is about: the service, a bucket or an object, from its host and path.
//!
//! Path style is `/bucket/key`; virtual-host style is `bucket.domain` with `/key`, for the domains the server was
//! configured with. Keys are percent-decoded once and otherwise taken as they are: `a//b`, `../x` and `a/` are
//! keys like any other.

use granary_types::{BucketName, KeyError, ObjectKey};

use crate::encoding::decode;
use crate::error::{ErrorCode, S3Error, S3Result};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// All buckets.
    Service,
    /// One bucket.
    Bucket(BucketName),
    /// One object, there or not.
    Object(BucketName, ObjectKey),
}

/// The domains whose sub-domains name buckets, in lower case and without ports.
#[derive(Debug, Clone, Default)]
pub struct VirtualHostDomains(Vec<String>);

impl VirtualHostDomains {
    /// Takes names such as `s3.example.com`.
    #[must_use]
    pub fn new(domains: impl IntoIterator<Item = String>) -> Self {
        let mut domains: Vec<String> =
            domains.into_iter().map(|domain| domain.trim_matches('.').to_ascii_lowercase()).collect();
        // The longest first, so that a domain inside another one wins.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self(domains)
    }

    /// The bucket that `host` (with or without a port) names, if it lies in one of the domains.
    #[must_use]
    pub fn bucket_of(&self, host: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let host = host.rsplit_once(':').map_or(host, |(name, _port)| name).to_ascii_lowercase();
        if self.0.contains(&host) {
            return None;
        }
        let bucket =
            self.0.iter().find_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))?;
        (!bucket.is_empty()).then(|| bucket.to_owned())
    }
}

impl Address {
    /// Resolves the host and the path (still percent-encoded) of a request.
    ///
    /// # Errors
    /// `InvalidURI` when the path does not decode to UTF-8, `InvalidBucketName`, `KeyTooLongError`.
    pub fn resolve(domains: &VirtualHostDomains, host: &str, path: &str) -> S3Result<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match domains.bucket_of(host) {
            Some(bucket) => (bucket, path),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                (decode_path(bucket)?, key)
            }
        };
        if bucket.is_empty() {
            // A key without a bucket, as in `//key`, names nothing.
            return if key.is_empty() { Ok(Self::Service) } else { Err(invalid_bucket_name(&bucket)) };
        }
        let bucket =
            BucketName::new(bucket.as_str()).map_err(|error| invalid_bucket_name(&bucket).because(error))?;
        if key.is_empty() {
            return Ok(Self::Bucket(bucket));
        }
        Ok(Self::Object(bucket, object_key(&decode_path(key)?)?))
    }
}

fn decode_path(text: &str) -> S3Result<String> {
    decode(text)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| S3Error::new(ErrorCode::InvalidURI).field("URI", text))
}

fn invalid_bucket_name(bucket: &str) -> S3Error {
    S3Error::new(ErrorCode::InvalidBucketName).field("BucketName", bucket)
}

/// Checks the length of a decoded key.
///
/// # Errors
/// `KeyTooLongError` past 1,024 bytes; `InvalidArgument` for an empty one.
pub fn object_key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::new(key).map_err(|error| match error {
        KeyError::TooLong { length_bytes } => S3Error::new(ErrorCode::KeyTooLongError)
            .field("Size", length_bytes.to_string())
            .field("MaxSizeAllowed", granary_types::KEY_LENGTH_BYTES_MAX.to_string()),
        KeyError::Empty => S3Error::invalid_argument("Key", "", "Object key cannot be empty"),
    })
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
