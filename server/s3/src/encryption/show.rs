//! What answers show of an encryption.

use granary_engine::EncryptionInfo;
use granary_types::BucketKeys;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{AES256, ALGORITHM, BUCKET_KEY, CONTEXT, KMS, KMS_KEY, OF_OBJECT};
use crate::respond::set;

fn fixed(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
}

/// Adds how an object is encrypted. `request` has the MD5 of the customer's key, which fits.
pub(crate) fn describe(headers: &mut HeaderMap, encryption: Option<&EncryptionInfo>, request: &HeaderMap) {
    match encryption {
        Some(EncryptionInfo::Customer) => {
            fixed(headers, OF_OBJECT.algorithm, AES256);
            if let Some(md5) = request.get(OF_OBJECT.md5) {
                headers.insert(HeaderName::from_static(OF_OBJECT.md5), md5.clone());
            }
        }
        None => {}
        Some(EncryptionInfo::Managed) => fixed(headers, ALGORITHM, AES256),
        Some(EncryptionInfo::Kms { key, bucket_keys, .. }) => {
            fixed(headers, ALGORITHM, KMS);
            set(headers, HeaderName::from_static(KMS_KEY), key.as_str());
            if *bucket_keys == BucketKeys::Enabled {
                fixed(headers, BUCKET_KEY, "true");
            }
        }
    }
}

/// As [`describe`], after a write: with the encryption context.
pub(crate) fn describe_written(
    headers: &mut HeaderMap,
    encryption: Option<&EncryptionInfo>,
    request: &HeaderMap,
) {
    describe(headers, encryption, request);
    if let Some(EncryptionInfo::Kms { context: Some(context), .. }) = encryption {
        set(headers, HeaderName::from_static(CONTEXT), context.as_str());
    }
}
