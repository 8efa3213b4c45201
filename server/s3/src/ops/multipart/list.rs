//! ListParts and ListMultipartUploads.

use granary_engine::{ListUploadsOptions, UploadEntry};
use granary_types::{BucketName, ChecksumAlgorithm, ChecksumKind};

use super::upload_id;
use crate::access;
use crate::checksum::names;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::lifecycle;
use crate::ops::ObjectAddress;
use crate::ops::attributes::checksum_elements;
use crate::ops::list::{KeyEncoding, page_limit};
use crate::ops::service::account;
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;

/// `GET /bucket/key?uploadId=`.
pub(in crate::ops) async fn parts(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let upload = upload_id(context)?;
    let encoding = KeyEncoding::of(context)?;
    let limit = page_limit(context, "max-parts")?;
    let after = part_number_marker(context)?;
    let engine = &context.shared.engine;
    let info = engine.upload(&object.bucket, &object.key, upload).await?;
    let page = engine.uploaded_parts(&object.bucket, &object.key, upload, after, limit.max(1)).await?;
    let shown = if limit == 0 { &[][..] } else { &page.parts[..] };
    let mut xml = XmlWriter::document_with_capacity("ListPartsResult", 1024 + shown.len() * 256);
    xml.text("Bucket", object.bucket.as_str());
    encoding.echo(&mut xml, "Key", object.key.as_str());
    xml.plain("UploadId", upload);
    owners(&mut xml, &info.owner, context);
    xml.literal("StorageClass", info.storage_class.as_str());
    xml.plain("PartNumberMarker", after);
    xml.plain("NextPartNumberMarker", shown.last().map_or(0, |part| part.number.get()));
    xml.plain("MaxParts", limit);
    if encoding == KeyEncoding::Url {
        xml.text("EncodingType", "url");
    }
    xml.plain("IsTruncated", limit > 0 && page.more);
    checksum_choice(&mut xml, info.checksum);
    for part in shown {
        xml.open("Part");
        xml.plain("PartNumber", part.number.get());
        xml.time("LastModified", part.modified);
        xml.etag(part.etag.as_str());
        xml.plain("Size", part.length_bytes);
        if let Some(checksum) = &part.checksum {
            checksum_elements(&mut xml, checksum);
        }
        xml.close("Part");
    }
    let mut response = respond::xml(xml.finish("ListPartsResult"));
    let place = (&object.bucket, &object.key);
    lifecycle::describe_upload(context, response.headers_mut(), place, info.initiated).await;
    Ok(response)
}

/// Writes who began an upload, and whose its object will be.
fn owners(xml: &mut XmlWriter, initiator: &str, context: &Context<'_>) {
    let (initiator, owner) = access::owners_of_upload(context, initiator);
    account(xml, "Initiator", &initiator);
    account(xml, "Owner", &owner);
}

fn part_number_marker(context: &Context<'_>) -> S3Result<u16> {
    let Some(text) = context.query.non_empty("part-number-marker") else { return Ok(0) };
    text.parse::<u32>().map(|number| u16::try_from(number).unwrap_or(u16::MAX)).map_err(|error| {
        let message = "Provided part-number-marker not an integer or within integer range";
        S3Error::invalid_argument("part-number-marker", text, message).because(error)
    })
}

fn checksum_choice(xml: &mut XmlWriter, checksum: Option<(ChecksumAlgorithm, ChecksumKind)>) {
    if let Some((algorithm, kind)) = checksum {
        xml.literal("ChecksumAlgorithm", names::value(algorithm));
        xml.literal("ChecksumType", names::kind_value(kind));
    }
}

/// `GET /bucket?uploads`.
pub(in crate::ops) async fn uploads(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let query = context.query;
    let encoding = KeyEncoding::of(context)?;
    let limit = page_limit(context, "max-uploads")?;
    let key_marker = query.get("key-marker").unwrap_or_default();
    // Without a key marker, AWS ignores the upload's.
    let upload_marker = query.non_empty("upload-id-marker").filter(|_| !key_marker.is_empty());
    let after_upload = match upload_marker {
        Some(text) => Some(text.parse().map_err(|error: granary_types::ParseIdError| {
            S3Error::invalid_argument("upload-id-marker", text, "Invalid uploadId marker").because(error)
        })?),
        None => None,
    };
    let options = ListUploadsOptions {
        prefix: query.get("prefix").unwrap_or_default().to_owned(),
        delimiter: query.non_empty("delimiter").map(str::to_owned),
        after_key: (!key_marker.is_empty()).then(|| key_marker.to_owned()),
        after_upload,
        limit: limit.max(1),
    };
    let mut page = context.shared.engine.list_uploads(bucket, options.clone()).await?;
    if limit == 0 {
        page.entries.clear();
        page.more = false;
    }
    let mut xml =
        XmlWriter::document_with_capacity("ListMultipartUploadsResult", 1024 + page.entries.len() * 512);
    xml.text("Bucket", bucket.as_str());
    encoding.text(&mut xml, "KeyMarker", key_marker);
    xml.text("UploadIdMarker", upload_marker.unwrap_or_default());
    if page.more {
        match page.entries.last() {
            Some(UploadEntry::Upload(upload)) => {
                encoding.text(&mut xml, "NextKeyMarker", upload.key.as_str());
                xml.plain("NextUploadIdMarker", upload.upload);
            }
            Some(UploadEntry::CommonPrefix(prefix)) => {
                encoding.text(&mut xml, "NextKeyMarker", prefix);
                xml.text("NextUploadIdMarker", "");
            }
            None => {}
        }
    }
    encoding.text(&mut xml, "Prefix", &options.prefix);
    if let Some(delimiter) = &options.delimiter {
        encoding.text(&mut xml, "Delimiter", delimiter);
    }
    if encoding == KeyEncoding::Url {
        xml.text("EncodingType", "url");
    }
    xml.plain("MaxUploads", limit);
    xml.plain("IsTruncated", page.more);
    upload_entries(&mut xml, &page.entries, encoding, context);
    Ok(respond::xml(xml.finish("ListMultipartUploadsResult")))
}

fn upload_entries(
    xml: &mut XmlWriter,
    entries: &[UploadEntry],
    encoding: KeyEncoding,
    context: &Context<'_>,
) {
    for entry in entries {
        if let UploadEntry::Upload(upload) = entry {
            xml.open("Upload");
            encoding.text(xml, "Key", upload.key.as_str());
            xml.plain("UploadId", upload.upload);
            owners(xml, &upload.owner, context);
            xml.literal("StorageClass", upload.storage_class.as_str());
            xml.time("Initiated", upload.initiated);
            checksum_choice(xml, upload.checksum);
            xml.close("Upload");
        }
    }
    for entry in entries {
        if let UploadEntry::CommonPrefix(prefix) = entry {
            xml.open("CommonPrefixes");
            encoding.text(xml, "Prefix", prefix);
            xml.close("CommonPrefixes");
        }
    }
}
