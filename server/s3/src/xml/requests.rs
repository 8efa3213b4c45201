//! The request documents: DeleteObjects, CompleteMultipartUpload and CreateBucket.

use granary_types::{ChecksumAlgorithm, PartNumber, UnixMillis};

use super::read::{Element, Limits, malformed, parse};
use crate::checksum::names;
use crate::conditions;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::tags;

/// The most keys one DeleteObjects may name.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
pub const DELETE_KEYS_MAX: usize = 1_000;

/// What DeleteObjects reports back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteReport {
    /// Each key deleted and each that failed.
    Verbose,
    /// Only those that failed.
    Quiet,
}

/// One object of a DeleteObjects request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTarget {
    /// The key as sent, not yet checked.
    pub key: String,
    /// The version to delete.
    pub version_id: Option<String>,
    /// Delete only while the object has this entity tag (without quotes, or `*`).
    pub etag: Option<String>,
    /// Delete only if the object was last modified in this second.
    pub modified_at: Option<UnixMillis>,
    /// Delete only while the object has this length.
    pub length_bytes: Option<u64>,
}

/// A DeleteObjects request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// What to report.
    pub report: DeleteReport,
    /// The objects, in the order sent: 1 to 1,000.
    pub targets: Vec<DeleteTarget>,
}

/// Reads a `Delete` document.
///
/// # Errors
/// `MalformedXML` when the document does not follow the schema or names no key or more than 1,000.
pub fn parse_delete(document: &[u8]) -> S3Result<DeleteRequest> {
    let root = parse(document, &Limits::DELETE)?;
    if root.name != "Delete" {
        return Err(malformed());
    }
    let mut request = DeleteRequest { report: DeleteReport::Verbose, targets: Vec::new() };
    for child in root.children {
        match child.name.as_str() {
            "Quiet" => request.report = parse_quiet(&child.text)?,
            "Object" => request.targets.push(parse_delete_target(child)?),
            _ => return Err(malformed()),
        }
    }
    if (1..=DELETE_KEYS_MAX).contains(&request.targets.len()) { Ok(request) } else { Err(malformed()) }
}

fn parse_quiet(text: &str) -> S3Result<DeleteReport> {
    match text.trim() {
        "true" | "True" | "1" => Ok(DeleteReport::Quiet),
        "false" | "False" | "0" => Ok(DeleteReport::Verbose),
        _ => Err(malformed()),
    }
}

fn parse_delete_target(object: Element) -> S3Result<DeleteTarget> {
    let mut key = None;
    let mut version_id = None;
    let mut etag = None;
    let mut modified_at = None;
    let mut length_bytes = None;
    for child in object.children {
        match child.name.as_str() {
            "Key" => key = Some(child.text),
            "VersionId" => version_id = Some(child.text),
            "ETag" => etag = Some(unquote(&child.text).to_owned()),
            "LastModifiedTime" => {
                modified_at = Some(conditions::modified_at("LastModifiedTime", child.text.trim())?);
            }
            "Size" => length_bytes = Some(conditions::length_bytes("Size", child.text.trim())?),
            _ => return Err(malformed()),
        }
    }
    Ok(DeleteTarget { key: key.ok_or_else(malformed)?, version_id, etag, modified_at, length_bytes })
}

/// One part of a CompleteMultipartUpload request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: PartNumber,
    /// Its entity tag without quotes.
    pub etag: String,
    /// The checksums the client names for it, in base64.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

/// Reads a `CompleteMultipartUpload` document.
///
/// # Errors
/// `MalformedXML` when the document does not follow the schema, `InvalidPartOrder` when the parts do not
/// ascend, `InvalidArgument` for a part number out of range.
pub fn parse_complete(document: &[u8]) -> S3Result<Vec<CompletedPart>> {
    let root = parse(document, &Limits::COMPLETE)?;
    // Some old clients send the name of the operation's shape instead.
    if !matches!(root.name.as_str(), "CompleteMultipartUpload" | "MultipartUpload") {
        return Err(malformed());
    }
    let mut parts = Vec::with_capacity(root.children.len().min(usize::from(PartNumber::MAX)));
    for child in root.children {
        if child.name != "Part" || parts.len() >= usize::from(PartNumber::MAX) {
            return Err(malformed());
        }
        parts.push(parse_completed_part(child)?);
    }
    if parts.is_empty() {
        return Err(malformed());
    }
    let ascending = parts.iter().zip(parts.iter().skip(1)).all(|(a, b)| a.number < b.number);
    if ascending { Ok(parts) } else { Err(S3Error::new(ErrorCode::InvalidPartOrder)) }
}

fn parse_completed_part(part: Element) -> S3Result<CompletedPart> {
    let mut number = None;
    let mut etag = None;
    let mut checksums = Vec::new();
    for child in part.children {
        match child.name.as_str() {
            "PartNumber" => number = Some(parse_part_number(child.text.trim())?),
            "ETag" => etag = Some(unquote(&child.text).to_owned()),
            name => {
                let algorithm = names::of_element(name).ok_or_else(malformed)?;
                checksums.push((algorithm, child.text.trim().to_owned()));
            }
        }
    }
    let (Some(number), Some(etag)) = (number, etag) else { return Err(malformed()) };
    Ok(CompletedPart { number, etag, checksums })
}

/// Reads a part number: 1 to 10,000.
///
/// # Errors
/// `InvalidArgument` otherwise, with AWS's message.
pub fn parse_part_number(text: &str) -> S3Result<PartNumber> {
    text.parse::<u32>().ok().and_then(|number| PartNumber::new(number).ok()).ok_or_else(|| {
        S3Error::invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })
}

/// What a CreateBucket request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateBucketRequest {
    /// Where the bucket shall be.
    pub constraint: Option<String>,
    /// Its tags.
    pub tags: Vec<granary_engine::Tag>,
}

/// Reads a `CreateBucketConfiguration` document; an empty body asks for nothing.
///
/// # Errors
/// `MalformedXML` when the document does not follow the schema, `InvalidTag`, `NotImplemented` for directory buckets.
pub fn parse_create_bucket(document: &[u8]) -> S3Result<CreateBucketRequest> {
    let mut request = CreateBucketRequest::default();
    if document.iter().all(u8::is_ascii_whitespace) {
        return Ok(request);
    }
    let root = parse(document, &Limits::SMALL)?;
    if root.name != "CreateBucketConfiguration" {
        return Err(malformed());
    }
    for child in root.children {
        match child.name.as_str() {
            "LocationConstraint" => request.constraint = Some(child.text.trim().to_owned()),
            "Location" | "Bucket" => return Err(S3Error::not_implemented("A directory bucket")),
            "Tags" => request.tags = tags::of_set(&child, tags::BUCKET_TAGS_MAX)?,
            _ => return Err(malformed()),
        }
    }
    request.constraint = request.constraint.filter(|constraint| !constraint.is_empty());
    Ok(request)
}

/// The entity tag inside its quotes; clients send it with and without.
#[must_use]
pub fn unquote(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
