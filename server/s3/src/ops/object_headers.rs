//! The headers that describe an object, on GET, HEAD and what follows a write.

use granary_engine::ObjectInfo;
use granary_types::{Checksum, StorageClass};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{restore, version};
use crate::attributes;
use crate::checksum::names;
use crate::context::Context;
use crate::dates::http_date;
use crate::error::{S3Error, S3Result};
use crate::locks;
use crate::respond::set;

/// Tells how many tags an object has.
pub(super) const TAG_COUNT: &str = "x-amz-tagging-count";

/// The query parameters that override a header of the response.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-content-type", header::CONTENT_TYPE),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-expires", header::EXPIRES),
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
];

/// Adds what describes the object, whichever of its bytes are sent.
pub(super) fn describe(headers: &mut HeaderMap, info: &ObjectInfo) {
    set(headers, header::ETAG, info.etag.to_string());
    set(headers, header::LAST_MODIFIED, http_date(info.modified));
    version::show(headers, version::VERSION, info.version);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    attributes::add_to(headers, &info.attributes);
    if info.tag_count > 0 {
        headers.insert(HeaderName::from_static(TAG_COUNT), HeaderValue::from(info.tag_count));
    }
    locks::describe(headers, info.lock);
    if info.storage_class != StorageClass::Standard {
        let class = HeaderValue::from_static(info.storage_class.as_str());
        headers.insert(HeaderName::from_static("x-amz-storage-class"), class);
    }
    restore::describe(headers, info.restored);
}

/// Adds a checksum and its kind.
pub(super) fn checksum(headers: &mut HeaderMap, checksum: &Checksum) {
    checksum_value(headers, checksum);
    let kind = HeaderValue::from_static(names::kind_value(checksum.kind));
    headers.insert(HeaderName::from_static("x-amz-checksum-type"), kind);
}

/// Adds a checksum alone, as the answer to UploadPart has it.
pub(super) fn checksum_value(headers: &mut HeaderMap, checksum: &Checksum) {
    let name = HeaderName::from_static(names::header(checksum.algorithm));
    set(headers, name, checksum.value.as_str());
}

/// Applies the `response-*` parameters of a signed request.
///
/// # Errors
/// `InvalidArgument` for a value that no header can carry.
pub(super) fn apply_overrides(headers: &mut HeaderMap, context: &Context<'_>) -> S3Result<()> {
    if context.query.is_empty() {
        return Ok(());
    }
    for (parameter, name) in OVERRIDES {
        if let Some(value) = context.query.non_empty(parameter) {
            headers.insert(name, override_value(parameter, value)?);
        }
    }
    Ok(())
}

/// A header's value in Latin-1, the one encoding that headers have.
fn override_value(parameter: &'static str, value: &str) -> S3Result<HeaderValue> {
    let latin1: Option<Vec<u8>> =
        value.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    latin1.and_then(|bytes| HeaderValue::try_from(bytes).ok()).ok_or_else(|| {
        let message = "Header value cannot be represented using ISO-8859-1.";
        S3Error::invalid_argument(parameter, value, message)
    })
}

#[cfg(test)]
#[path = "object_headers_tests.rs"]
mod tests;
