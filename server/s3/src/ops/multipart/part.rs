//! UploadPart.

use axum::body::Body;
use granary_engine::UploadInfo;
use granary_types::{Checksum, ChecksumAlgorithm};
use http::{HeaderMap, StatusCode, header};

use super::{PART_BYTES_MAX, upload_id};
use crate::checksum::{names, request};
use crate::context::Context;
use crate::encryption;
use crate::error::{S3Error, S3Result};
use crate::ops::put::DEFAULT_CHECKSUM;
use crate::ops::{ObjectAddress, object_headers};
use crate::respond::{self, S3Response};
use crate::unsupported;

/// `PUT /bucket/key?partNumber=&uploadId=`.
pub(in crate::ops) async fn upload(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let upload = upload_id(context)?;
    let number = context.part_number()?;
    unsupported::check_write(context.headers())?;
    let engine = &context.shared.engine;
    let info = engine.upload(&object.bucket, &object.key, upload).await?;
    check_algorithm(context.headers(), &info)?;
    let key = encryption::upload_key(context, info.encryption.as_ref())?;
    let etag = encryption::upload_etag_need(info.encryption.as_ref());
    let mut source = context.object_body(body, (etag, Some(kept_algorithm(&info))), PART_BYTES_MAX)?;
    let (bucket, name) = (&object.bucket, &object.key);
    let result = engine.put_part(bucket, name, (upload, number), key.as_ref(), &mut source).await;
    context.received.add(source.received_bytes(), source.waited());
    let part = result.map_err(encryption::part_error)?;
    // The client gets back the checksum it sent, even where another one is kept for the completion.
    let sent = source.verified().and_then(|verified| verified.sent.as_ref());
    let mut response = respond::empty(StatusCode::OK);
    let headers = response.headers_mut();
    respond::set(headers, header::ETAG, part.etag.to_string());
    encryption::describe(headers, info.encryption.as_ref(), context.headers());
    if let Some(checksum) = sent.or(part.checksum.as_ref()) {
        object_headers::checksum_value(headers, checksum);
    }
    Ok(response)
}

/// The algorithm kept for every part, so that the parts' checksums combine at completion.
pub(super) fn kept_algorithm(info: &UploadInfo) -> ChecksumAlgorithm {
    info.checksum.map_or(DEFAULT_CHECKSUM, |(algorithm, _)| algorithm)
}

/// A part of an upload with an announced algorithm may only send that one.
fn check_algorithm(headers: &HeaderMap, info: &UploadInfo) -> S3Result<()> {
    let (Some((expected, _)), Some(sent)) = (info.checksum, request::of_headers(headers)?) else {
        return Ok(());
    };
    if sent.algorithm == expected {
        return Ok(());
    }
    let lower = |algorithm| names::value(algorithm).to_ascii_lowercase();
    Err(S3Error::invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        lower(expected),
        lower(sent.algorithm)
    )))
}

/// Whether a part's kept checksum is of this algorithm.
pub(super) fn value_of(checksum: Option<&Checksum>, algorithm: ChecksumAlgorithm) -> Option<&str> {
    checksum.filter(|checksum| checksum.algorithm == algorithm).map(|checksum| checksum.value.as_str())
}
