//! What a request asks for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granary_engine::{
    BucketEncryption, CustomerKey, CustomerKeyUse, DEFAULT_KMS_KEY, DefaultEncryption, Encryption,
    EncryptionInfo, EngineError, UploadInfo,
};
use granary_types::{BucketKeys, BucketName, UploadId};
use http::HeaderMap;

use super::{AES256, ALGORITHM, BUCKET_KEY, CONTEXT, KMS, KMS_KEY, KMS_TWICE, OF_OBJECT, customer_key};
use crate::body::EtagNeed;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::ObjectAddress;

/// The longest encryption context, in bytes of its header.
const CONTEXT_BYTES_MAX: usize = 4096;

/// How the object of a write is to be encrypted: as the request says, or as its bucket or this server does.
///
/// # Errors
/// `InvalidArgument` for headers that do not go together, `AccessDenied` where the bucket blocks customers' keys,
/// `NotImplemented` for encryption in two layers.
pub(crate) async fn of_write(context: &Context<'_>, bucket: &BucketName) -> S3Result<Encryption> {
    let headers = context.headers();
    let customer = customer_key(context, &OF_OBJECT)?;
    let asked = text(headers, ALGORITHM);
    check_fit(headers, asked)?;
    let configured = context.shared.engine.known_bucket_encryption(bucket).await?;
    let configured = configured.as_deref();
    match (asked, customer) {
        (Some(_), Some(_)) => Err(S3Error::invalid_argument(
            ALGORITHM,
            asked.unwrap_or_default(),
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        )),
        (None, Some(key)) => {
            if configured.is_some_and(|found| found.customer_keys == CustomerKeyUse::Blocked) {
                let message =
                    "This bucket does not allow server-side encryption with customer-provided keys.";
                return Err(S3Error::with_message(ErrorCode::AccessDenied, message));
            }
            Ok(Encryption::Customer(key))
        }
        (Some(AES256), None) => Ok(Encryption::Managed),
        (Some(_), None) => {
            let key = text(headers, KMS_KEY).filter(|key| !key.is_empty()).unwrap_or(DEFAULT_KMS_KEY);
            kms(headers, key, configured)
        }
        (None, None) => default_of(context, headers, configured),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

/// Refuses an unknown method, and what belongs to another one.
fn check_fit(headers: &HeaderMap, asked: Option<&str>) -> S3Result<()> {
    match asked {
        Some(KMS_TWICE) => Err(S3Error::not_implemented("Encryption in two layers (aws:kms:dsse)")),
        Some(KMS) => Ok(()),
        Some(AES256) | None => {
            let stray = [KMS_KEY, CONTEXT].into_iter().find(|name| headers.contains_key(*name));
            let Some(stray) = stray else { return Ok(()) };
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                           x-amz-server-side-encryption : aws:kms";
            Err(S3Error::invalid_argument(stray, text(headers, stray).unwrap_or_default(), message))
        }
        Some(other) => Err(S3Error::invalid_argument(
            ALGORITHM,
            other,
            "The encryption method specified is not supported",
        )),
    }
}

fn kms(headers: &HeaderMap, key: &str, configured: Option<&BucketEncryption>) -> S3Result<Encryption> {
    let bucket_keys = match text(headers, BUCKET_KEY) {
        None => configured.and_then(|found| found.bucket_keys).unwrap_or_default(),
        Some(flag) if flag.eq_ignore_ascii_case("true") => BucketKeys::Enabled,
        Some(flag) if flag.eq_ignore_ascii_case("false") => BucketKeys::Disabled,
        Some(other) => {
            return Err(S3Error::invalid_argument(BUCKET_KEY, other, "The value must be true or false."));
        }
    };
    Ok(Encryption::Kms { key: key.to_owned(), bucket_keys, context: encryption_context(headers)? })
}

/// The encryption context: base64 of a JSON object of strings.
fn encryption_context(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(sent) = text(headers, CONTEXT) else { return Ok(None) };
    let decoded = BASE64.decode(sent).ok().filter(|_| sent.len() <= CONTEXT_BYTES_MAX);
    let pairs = decoded.and_then(|json| serde_json::from_slice::<BTreeMap<String, String>>(&json).ok());
    if pairs.is_none() {
        let message = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string \
                       holding JSON which represents a string-string map";
        return Err(S3Error::invalid_argument(CONTEXT, sent, message));
    }
    Ok(Some(sent.to_owned()))
}

fn default_of(
    context: &Context<'_>,
    headers: &HeaderMap,
    configured: Option<&BucketEncryption>,
) -> S3Result<Encryption> {
    let of_bucket = configured.and_then(|found| found.default.as_ref());
    match of_bucket.or(context.shared.config.default_encryption.as_ref()) {
        None => Ok(Encryption::None),
        Some(DefaultEncryption::Managed) => Ok(Encryption::Managed),
        Some(DefaultEncryption::Kms { key }) => {
            kms(headers, key.as_deref().unwrap_or(DEFAULT_KMS_KEY), configured)
        }
    }
}

/// Whether a request asks for an encryption: such a copy onto itself changes something.
pub(crate) fn changes(headers: &HeaderMap) -> bool {
    [ALGORITHM, OF_OBJECT.algorithm, BUCKET_KEY].iter().any(|name| headers.contains_key(*name))
}

/// Whether the MD5 of an object so encrypted is its tag.
pub(crate) fn etag_need(encryption: &Encryption) -> EtagNeed {
    match encryption {
        Encryption::None | Encryption::Managed => EtagNeed::Wanted,
        Encryption::Kms { .. } | Encryption::Customer(_) => EtagNeed::Unwanted,
    }
}

/// As [`etag_need`], of the parts of an upload.
pub(crate) fn upload_etag_need(upload: Option<&EncryptionInfo>) -> EtagNeed {
    match upload {
        None | Some(EncryptionInfo::Managed) => EtagNeed::Wanted,
        Some(EncryptionInfo::Kms { .. } | EncryptionInfo::Customer) => EtagNeed::Unwanted,
    }
}

/// The key that a read brings along.
///
/// # Errors
/// `InvalidArgument` for the headers of writes: an encryption with the server's keys is not asked for when an object is
/// read; and what is wrong with the key itself.
pub(crate) fn read_key(context: &Context<'_>) -> S3Result<Option<CustomerKey>> {
    let headers = context.headers();
    let stray =
        [ALGORITHM, KMS_KEY, CONTEXT, BUCKET_KEY].into_iter().find(|name| headers.contains_key(*name));
    if let Some(stray) = stray {
        let message = format!("{stray} header is not supported for this operation.");
        return Err(S3Error::invalid_argument(stray, text(headers, stray).unwrap_or_default(), message));
    }
    customer_key(context, &OF_OBJECT)
}

/// The key for a part of an upload, which must be that of the upload.
///
/// # Errors
/// `InvalidRequest` if the upload is encrypted otherwise than the request says.
pub(crate) fn upload_key(
    context: &Context<'_>,
    upload: Option<&EncryptionInfo>,
) -> S3Result<Option<CustomerKey>> {
    let key = customer_key(context, &OF_OBJECT)?;
    let needs_key = upload == Some(&EncryptionInfo::Customer);
    // The key ring's keys are chosen when the upload begins; a part that names one may not get less than it asks for.
    let asks_in_vain = upload.is_none() && context.headers().contains_key(ALGORITHM);
    if needs_key != key.is_some() || asks_in_vain {
        return Err(parameters_missing());
    }
    Ok(key)
}

/// Refuses a completion without the key of its upload. AWS needs it where the object has a checksum, and every object here has one.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
///
/// # Errors
/// As for a part.
pub(crate) async fn check_completion(
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
    info: &UploadInfo,
) -> S3Result<()> {
    match customer_key(context, &OF_OBJECT)? {
        Some(key) => {
            let engine = &context.shared.engine;
            let checked = engine.check_upload_key(&object.bucket, &object.key, upload, &key).await;
            checked.map_err(part_error)
        }
        None if info.encryption == Some(EncryptionInfo::Customer) => Err(parameters_missing()),
        None => Ok(()),
    }
}

fn parameters_missing() -> S3Error {
    S3Error::invalid_request(
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
         encryption parameters.",
    )
}

/// An engine's error on a part: another key than that of the upload is not a matter of permission.
pub(crate) fn part_error(error: EngineError) -> S3Error {
    match error {
        EngineError::WrongCustomerKey => S3Error::invalid_argument(
            OF_OBJECT.key,
            "",
            "The provided encryption parameters did not match the ones used originally.",
        ),
        other => other.into(),
    }
}
