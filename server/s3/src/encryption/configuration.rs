//! The encryption configuration of a bucket, as a document.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html>

use bytes::Bytes;
use granary_engine::{BucketEncryption, CustomerKeyUse, DefaultEncryption};
use granary_types::BucketKeys;

use super::{AES256, KMS, KMS_TWICE};
use crate::error::{S3Error, S3Result};
use crate::xml::XmlWriter;
use crate::xml::read::{Element, Limits, malformed, parse};

const ROOT: &str = "ServerSideEncryptionConfiguration";
const DEFAULT: &str = "ApplyServerSideEncryptionByDefault";
const BLOCKED: &str = "BlockedEncryptionTypes";

pub(crate) const LIMITS: Limits = Limits { length_bytes: 16 * 1024, depth: 5, elements: 20 };

/// Reads a configuration, which must have one rule.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for a key without `aws:kms`; `NotImplemented` for encryption in two layers.
pub(crate) fn parse_configuration(document: &[u8]) -> S3Result<BucketEncryption> {
    let root = parse(document, &LIMITS)?;
    let [rule] = root.children.as_slice() else { return Err(malformed()) };
    if root.name != ROOT || rule.name != "Rule" || rule.children.is_empty() {
        return Err(malformed());
    }
    let mut found = BucketEncryption::default();
    for (at, part) in rule.children.iter().enumerate() {
        if rule.children.iter().take(at).any(|before| before.name == part.name) {
            return Err(malformed());
        }
        match part.name.as_str() {
            DEFAULT => found.default = Some(default_of(part)?),
            "BucketKeyEnabled" => {
                found.bucket_keys = Some(match part.text.trim() {
                    "true" => BucketKeys::Enabled,
                    "false" => BucketKeys::Disabled,
                    _ => return Err(malformed()),
                });
            }
            BLOCKED => found.customer_keys = blocked(part)?,
            _ => return Err(malformed()),
        }
    }
    Ok(found)
}

fn default_of(element: &Element) -> S3Result<DefaultEncryption> {
    if element.children.iter().any(|child| !["SSEAlgorithm", "KMSMasterKeyID"].contains(&child.name.as_str()))
    {
        return Err(malformed());
    }
    let key = element.child("KMSMasterKeyID").map(|key| key.text.trim().to_owned());
    let key = key.filter(|key| !key.is_empty());
    match (element.child("SSEAlgorithm").map(|algorithm| algorithm.text.trim()), key) {
        (Some(AES256), None) => Ok(DefaultEncryption::Managed),
        (Some(AES256), Some(key)) => Err(S3Error::invalid_argument(
            "KMSMasterKeyID",
            key,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
        )),
        (Some(KMS), key) => Ok(DefaultEncryption::Kms { key }),
        (Some(KMS_TWICE), _) => Err(S3Error::not_implemented("Encryption in two layers (aws:kms:dsse)")),
        _ => Err(malformed()),
    }
}

fn blocked(element: &Element) -> S3Result<CustomerKeyUse> {
    let types: Vec<&str> = element.children.iter().map(|child| child.text.trim()).collect();
    if element.children.iter().any(|child| child.name != "EncryptionType") {
        return Err(malformed());
    }
    match types.as_slice() {
        [] => Ok(CustomerKeyUse::Unsaid),
        ["NONE"] => Ok(CustomerKeyUse::Allowed),
        ["SSE-C"] => Ok(CustomerKeyUse::Blocked),
        _ => Err(malformed()),
    }
}

/// The document of a configuration.
pub(crate) fn document(found: &BucketEncryption) -> Bytes {
    let mut xml = XmlWriter::document(ROOT);
    xml.open("Rule");
    if let Some(default) = &found.default {
        xml.open(DEFAULT);
        match default {
            DefaultEncryption::Managed => xml.literal("SSEAlgorithm", AES256),
            DefaultEncryption::Kms { key } => {
                xml.literal("SSEAlgorithm", KMS);
                xml.optional("KMSMasterKeyID", key.as_deref());
            }
        }
        xml.close(DEFAULT);
    }
    xml.plain("BucketKeyEnabled", found.bucket_keys.unwrap_or_default() == BucketKeys::Enabled);
    let blocked = match found.customer_keys {
        CustomerKeyUse::Unsaid => None,
        CustomerKeyUse::Allowed => Some("NONE"),
        CustomerKeyUse::Blocked => Some("SSE-C"),
    };
    if let Some(blocked) = blocked {
        xml.open(BLOCKED);
        xml.literal("EncryptionType", blocked);
        xml.close(BLOCKED);
    }
    xml.close("Rule");
    xml.finish(ROOT)
}

/// Takes any bytes for a configuration. What is kept of one must be taken, as it is, again.
#[cfg(any(test, fuzzing))]
#[cfg_attr(test, allow(unreachable_pub, reason = "only fuzz targets reach it from outside"))]
pub fn check_encryption(text: &[u8]) {
    if let Ok(found) = parse_configuration(text) {
        // Characters that XML cannot carry are written all the same, as S3 does, and are not read again.
        if let Ok(again) = parse_configuration(&document(&found)) {
            let named =
                BucketEncryption { bucket_keys: Some(found.bucket_keys.unwrap_or_default()), ..found };
            assert_eq!(again, named);
        }
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
