//! PutObject.

use axum::body::Body;
use granary_engine::{EngineError, PutOptions, Tags, WriteConditions};
use granary_types::ChecksumAlgorithm;
use http::{StatusCode, header};

use super::ObjectAddress;
use super::{object_headers, version};
use crate::access::{self, Target};
use crate::attributes;
use crate::conditions;
use crate::context::Context;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::lifecycle;
use crate::locks;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::unsupported;

/// The largest object of a single PUT.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub(super) const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// What a client that sends no checksum gets.
pub(super) const DEFAULT_CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// The headers that can refuse a write, as an error names them.
const WRITE_CONDITIONS: [&str; 4] =
    ["If-None-Match", "If-Match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size"];

/// `PUT /bucket/key`.
pub(super) async fn put(context: &Context<'_>, object: &ObjectAddress, body: Body) -> S3Result<S3Response> {
    let headers = context.headers();
    unsupported::check_write(headers)?;
    let options = PutOptions {
        attributes: attributes::of_request(headers)?,
        storage_class: attributes::storage_class(headers)?,
        conditions: conditions::of_write(headers)?,
        tags: tags::of_header(headers)?,
        lock: locks::of_write(headers, locks::Digest::Needed)?,
        encryption: encryption::of_write(context, &object.bucket).await?,
        acl: access::of_new_object(context)?,
    };
    locks::check_digest(context, &object.bucket).await?;
    let etag = encryption::etag_need(&options.encryption);
    let mut source = context.object_body(body, (etag, default_checksum(context)), PUT_BYTES_MAX)?;
    check_early(context, object, &options.conditions).await?;
    let engine = context.writer();
    let tags = options.tags.clone();
    let result = engine.put_object(&object.bucket, &object.key, options, &mut source).await;
    context.received.add(source.received_bytes(), source.waited());
    let written = result.map_err(|error| write_error(error, context, object))?;
    let mut response = respond::empty(StatusCode::OK);
    let headers = response.headers_mut();
    respond::set(headers, header::ETAG, written.etag.to_string());
    version::show(headers, version::VERSION, written.version);
    encryption::describe_written(headers, written.encryption.as_ref(), context.headers());
    if let Some(checksum) = &written.checksum {
        object_headers::checksum(headers, checksum);
    }
    let (place, size) = ((&object.bucket, &object.key), (written.length_bytes, written.modified));
    lifecycle::describe(context, headers, place, size, Tags::Known(&tags)).await;
    Ok(response)
}

/// The checksum to compute when the client sends none.
pub(super) fn default_checksum(context: &Context<'_>) -> Option<ChecksumAlgorithm> {
    let sends_one = context
        .headers()
        .keys()
        .any(|name| name == "x-amz-trailer" || crate::checksum::names::of_header(name.as_str()).is_some());
    (!sends_one).then_some(DEFAULT_CHECKSUM)
}

/// Refuses a conditional write before its body is asked for. The engine decides again when it commits.
pub(super) async fn check_early(
    context: &Context<'_>,
    object: &ObjectAddress,
    conditions: &WriteConditions,
) -> S3Result<()> {
    if *conditions == WriteConditions::default() {
        return Ok(());
    }
    let target = Target::object(&object.bucket, &object.key, None);
    access::authorise_tags_compared(context, target, conditions).await?;
    let current = match context.shared.engine.open_object(&object.bucket, &object.key, None).await {
        Ok(opened) => Some(opened),
        Err(EngineError::NoSuchKey | EngineError::DeleteMarker { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let etag = current.as_ref().map(|opened| &opened.info().etag);
    conditions::check_write(conditions, etag).map_err(|error| with_key(error, object))
}

/// An engine's error on a write, with what the client needs to understand it.
pub(super) fn write_error(error: EngineError, context: &Context<'_>, object: &ObjectAddress) -> S3Error {
    let error = S3Error::from(error);
    if error.code() == ErrorCode::PreconditionFailed && error.fields().is_empty() {
        let sent = |name: &&str| context.headers().contains_key(*name);
        return S3Error::precondition_failed(WRITE_CONDITIONS.into_iter().find(sent).unwrap_or("If-Match"));
    }
    with_key(error, object)
}

/// Adds the key to errors that say it does not exist.
pub(super) fn with_key(error: S3Error, object: &ObjectAddress) -> S3Error {
    if error.code() == ErrorCode::NoSuchKey { error.field("Key", object.key.as_str()) } else { error }
}
