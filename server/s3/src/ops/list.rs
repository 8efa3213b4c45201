//! ListObjects and ListObjectsV2.

use granary_engine::{ListEntry, ListOptions, ListPage, ListedObject, RestoreState};
use granary_types::BucketName;

use super::restore;
use super::service::owner;
use crate::checksum::names;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::encoding::url_encode;
use crate::error::{S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::token;
use crate::xml::{XmlWriter, is_sayable};

/// The most entries of a page.
const KEYS_MAX: u32 = 1_000;
/// About what an entry takes, for the first allocation.
const ENTRY_BYTES: usize = 420;

/// How keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyEncoding {
    /// As they are.
    Plain,
    /// Percent-encoded (`encoding-type=url`).
    Url,
}

impl KeyEncoding {
    /// Reads `encoding-type`.
    ///
    /// # Errors
    /// `InvalidArgument` for another one than `url`.
    pub(super) fn of(context: &Context<'_>) -> S3Result<Self> {
        match context.query.non_empty("encoding-type") {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(other) => Err(S3Error::invalid_argument(
                "encoding-type",
                other,
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    /// Writes a key or a part of one.
    pub(super) fn text(self, xml: &mut XmlWriter, element: &'static str, text: &str) {
        match self {
            Self::Plain => xml.text(element, text),
            // What it leaves needs no escaping.
            Self::Url => xml.plain(element, url_encode(text)),
        }
    }

    /// Writes a key that the client has named itself.
    pub(super) fn echo(self, xml: &mut XmlWriter, element: &'static str, key: &str) {
        match self {
            Self::Plain => xml.echo(element, key),
            Self::Url => self.text(xml, element, key),
        }
    }
}

/// What both versions of the listing share.
struct Listing<'a> {
    context: &'a Context<'a>,
    bucket: &'a BucketName,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    limit: u32,
    encoding: KeyEncoding,
    version: ListVersion,
}

/// Which of the two listings it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListVersion {
    One,
    Two,
}

/// Reads a limit of a page such as `max-keys`, of at most 1,000.
///
/// # Errors
/// `InvalidArgument` when it is no number or negative.
pub(super) fn page_limit(context: &Context<'_>, name: &'static str) -> S3Result<u32> {
    let Some(text) = context.query.non_empty(name) else { return Ok(KEYS_MAX) };
    match text.parse::<u32>() {
        Ok(limit) if i32::try_from(limit).is_ok() => Ok(limit.min(KEYS_MAX)),
        _ => {
            let message = format!("Provided {name} not an integer or within integer range");
            Err(S3Error::invalid_argument(name, text, message))
        }
    }
}

/// Refuses a listing in any order that is to be folded at a delimiter. Others have the order that all have.
fn check_order(dialect: Dialect, unordered: Option<&str>, delimiter: Option<&str>) -> S3Result<()> {
    let is_asked = unordered.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    match delimiter {
        Some(delimiter) if is_asked && dialect.lists_unordered() => {
            let message = "allow-unordered cannot be used with a delimiter";
            Err(S3Error::invalid_argument("delimiter", delimiter, message))
        }
        _ => Ok(()),
    }
}

impl<'a> Listing<'a> {
    fn new(context: &'a Context<'a>, bucket: &'a BucketName, version: ListVersion) -> S3Result<Self> {
        let delimiter = context.query.non_empty("delimiter");
        check_order(context.shared.config.dialect, context.query.get("allow-unordered"), delimiter)?;
        Ok(Self {
            context,
            bucket,
            prefix: context.query.get("prefix").unwrap_or_default(),
            delimiter,
            limit: page_limit(context, "max-keys")?,
            encoding: KeyEncoding::of(context)?,
            version,
        })
    }

    async fn page(&self, after: Option<&str>) -> S3Result<ListPage> {
        let engine = &self.context.shared.engine;
        if self.limit == 0 {
            engine.bucket(self.bucket).await?;
            return Ok(ListPage { entries: Vec::new(), more: false });
        }
        let options = ListOptions {
            prefix: self.prefix.to_owned(),
            delimiter: self.delimiter.map(str::to_owned),
            after: after.filter(|after| !after.is_empty()).map(str::to_owned),
            limit: self.limit,
        };
        Ok(engine.list_objects(self.bucket, options).await?)
    }

    fn begin(&self, page: &ListPage) -> XmlWriter {
        let capacity_bytes = 1024 + page.entries.len() * ENTRY_BYTES;
        let mut xml = XmlWriter::document_with_capacity("ListBucketResult", capacity_bytes);
        xml.text("Name", self.bucket.as_str());
        match self.version {
            // Clients decode it in answers to the second version only. What XML cannot carry no client could read.
            ListVersion::One if is_sayable(self.prefix) => xml.text("Prefix", self.prefix),
            ListVersion::One | ListVersion::Two => self.encoding.text(&mut xml, "Prefix", self.prefix),
        }
        xml
    }

    fn common(&self, xml: &mut XmlWriter, page: &ListPage) {
        xml.plain("MaxKeys", self.limit);
        if let Some(delimiter) = self.delimiter {
            self.encoding.text(xml, "Delimiter", delimiter);
        }
        if self.encoding == KeyEncoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.plain("IsTruncated", page.more);
    }

    /// How far the restores of what the page shows are, if that is asked for.
    async fn restores(&self, page: &ListPage) -> S3Result<Vec<Option<RestoreState>>> {
        let entries = page.entries.iter().map(|entry| match entry {
            ListEntry::Object(object) => Some((object.storage_class, &object.key, None)),
            ListEntry::CommonPrefix(_) => None,
        });
        restore::of_listing(self.context, self.bucket, entries).await
    }

    fn entries(
        &self,
        xml: &mut XmlWriter,
        page: &ListPage,
        owners: Owners,
        restores: &[Option<RestoreState>],
    ) {
        for (index, entry) in page.entries.iter().enumerate() {
            if let ListEntry::Object(object) = entry {
                self.object(xml, object, owners, restores.get(index).copied().flatten());
            }
        }
        for entry in &page.entries {
            if let ListEntry::CommonPrefix(prefix) = entry {
                xml.open("CommonPrefixes");
                self.encoding.text(xml, "Prefix", prefix);
                xml.close("CommonPrefixes");
            }
        }
    }

    fn object(
        &self,
        xml: &mut XmlWriter,
        object: &ListedObject,
        owners: Owners,
        restored: Option<RestoreState>,
    ) {
        xml.open("Contents");
        self.encoding.text(xml, "Key", object.key.as_str());
        xml.time("LastModified", object.modified);
        xml.etag(object.etag.as_str());
        if let Some((algorithm, kind)) = object.checksum {
            xml.literal("ChecksumAlgorithm", names::value(algorithm));
            xml.literal("ChecksumType", names::kind_value(kind));
        }
        xml.plain("Size", object.length_bytes);
        if owners == Owners::Shown {
            owner(xml, "Owner", self.context);
        }
        xml.literal("StorageClass", object.storage_class.as_str());
        restore::status(xml, restored);
        xml.close("Contents");
    }
}

/// Whether each object's owner is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    Shown,
    Left,
}

fn last_of(page: &ListPage) -> Option<&str> {
    page.entries.last().map(|entry| match entry {
        ListEntry::Object(object) => object.key.as_str(),
        ListEntry::CommonPrefix(prefix) => prefix,
    })
}

/// `GET /bucket`.
pub(super) async fn list_objects(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let listing = Listing::new(context, bucket, ListVersion::One)?;
    let marker = context.query.get("marker").unwrap_or_default();
    let page = listing.page(Some(marker)).await?;
    let restores = listing.restores(&page).await?;
    let mut xml = listing.begin(&page);
    listing.encoding.text(&mut xml, "Marker", marker);
    // Without a delimiter the last key is the marker, and AWS leaves it to the client to see that.
    if let (true, Some(_), Some(last)) = (page.more, listing.delimiter, last_of(&page)) {
        listing.encoding.text(&mut xml, "NextMarker", last);
    }
    listing.common(&mut xml, &page);
    listing.entries(&mut xml, &page, Owners::Shown, &restores);
    Ok(respond::xml(xml.finish("ListBucketResult")))
}

/// `GET /bucket?list-type=2`.
pub(super) async fn list_objects_v2(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let listing = Listing::new(context, bucket, ListVersion::Two)?;
    let start_after = context.query.non_empty("start-after");
    let sent_token = context.query.get("continuation-token");
    let after = match sent_token {
        None | Some("") => start_after.map(str::to_owned),
        Some(text) => Some(token::decode(bucket.as_str(), text)?),
    };
    let page = listing.page(after.as_deref()).await?;
    let restores = listing.restores(&page).await?;
    let mut xml = listing.begin(&page);
    xml.optional("ContinuationToken", sent_token);
    if let (true, Some(last)) = (page.more, last_of(&page)) {
        xml.text("NextContinuationToken", &token::encode(bucket.as_str(), last));
    }
    if let Some(start_after) = start_after {
        listing.encoding.text(&mut xml, "StartAfter", start_after);
    }
    xml.plain("KeyCount", page.entries.len());
    listing.common(&mut xml, &page);
    let owners = if context.query.get("fetch-owner") == Some("true") { Owners::Shown } else { Owners::Left };
    listing.entries(&mut xml, &page, owners, &restores);
    Ok(respond::xml(xml.finish("ListBucketResult")))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
