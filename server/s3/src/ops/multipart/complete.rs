//! CompleteMultipartUpload.

use std::collections::BTreeMap;

use axum::body::Body;
use granary_engine::{
    CompleteOptions, EngineError, Tags, UploadInfo, UploadedPart, WriteConditions, Written,
};
use granary_types::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag, PartNumber, UploadId, WriteId};
use http::HeaderMap;
use md5::{Digest as _, Md5};

use super::completed::{self, Completed};
use super::part::{kept_algorithm, value_of};
use super::{PART_BYTES_MIN, upload_id};
use crate::body::Protection;
use crate::checksum::combine::{combine, default_kind};
use crate::checksum::{names, request};
use crate::conditions;
use crate::context::Context;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::lifecycle;
use crate::ops::attributes::checksum_elements;
use crate::ops::put::{check_early, write_error};
use crate::ops::{ObjectAddress, version};
use crate::peer;
use crate::respond::{self, S3Response};
use crate::unsupported;
use crate::xml::XmlWriter;
use crate::xml::read::Limits;
use crate::xml::requests::{CompletedPart, parse_complete};

/// How many parts are asked of the engine at once.
const PAGE: u32 = 1_000;

/// `POST /bucket/key?uploadId=`.
pub(in crate::ops) async fn complete(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let upload = upload_id(context)?;
    let headers = context.headers();
    unsupported::check_write(headers)?;
    let conditions = conditions::of_write(headers)?;
    let info = match context.shared.engine.upload(&object.bucket, &object.key, upload).await {
        Ok(info) => {
            check_kind(headers, &info)?;
            encryption::check_completion(context, object, upload, &info).await?;
            check_early(context, object, &conditions).await?;
            Some(info)
        }
        Err(EngineError::NoSuchUpload) => {
            completed::object_of(context, object, upload).await?;
            None
        }
        Err(error) => return Err(error.into()),
    };
    // Checksum headers here are of the object to be, not of this document.
    let document =
        context.document(body, Limits::COMPLETE.length_bytes, Protection::ChecksumIsOfTheObject).await?;
    let named = parse_complete(&document)?;
    let result = match info {
        Some(info) => assemble(context, object, upload, &info, &named, conditions).await,
        None => Err(ErrorCode::NoSuchUpload.into()),
    };
    let written = match result {
        Err(error) if error.code() == ErrorCode::NoSuchUpload => {
            completed::again(context, object, upload, &named).await?
        }
        result => result?,
    };
    let mut xml = XmlWriter::document("CompleteMultipartUploadResult");
    xml.text("Location", &location(context, object));
    xml.text("Bucket", object.bucket.as_str());
    xml.echo("Key", object.key.as_str());
    xml.etag(written.etag.as_str());
    if let Some(checksum) = &written.checksum {
        checksum_elements(&mut xml, checksum);
        xml.literal("ChecksumType", names::kind_value(checksum.kind));
    }
    let mut response = respond::xml(xml.finish("CompleteMultipartUploadResult"));
    version::show(response.headers_mut(), version::VERSION, written.version);
    encryption::describe(response.headers_mut(), written.encryption.as_ref(), context.headers());
    let (place, size) = ((&object.bucket, &object.key), (written.length_bytes, written.modified));
    // A completed upload's write has the bytes of its id.
    let tags = Tags::OfWrite(WriteId::from_bytes(*upload.as_bytes()));
    lifecycle::describe(context, response.headers_mut(), place, size, tags).await;
    Ok(response)
}

/// Makes the object of the parts that the client named.
async fn assemble(
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
    info: &UploadInfo,
    named: &[CompletedPart],
    conditions: WriteConditions,
) -> S3Result<Completed> {
    let headers = context.headers();
    let stored = stored_parts(context, object, upload).await?;
    let parts = gone_or(chosen_parts(named, stored), context, object, upload).await?;
    check_object_size(headers, &parts)?;
    let checksum = object_checksum(&parts, info)?;
    check_checksum(headers, checksum.as_ref())?;
    for (name, part) in named.iter().zip(&parts) {
        check_part_checksums(name, part, info)?;
    }
    let etag = multipart_etag(parts.iter().map(|part| part.etag.as_str()))?;
    let options = CompleteOptions { etag, parts, checksum, conditions };
    let result = context.writer().complete_upload(&object.bucket, &object.key, upload, options).await;
    let result = result.map_err(|error| write_error(error, context, object));
    let written = gone_or(result, context, object, upload).await?;
    let Written { etag, checksum, version, encryption, length_bytes, modified } = written;
    Ok(Completed { etag, checksum, version, encryption, length_bytes, modified })
}

/// `NoSuchUpload` instead of `InvalidPart` where the parts are gone because another request completed or aborted the
/// upload meanwhile.
async fn gone_or<T>(
    result: S3Result<T>,
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
) -> S3Result<T> {
    if let Err(error) = &result
        && error.code() == ErrorCode::InvalidPart
    {
        context.shared.engine.upload(&object.bucket, &object.key, upload).await?;
    }
    result
}

/// Where the object is, as the client addressed it.
fn location(context: &Context<'_>, object: &ObjectAddress) -> String {
    let uri = &context.parts.uri;
    let host = if context.host.is_empty() { object.bucket.as_str() } else { context.host };
    format!("{}://{host}{}", peer::scheme(context.parts), uri.path())
}

/// Every stored part of the upload, by number.
async fn stored_parts(
    context: &Context<'_>,
    object: &ObjectAddress,
    upload: UploadId,
) -> S3Result<BTreeMap<PartNumber, UploadedPart>> {
    let mut stored = BTreeMap::new();
    let mut after = 0;
    loop {
        let page =
            context.shared.engine.uploaded_parts(&object.bucket, &object.key, upload, after, PAGE).await?;
        let last = page.parts.last().map(|part| part.number.get());
        stored.extend(page.parts.into_iter().map(|part| (part.number, part)));
        match last {
            Some(last) if page.more => after = last,
            _ => return Ok(stored),
        }
    }
}

/// The stored parts that the client named by their numbers and entity tags.
fn chosen_parts(
    named: &[CompletedPart],
    mut stored: BTreeMap<PartNumber, UploadedPart>,
) -> S3Result<Vec<UploadedPart>> {
    let mut parts: Vec<UploadedPart> = Vec::with_capacity(named.len());
    for name in named {
        if let Some(before) = parts.last()
            && before.length_bytes < PART_BYTES_MIN
        {
            return Err(too_small(before));
        }
        let part = stored.remove(&name.number).filter(|part| part.etag.as_str() == name.etag);
        parts.push(part.ok_or_else(|| invalid_part(name))?);
    }
    Ok(parts)
}

fn invalid_part(part: &CompletedPart) -> S3Error {
    S3Error::new(ErrorCode::InvalidPart)
        .field("PartNumber", part.number.get().to_string())
        .field("ETag", part.etag.clone())
}

fn too_small(part: &UploadedPart) -> S3Error {
    S3Error::new(ErrorCode::EntityTooSmall)
        .field("ProposedSize", part.length_bytes.to_string())
        .field("MinSizeAllowed", PART_BYTES_MIN.to_string())
        .field("PartNumber", part.number.get().to_string())
        .field("ETag", part.etag.as_str())
}

/// What is named must be what is stored. A checksum of another algorithm than the one kept was verified when its part was
/// uploaded, and so was one that is not named.
fn check_part_checksums(name: &CompletedPart, part: &UploadedPart, info: &UploadInfo) -> S3Result<()> {
    let algorithm = kept_algorithm(info);
    let named = name.checksums.iter().find(|(named, _)| *named == algorithm).map(|(_, value)| value.as_str());
    match (named, value_of(part.checksum.as_ref(), algorithm)) {
        (Some(named), Some(stored)) if named == stored => Ok(()),
        (Some(_), _) => Err(invalid_part(name)),
        (None, _) => Ok(()),
    }
}

/// `md5-N`: the MD5 of the parts' MD5s and their count.
pub(super) fn multipart_etag<'a>(tags: impl Iterator<Item = &'a str>) -> S3Result<Etag> {
    let mut md5 = Md5::new();
    let mut count = 0_usize;
    for tag in tags {
        let bytes =
            hex::decode(tag).map_err(|error| S3Error::new(ErrorCode::InternalError).because(error))?;
        md5.update(&bytes);
        count += 1;
    }
    Ok(Etag::new(format!("{}-{count}", hex::encode(md5.finalize()))))
}

/// The algorithm and kind of the object's checksum.
fn object_kind(info: &UploadInfo) -> (ChecksumAlgorithm, ChecksumKind) {
    info.checksum.unwrap_or_else(|| {
        let algorithm = kept_algorithm(info);
        (algorithm, default_kind(algorithm))
    })
}

fn object_checksum(parts: &[UploadedPart], info: &UploadInfo) -> S3Result<Option<Checksum>> {
    let (algorithm, kind) = object_kind(info);
    let mut sums = Vec::with_capacity(parts.len());
    for part in parts {
        let value = value_of(part.checksum.as_ref(), algorithm).ok_or_else(|| {
            S3Error::new(ErrorCode::InternalError).because("a stored part lacks its checksum")
        })?;
        sums.push((value, part.length_bytes));
    }
    Ok(combine(algorithm, kind, sums.into_iter()))
}

fn check_kind(headers: &HeaderMap, info: &UploadInfo) -> S3Result<()> {
    let (_, expected) = object_kind(info);
    match request::kind_header(headers)? {
        Some(kind) if kind != expected => Err(S3Error::invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            names::kind_value(expected)
        ))),
        _ => Ok(()),
    }
}

fn check_object_size(headers: &HeaderMap, parts: &[UploadedPart]) -> S3Result<()> {
    let Some(value) = headers.get("x-amz-mp-object-size") else { return Ok(()) };
    let computed: u64 = parts.iter().map(|part| part.length_bytes).sum();
    let text = value.to_str().unwrap_or_default().trim();
    if text.parse() == Ok(computed) {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "The provided 'x-amz-mp-object-size' header value {text} does not match what was computed: {computed}"
    )))
}

/// A composite checksum may be sent with or without the count of parts.
fn is_value(computed: &Checksum, sent: &str) -> bool {
    let without_count = computed.value.rsplit_once('-').map_or(computed.value.as_str(), |(value, _)| value);
    sent == computed.value || sent == without_count
}

/// Compares the checksum of the whole object that the client sent.
fn check_checksum(headers: &HeaderMap, computed: Option<&Checksum>) -> S3Result<()> {
    for name in headers.keys() {
        let Some(algorithm) = names::of_header(name.as_str()) else { continue };
        let sent = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
        match computed {
            Some(computed) if computed.algorithm == algorithm && is_value(computed, sent) => {}
            Some(computed) if computed.algorithm != algorithm => {
                return Err(S3Error::invalid_request(format!(
                    "The upload was created using a {} checksum. The complete request must use the same algorithm.",
                    names::value(computed.algorithm).to_ascii_lowercase()
                )));
            }
            _ => {
                let message = format!(
                    "The {} you specified did not match the calculated checksum.",
                    names::value(algorithm)
                );
                return Err(S3Error::with_message(ErrorCode::BadDigest, message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "complete_tests.rs"]
mod tests;
