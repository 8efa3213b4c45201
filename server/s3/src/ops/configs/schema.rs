//! What a document may hold, as a table, and the check of a document against it.

use crate::error::S3Result;
use crate::xml::XmlWriter;
use crate::xml::read::{Element, malformed};

/// How often an element may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    Optional,
    Many,
    /// At least once.
    Some,
}

/// What an element holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A number that is not negative.
    Number,
    /// Somebody who is granted something, which is told by an attribute as well.
    Grantee,
    /// Other elements.
    Group(&'static [Member]),
}

/// An element of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) times: Times,
    pub(super) content: Content,
}

pub(super) const fn one(name: &'static str, content: Content) -> Member {
    Member { name, times: Times::Once, content }
}

pub(super) const fn maybe(name: &'static str, content: Content) -> Member {
    Member { name, times: Times::Optional, content }
}

pub(super) const fn many(name: &'static str, content: Content) -> Member {
    Member { name, times: Times::Many, content }
}

pub(super) const fn some(name: &'static str, content: Content) -> Member {
    Member { name, times: Times::Some, content }
}

/// Checks the elements in `root` and writes them anew.
///
/// # Errors
/// `MalformedXML` when they do not follow the schema.
pub(super) fn check(root: &Element, schema: &'static [Member]) -> S3Result<String> {
    let mut xml = XmlWriter::fragment();
    group(&mut xml, root, schema)?;
    Ok(xml.into_text())
}

fn group(xml: &mut XmlWriter, element: &Element, schema: &'static [Member]) -> S3Result<()> {
    for member in schema {
        let count = element.children.iter().filter(|child| child.name == member.name).count();
        let fits = match member.times {
            Times::Once => count == 1,
            Times::Optional => count <= 1,
            Times::Many => true,
            Times::Some => count >= 1,
        };
        if !fits {
            return Err(malformed());
        }
    }
    for child in &element.children {
        let member = schema.iter().find(|member| member.name == child.name).ok_or_else(malformed)?;
        content(xml, child, member)?;
    }
    Ok(())
}

fn content(xml: &mut XmlWriter, element: &Element, member: &Member) -> S3Result<()> {
    if let Content::Grantee = member.content {
        return grantee(xml, element, member.name);
    }
    if let Content::Group(schema) = member.content {
        xml.open(member.name);
        group(xml, element, schema)?;
        xml.close(member.name);
        return Ok(());
    }
    if !element.children.is_empty() {
        return Err(malformed());
    }
    let trimmed = element.text.trim();
    let text = match member.content {
        Content::OneOf(words) if words.contains(&trimmed) => trimmed,
        Content::Flag if trimmed.eq_ignore_ascii_case("true") => "true",
        Content::Flag if trimmed.eq_ignore_ascii_case("false") => "false",
        Content::Number if trimmed.parse::<u32>().is_ok() => trimmed,
        Content::Text => element.text.as_str(),
        _ => return Err(malformed()),
    };
    xml.text(member.name, text);
    Ok(())
}

/// Writes a grantee, its kind in the attribute that clients read it from.
fn grantee(xml: &mut XmlWriter, element: &Element, name: &'static str) -> S3Result<()> {
    const NAMES: [(&str, &str); 3] =
        [("ID", "CanonicalUser"), ("URI", "Group"), ("EmailAddress", "AmazonCustomerByEmail")];
    let mut named = NAMES.iter().filter_map(|(name, kind)| Some((*name, *kind, element.child(name)?)));
    let (Some((said_by, kind, child)), None) = (named.next(), named.next()) else { return Err(malformed()) };
    let known = |child: &Element| child.name == said_by || child.name == "DisplayName";
    if !element.children.iter().all(known) || element.children.iter().any(|child| !child.children.is_empty())
    {
        return Err(malformed());
    }
    xml.raw(&format!("<{name} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"{kind}\">"));
    if let Some(display_name) = element.child("DisplayName") {
        xml.text("DisplayName", display_name.text.trim());
    }
    xml.text(said_by, child.text.trim());
    xml.close(name);
    Ok(())
}
