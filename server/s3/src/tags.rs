//! Tags of objects and buckets, as headers and documents carry them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>

use granary_engine::Tag;
use http::HeaderMap;

use crate::encoding::decode_query;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::xml::read::{Element, malformed};
use crate::xml::{XmlWriter, read};

/// The most tags of an object.
pub const OBJECT_TAGS_MAX: usize = 10;
/// The most tags of a bucket.
pub const BUCKET_TAGS_MAX: usize = 50;
/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 128;
/// The longest value, in characters.
const VALUE_CHARS_MAX: usize = 256;

const HEADER: &str = "x-amz-tagging";

/// Reads `x-amz-tagging`, a query string; no tags without it.
///
/// # Errors
/// `InvalidArgument` for what is no such string or names a key twice, `InvalidTag` for tags that are not allowed.
pub fn of_header(headers: &HeaderMap) -> S3Result<Vec<Tag>> {
    let Some(value) = headers.get(HEADER) else { return Ok(Vec::new()) };
    let refused = || {
        let shown = value.to_str().unwrap_or_default();
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                       without tag name duplicates.";
        S3Error::invalid_argument(HEADER, shown, message)
    };
    let text = value.to_str().map_err(|error| refused().because(error))?;
    let mut tags: Vec<Tag> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(key), Some(value)) = (decode_query(key), decode_query(value)) else {
            return Err(refused());
        };
        if tags.iter().any(|(other, _)| *other == key) {
            return Err(refused());
        }
        tags.push((key.into_owned(), value.into_owned()));
    }
    check(&tags, OBJECT_TAGS_MAX)?;
    // AWS gives them back in this order.
    tags.sort();
    Ok(tags)
}

/// Reads a `Tagging` document of at most `limit` tags.
///
/// # Errors
/// `MalformedXML`, and `InvalidTag` for tags that are not allowed.
pub fn of_document(document: &[u8], limit: usize) -> S3Result<Vec<Tag>> {
    let root = read::parse(document, &read::Limits::SMALL)?;
    if root.name == "Tagging" { of_element(&root, limit) } else { Err(malformed()) }
}

/// As [`of_document`], of a document that was parsed.
///
/// # Errors
/// As [`of_document`].
pub fn of_element(root: &Element, limit: usize) -> S3Result<Vec<Tag>> {
    let [set] = root.children.as_slice() else { return Err(malformed()) };
    if set.name == "TagSet" { of_set(set, limit) } else { Err(malformed()) }
}

/// Reads the tags in an element.
///
/// # Errors
/// As [`of_document`].
pub fn of_set(set: &Element, limit: usize) -> S3Result<Vec<Tag>> {
    let text =
        |tag: &Element, name: &str| tag.child(name).map(|child| child.text.clone()).ok_or_else(malformed);
    let mut tags = Vec::with_capacity(set.children.len());
    for tag in &set.children {
        if tag.name != "Tag" || tag.children.len() != 2 {
            return Err(malformed());
        }
        tags.push((text(tag, "Key")?, text(tag, "Value")?));
    }
    check(&tags, limit)?;
    tags.sort();
    Ok(tags)
}

fn check(tags: &[Tag], limit: usize) -> S3Result<()> {
    if tags.len() > limit {
        let what = if limit == OBJECT_TAGS_MAX { "Object" } else { "Bucket" };
        return Err(invalid(format!("{what} tags cannot be greater than {limit}")));
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        let key_fits = (1..=KEY_CHARS_MAX).contains(&key.chars().count()) && key.chars().all(is_allowed);
        if !key_fits {
            return Err(invalid("The TagKey you have provided is invalid").field("TagKey", key));
        }
        if key.starts_with("aws:") {
            return Err(invalid("System tags cannot be added/updated by requester").field("TagKey", key));
        }
        if value.chars().count() > VALUE_CHARS_MAX || !value.chars().all(is_allowed) {
            return Err(invalid("The TagValue you have provided is invalid").field("TagValue", value));
        }
        if tags.iter().take(index).any(|(other, _)| other == key) {
            return Err(invalid("Cannot provide multiple Tags with the same key").field("TagKey", key));
        }
    }
    Ok(())
}

fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "+-=._:/@".contains(character)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(ErrorCode::InvalidTag, message)
}

/// Writes a `TagSet`.
pub fn write(xml: &mut XmlWriter, tags: &[Tag]) {
    xml.open("TagSet");
    for (key, value) in tags {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    xml.close("TagSet");
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
