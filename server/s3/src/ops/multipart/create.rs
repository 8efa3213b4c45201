//! CreateMultipartUpload and AbortMultipartUpload.

use granary_engine::UploadOptions;
use granary_types::{ChecksumAlgorithm, ChecksumKind, UnixMillis};
use http::{HeaderName, HeaderValue, StatusCode};

use super::upload_id;
use crate::access;
use crate::attributes;
use crate::checksum::combine::{check_kind, default_kind};
use crate::checksum::{names, request};
use crate::conditions;
use crate::context::Context;
use crate::encryption;
use crate::error::{S3Error, S3Result};
use crate::lifecycle;
use crate::locks;
use crate::ops::ObjectAddress;
use crate::respond::{self, S3Response};
use crate::tags;
use crate::unsupported;
use crate::xml::XmlWriter;

/// Names the second in which the upload to abort was begun.
const INITIATED: &str = "x-amz-if-match-initiated-time";

/// `POST /bucket/key?uploads`.
pub(in crate::ops) async fn create(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let headers = context.headers();
    unsupported::check_write(headers)?;
    let checksum = checksum_choice(context)?;
    let options = UploadOptions {
        owner: access::initiator(context),
        attributes: attributes::of_request(headers)?,
        storage_class: attributes::storage_class(headers)?,
        checksum,
        tags: tags::of_header(headers)?,
        lock: locks::of_write(headers, locks::Digest::Optional)?,
        encryption: encryption::of_write(context, &object.bucket).await?,
        acl: access::of_new_object(context)?,
    };
    let engine = &context.shared.engine;
    let initiated = UnixMillis::now();
    let (upload, encrypted) = engine.create_upload(&object.bucket, &object.key, options).await?;
    let mut xml = XmlWriter::document("InitiateMultipartUploadResult");
    xml.text("Bucket", object.bucket.as_str());
    xml.echo("Key", object.key.as_str());
    xml.plain("UploadId", upload);
    let mut response = respond::xml(xml.finish("InitiateMultipartUploadResult"));
    encryption::describe_written(response.headers_mut(), encrypted.as_ref(), headers);
    let place = (&object.bucket, &object.key);
    lifecycle::describe_upload(context, response.headers_mut(), place, initiated).await;
    if let Some((algorithm, kind)) = checksum {
        let headers = response.headers_mut();
        for (name, value) in [
            ("x-amz-checksum-algorithm", names::value(algorithm)),
            ("x-amz-checksum-type", names::kind_value(kind)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    Ok(response)
}

/// The checksum the client wants for its parts and its object.
fn checksum_choice(context: &Context<'_>) -> S3Result<Option<(ChecksumAlgorithm, ChecksumKind)>> {
    let algorithm = request::algorithm_header(context.headers())?;
    let kind = request::kind_header(context.headers())?;
    match (algorithm, kind) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(S3Error::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(algorithm), kind) => {
            let kind = kind.unwrap_or_else(|| default_kind(algorithm));
            check_kind(algorithm, kind)?;
            Ok(Some((algorithm, kind)))
        }
    }
}

/// `DELETE /bucket/key?uploadId=`.
pub(in crate::ops) async fn abort(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let upload = upload_id(context)?;
    // AWS has this condition for directory buckets only; ignored, it would abort what its sender meant to keep.
    if let Some(text) = context.header(INITIATED) {
        let wanted = conditions::modified_at(INITIATED, text)?;
        let info = context.shared.engine.upload(&object.bucket, &object.key, upload).await?;
        if info.initiated.seconds() != wanted.seconds() {
            return Err(S3Error::precondition_failed(INITIATED));
        }
    }
    context.shared.engine.abort_upload(&object.bucket, &object.key, upload).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
