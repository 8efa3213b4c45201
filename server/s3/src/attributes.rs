//! What a client says of an object in headers: read from a request, kept by the engine, and sent back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granary_types::{Attributes, StorageClass};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::{ErrorCode, S3Error, S3Result};

/// The most bytes of user metadata: names without their prefix, and values.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub const USER_METADATA_BYTES_MAX: usize = 2 * 1024;

const USER_PREFIX: &str = "x-amz-meta-";
const REDIRECT: &str = "x-amz-website-redirect-location";
const KEPT: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "expires", REDIRECT];

/// Reads the headers that are kept with an object.
///
/// # Errors
/// `MetadataTooLarge`, and `InvalidArgument` for a redirect that is no location.
pub fn of_request(headers: &HeaderMap) -> S3Result<Attributes> {
    let mut attributes = Attributes {
        content_type: headers.get(header::CONTENT_TYPE).map(text).filter(|value| !value.is_empty()),
        ..Attributes::default()
    };
    let mut user_bytes = 0_usize;
    for name in headers.keys() {
        let name = name.as_str();
        if let Some(user) = name.strip_prefix(USER_PREFIX) {
            let value = joined(headers, name);
            user_bytes = user_bytes.saturating_add(user.len()).saturating_add(value.len());
            attributes.user.push((user.to_owned(), value));
        } else if KEPT.contains(&name)
            && let Some(value) = kept_value(name, joined(headers, name))?
        {
            attributes.headers.push((name.to_owned(), value));
        }
    }
    if user_bytes > USER_METADATA_BYTES_MAX {
        return Err(S3Error::new(ErrorCode::MetadataTooLarge)
            .field("Size", user_bytes.to_string())
            .field("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()));
    }
    Ok(attributes)
}

/// The value to keep of a standard header. `aws-chunked` tells how the request was sent and is not kept.
fn kept_value(name: &str, value: String) -> S3Result<Option<String>> {
    match name {
        "content-encoding" => {
            let is_kept = |coding: &&str| {
                !matches!(coding.trim(), "") && !coding.trim().eq_ignore_ascii_case("aws-chunked")
            };
            // What is kept stays as it was written, with its spaces.
            let codings = value.split(',').filter(is_kept).collect::<Vec<_>>().join(",");
            Ok(Some(codings.trim().to_owned()).filter(|codings| !codings.is_empty()))
        }
        REDIRECT if !["/", "http://", "https://"].iter().any(|start| value.starts_with(start)) => {
            let message =
                "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
            Err(S3Error::invalid_argument(REDIRECT, value, message))
        }
        _ => Ok(Some(value)),
    }
}

/// All values of a header in one, as RFC 9110 joins them.
fn joined(headers: &HeaderMap, name: &str) -> String {
    let mut values = headers.get_all(name).iter().map(text);
    let first = values.next().unwrap_or_default();
    values.fold(first, |all, value| all + "," + &value)
}

/// A header's text: UTF-8 if it is, or else Latin-1, the two that clients send.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>().trim().to_owned(),
    }
}

/// Reads `x-amz-storage-class`.
///
/// # Errors
/// `InvalidStorageClass` for a class that S3 does not name.
pub fn storage_class(headers: &HeaderMap) -> S3Result<StorageClass> {
    let Some(value) = headers.get("x-amz-storage-class") else { return Ok(StorageClass::Standard) };
    value.to_str().ok().and_then(StorageClass::parse).ok_or_else(|| {
        S3Error::new(ErrorCode::InvalidStorageClass).field("StorageClassRequested", text(value))
    })
}

/// Adds what is kept to the headers of a response.
pub fn add_to(headers: &mut HeaderMap, attributes: &Attributes) {
    let content_type = attributes.content_type.as_deref().and_then(encoded);
    let content_type = content_type.unwrap_or(HeaderValue::from_static("binary/octet-stream"));
    headers.insert(header::CONTENT_TYPE, content_type);
    for (name, value) in &attributes.headers {
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), encoded(value)) {
            headers.insert(name, value);
        }
    }
    for (name, value) in &attributes.user {
        if let (Ok(name), Some(value)) =
            (HeaderName::try_from(format!("{USER_PREFIX}{name}")), encoded(value))
        {
            headers.append(name, value);
        }
    }
}

/// A header value; text outside ASCII becomes an encoded word of RFC 2047, as AWS sends it.
fn encoded(value: &str) -> Option<HeaderValue> {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\t') {
        return HeaderValue::from_str(value).ok();
    }
    HeaderValue::try_from(format!("=?UTF-8?B?{}?=", BASE64.encode(value))).ok()
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
