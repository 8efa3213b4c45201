//! Versions in requests and answers: `versionId`, the headers that show a version, and what a delete marker answers.

use granary_engine::{EngineError, ObjectHandle};
use granary_types::VersionId;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{ObjectAddress, put};
use crate::context::Context;
use crate::dates::http_date;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond;

/// The header that shows a version.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-amz-version-id");
/// The header that shows the version a copy was made of.
pub(super) const SOURCE_VERSION: HeaderName = HeaderName::from_static("x-amz-copy-source-version-id");
/// The header that tells a delete marker.
pub(crate) const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

const NULL: &str = "null";

/// Reads a version id; `None` if no version is named.
///
/// # Errors
/// `InvalidArgument` for text that no version id is made of.
pub(crate) fn named(version_id: Option<&str>) -> S3Result<Option<VersionId>> {
    match version_id {
        None => Ok(None),
        Some(NULL) => Ok(Some(VersionId::NULL)),
        Some(text) => text.parse::<VersionId>().map(Some).map_err(|error| {
            S3Error::invalid_argument("versionId", text, "Invalid version id specified").because(error)
        }),
    }
}

/// A version as clients see it.
pub(crate) fn shown(version: VersionId) -> String {
    if version.is_null() { NULL.to_owned() } else { version.to_string() }
}

/// Shows the version of an object, if its bucket has versions.
pub(super) fn show(headers: &mut HeaderMap, name: HeaderName, version: Option<VersionId>) {
    if let Some(version) = version {
        respond::set(headers, name, shown(version));
    }
}

/// Opens an object, or the version of it that `version_id` names, for a read.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, and for a delete marker `MethodNotAllowed` if it was named.
pub(super) async fn open(
    context: &Context<'_>,
    object: &ObjectAddress,
    version_id: Option<&str>,
) -> S3Result<ObjectHandle> {
    let version = named(version_id)?;
    let opened = context.shared.engine.open_object(&object.bucket, &object.key, version).await;
    let opened = opened.map_err(|error| not_found(error, context, object, version_id))?;
    context.requester.check_same(opened.info().write)?;
    Ok(opened)
}

/// What answers that an object, or the version of it that `version_id` names, was not found.
pub(super) fn not_found(
    error: EngineError,
    context: &Context<'_>,
    object: &ObjectAddress,
    version_id: Option<&str>,
) -> S3Error {
    match error {
        EngineError::DeleteMarker { version: marker, modified } if version_id.is_some() => {
            let error = S3Error::new(ErrorCode::MethodNotAllowed)
                .field("Method", context.parts.method.as_str())
                .field("ResourceType", "DeleteMarker")
                .header(header::ALLOW, HeaderValue::from_static("DELETE"));
            let error = with_marker(error, marker);
            match HeaderValue::try_from(http_date(modified)) {
                Ok(date) => error.header(header::LAST_MODIFIED, date),
                Err(_) => error,
            }
        }
        error @ EngineError::NoSuchKey => {
            let error = put::with_key(error.into(), object);
            error.header(DELETE_MARKER, HeaderValue::from_static("false"))
        }
        error => with_version(put::with_key(error.into(), object), object, version_id),
    }
}

/// An error with the headers that tell the delete marker it is about.
pub(crate) fn with_marker(error: S3Error, marker: VersionId) -> S3Error {
    let error = error.header(DELETE_MARKER, HeaderValue::from_static("true"));
    match HeaderValue::try_from(shown(marker)) {
        Ok(version) => error.header(VERSION, version),
        Err(_) => error,
    }
}

/// Adds the key and the version to errors that say the version does not exist.
fn with_version(error: S3Error, object: &ObjectAddress, version_id: Option<&str>) -> S3Error {
    if error.code() != ErrorCode::NoSuchVersion {
        return error;
    }
    error.field("Key", object.key.as_str()).field("VersionId", version_id.unwrap_or_default())
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
