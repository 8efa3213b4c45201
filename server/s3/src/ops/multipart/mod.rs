//! Multipart uploads.

pub(super) mod complete;
mod completed;
pub(super) mod create;
pub(super) mod list;
pub(super) mod part;
pub(super) mod part_copy;

use granary_types::UploadId;

use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The smallest part that may be followed by another.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(super) const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// The largest part.
pub(super) const PART_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// The upload that the query names.
///
/// # Errors
/// `InvalidArgument` when there is none, `NoSuchUpload` for text that no upload id is made of.
pub(super) fn upload_id(context: &Context<'_>) -> S3Result<UploadId> {
    let text = context.query.non_empty("uploadId").ok_or_else(|| {
        S3Error::invalid_argument("uploadId", "", "This operation does not accept a query-string.")
    })?;
    text.parse().map_err(|error: granary_types::ParseIdError| no_such_upload(text).because(error))
}

/// Adds the upload to an error that says it does not exist.
pub(super) fn with_upload(error: S3Error, context: &Context<'_>) -> S3Error {
    match context.query.get("uploadId") {
        Some(upload) if error.code() == ErrorCode::NoSuchUpload && error.fields().is_empty() => {
            error.field("UploadId", upload)
        }
        _ => error,
    }
}

/// `NoSuchUpload` naming the upload.
fn no_such_upload(upload: &str) -> S3Error {
    S3Error::new(ErrorCode::NoSuchUpload).field("UploadId", upload)
}
