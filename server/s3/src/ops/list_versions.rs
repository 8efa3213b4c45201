//! ListObjectVersions.

use granary_engine::{
    ListVersionsOptions, ListedVersion, RestoreState, VersionEntry, VersionKind, VersionMarker, VersionPage,
};
use granary_types::BucketName;

use super::list::{KeyEncoding, page_limit};
use super::service::owner;
use super::{restore, version};
use crate::checksum::names;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;

const ROOT: &str = "ListVersionsResult";
/// About what an entry takes, for the first allocation.
const ENTRY_BYTES: usize = 480;

/// `GET /bucket?versions`.
pub(super) async fn list(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let encoding = KeyEncoding::of(context)?;
    let limit = page_limit(context, "max-keys")?;
    let prefix = context.query.get("prefix").unwrap_or_default();
    let delimiter = context.query.non_empty("delimiter");
    let key_marker = context.query.get("key-marker").unwrap_or_default();
    let version_marker = context.query.get("version-id-marker").unwrap_or_default();
    let after_version = marker_of(key_marker, version_marker)?;
    let page = if limit == 0 {
        context.shared.engine.bucket(bucket).await?;
        VersionPage { entries: Vec::new(), more: false }
    } else {
        let options = ListVersionsOptions {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after: Some(key_marker.to_owned()).filter(|marker| !marker.is_empty()),
            after_version,
            limit,
        };
        context.shared.engine.list_versions(bucket, options).await?
    };
    let listed = page.entries.iter().map(|entry| match entry {
        VersionEntry::Version(listed) if listed.kind == VersionKind::Object => {
            Some((listed.object.storage_class, &listed.object.key, Some(listed.version)))
        }
        VersionEntry::Version(_) | VersionEntry::CommonPrefix(_) => None,
    });
    let restores = restore::of_listing(context, bucket, listed).await?;
    let capacity_bytes = 1024 + page.entries.len() * ENTRY_BYTES;
    let mut xml = XmlWriter::document_with_capacity(ROOT, capacity_bytes);
    xml.text("Name", bucket.as_str());
    encoding.text(&mut xml, "Prefix", prefix);
    encoding.text(&mut xml, "KeyMarker", key_marker);
    xml.text("VersionIdMarker", version_marker);
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        next_markers(&mut xml, encoding, last);
    }
    xml.plain("MaxKeys", limit);
    if let Some(delimiter) = delimiter {
        encoding.text(&mut xml, "Delimiter", delimiter);
    }
    if encoding == KeyEncoding::Url {
        xml.text("EncodingType", "url");
    }
    xml.plain("IsTruncated", page.more);
    entries(&mut xml, context, encoding, (&page, &restores));
    Ok(respond::xml(xml.finish(ROOT)))
}

/// Reads `version-id-marker`: a version id, or what an earlier page gave, which also tells the order and so holds when
/// the version was deleted meanwhile.
fn marker_of(key_marker: &str, version_marker: &str) -> S3Result<Option<VersionMarker>> {
    if version_marker.is_empty() {
        return Ok(None);
    }
    let refused =
        |message: &'static str| S3Error::invalid_argument("version-id-marker", version_marker, message);
    if key_marker.is_empty() {
        return Err(refused("A version-id marker cannot be specified without a key marker."));
    }
    let invalid = || refused("Invalid version id specified");
    match version_marker.split_once('.') {
        Some((id, order)) => {
            version::named(Some(id)).map_err(|_| invalid())?;
            u64::from_str_radix(order, 16)
                .map(|order| Some(VersionMarker::Order(order)))
                .map_err(|_| invalid())
        }
        None => Ok(version::named(Some(version_marker)).map_err(|_| invalid())?.map(VersionMarker::Id)),
    }
}

fn next_markers(xml: &mut XmlWriter, encoding: KeyEncoding, last: &VersionEntry) {
    match last {
        VersionEntry::CommonPrefix(prefix) => encoding.text(xml, "NextKeyMarker", prefix),
        VersionEntry::Version(last) => {
            encoding.text(xml, "NextKeyMarker", last.key().as_str());
            xml.text("NextVersionIdMarker", &format!("{}.{:x}", version::shown(last.version), last.order));
        }
    }
}

fn entries(
    xml: &mut XmlWriter,
    context: &Context<'_>,
    encoding: KeyEncoding,
    (page, restores): (&VersionPage, &[Option<RestoreState>]),
) {
    for (index, entry) in page.entries.iter().enumerate() {
        if let VersionEntry::Version(listed) = entry {
            version_element(xml, context, encoding, (listed, restores.get(index).copied().flatten()));
        }
    }
    for entry in &page.entries {
        if let VersionEntry::CommonPrefix(prefix) = entry {
            xml.open("CommonPrefixes");
            encoding.text(xml, "Prefix", prefix);
            xml.close("CommonPrefixes");
        }
    }
}

fn version_element(
    xml: &mut XmlWriter,
    context: &Context<'_>,
    encoding: KeyEncoding,
    (listed, restored): (&ListedVersion, Option<RestoreState>),
) {
    let element = match listed.kind {
        VersionKind::Object => "Version",
        VersionKind::DeleteMarker => "DeleteMarker",
    };
    let object = &listed.object;
    xml.open(element);
    encoding.text(xml, "Key", object.key.as_str());
    xml.text("VersionId", &version::shown(listed.version));
    xml.plain("IsLatest", listed.is_latest);
    xml.time("LastModified", object.modified);
    if listed.kind == VersionKind::Object {
        xml.etag(object.etag.as_str());
        if let Some((algorithm, kind)) = object.checksum {
            xml.literal("ChecksumAlgorithm", names::value(algorithm));
            xml.literal("ChecksumType", names::kind_value(kind));
        }
        xml.plain("Size", object.length_bytes);
        xml.literal("StorageClass", object.storage_class.as_str());
    }
    owner(xml, "Owner", context);
    restore::status(xml, restored);
    xml.close(element);
}

#[cfg(test)]
#[path = "list_versions_tests.rs"]
mod tests;
