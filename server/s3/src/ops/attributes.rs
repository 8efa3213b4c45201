//! GetObjectAttributes.

use granary_engine::{ObjectInfo, PartInfo};
use granary_types::{Checksum, PartNumber};
use http::header;

use super::{ObjectAddress, version};
use crate::checksum::names;
use crate::context::Context;
use crate::dates::http_date;
use crate::encryption;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;

/// The most parts of a page.
const PARTS_MAX: u32 = 1_000;

/// The attributes a client asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    etag: bool,
    checksum: bool,
    parts: bool,
    storage_class: bool,
    size: bool,
}

impl Wanted {
    fn of(context: &Context<'_>) -> S3Result<Self> {
        let mut wanted = Self::default();
        let values = context.headers().get_all("x-amz-object-attributes");
        let names = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "ETag" => wanted.etag = true,
                "Checksum" => wanted.checksum = true,
                "ObjectParts" => wanted.parts = true,
                "StorageClass" => wanted.storage_class = true,
                "ObjectSize" => wanted.size = true,
                other => {
                    let message = "Invalid attribute name specified.";
                    return Err(S3Error::invalid_argument("x-amz-object-attributes", other, message));
                }
            }
        }
        if wanted == Self::default() {
            let message =
                "The x-amz-object-attributes header specifying the attributes to be retrieved is missing.";
            return Err(S3Error::invalid_request(message));
        }
        Ok(wanted)
    }
}

/// `GET /bucket/key?attributes`.
pub(super) async fn get(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let key = encryption::read_key(context)?;
    let wanted = Wanted::of(context)?;
    let page = PartsPage::of(context)?;
    let mut opened = version::open(context, object, context.query.get("versionId")).await?;
    opened.unlock(key.as_ref())?;
    let info = opened.info();
    let mut response = respond::xml(document(wanted, page, info));
    respond::set(response.headers_mut(), header::LAST_MODIFIED, http_date(info.modified));
    version::show(response.headers_mut(), version::VERSION, info.version);
    Ok(response)
}

fn document(wanted: Wanted, page: PartsPage, info: &ObjectInfo) -> bytes::Bytes {
    const ROOT: &str = "GetObjectAttributesResponse";
    let mut xml = XmlWriter::document(ROOT);
    if wanted.etag {
        xml.text("ETag", info.etag.as_str());
    }
    if let (true, Some(checksum)) = (wanted.checksum, &info.checksum) {
        xml.open("Checksum");
        checksum_elements(&mut xml, checksum);
        xml.literal("ChecksumType", names::kind_value(checksum.kind));
        xml.close("Checksum");
    }
    if let (true, Some(parts)) = (wanted.parts, &info.parts) {
        page.write(&mut xml, parts);
    }
    if wanted.storage_class {
        xml.literal("StorageClass", info.storage_class.as_str());
    }
    if wanted.size {
        xml.plain("ObjectSize", info.length_bytes);
    }
    xml.finish(ROOT)
}

/// Writes the element of a checksum's algorithm.
pub(super) fn checksum_elements(xml: &mut XmlWriter, checksum: &Checksum) {
    xml.text(names::element(checksum.algorithm), &checksum.value);
}

/// Which parts are shown.
#[derive(Debug, Clone, Copy)]
struct PartsPage {
    after: u32,
    limit: u32,
}

impl PartsPage {
    fn of(context: &Context<'_>) -> S3Result<Self> {
        let number = |name: &'static str| match context.header(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => text.parse::<u32>().map(Some).map_err(|error| {
                S3Error::invalid_argument(name, text, "Provided value not an integer or within integer range")
                    .because(error)
            }),
        };
        Ok(Self {
            after: number("x-amz-part-number-marker")?.unwrap_or(0),
            limit: number("x-amz-max-parts")?.unwrap_or(PARTS_MAX).min(PARTS_MAX),
        })
    }

    fn write(self, xml: &mut XmlWriter, parts: &[PartInfo]) {
        let number = |part: &PartInfo| u32::from(part.number.get());
        let rest = parts.iter().filter(|part| number(part) > self.after);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let shown: Vec<&PartInfo> = rest.clone().take(limit).collect();
        xml.open("ObjectParts");
        xml.plain("PartsCount", parts.len());
        xml.plain("PartNumberMarker", self.after);
        xml.plain("NextPartNumberMarker", shown.last().map_or(0, |part| number(part)));
        xml.plain("MaxParts", self.limit);
        xml.plain("IsTruncated", rest.count() > shown.len());
        for part in shown {
            xml.open("Part");
            if let Some(checksum) = &part.checksum {
                checksum_elements(xml, checksum);
            }
            xml.plain("PartNumber", part.number.get());
            xml.plain("Size", part.length_bytes);
            xml.close("Part");
        }
        xml.close("ObjectParts");
    }
}

/// The part of that number, with the offset of its first byte.
pub(super) fn find_part(parts: &[PartInfo], number: PartNumber) -> S3Result<(u64, &PartInfo)> {
    let mut start = 0;
    for part in parts {
        if part.number == number {
            return Ok((start, part));
        }
        start += part.length_bytes;
    }
    Err(no_part(parts.len(), number))
}

/// An object of so many parts has none of that number.
pub(super) fn no_part(count: usize, number: PartNumber) -> S3Error {
    S3Error::new(ErrorCode::InvalidPart)
        .field("ActualPartCount", count.to_string())
        .field("PartNumberRequested", number.get().to_string())
}
