//! Reads a bounded XML request into a tree.
//!
//! There is no way to make it large: the bytes, the depth and the number of elements are limited, document
//! types and processing instructions are refused, and only the five predefined entities and character
//! references are resolved. Namespaces are tolerated and ignored, as clients differ in sending them.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::error::{ErrorCode, S3Error};

/// How large a request document may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The document's length.
    pub length_bytes: usize,
    /// How many elements may be open at once.
    pub depth: usize,
    /// How many elements the document may have.
    pub elements: usize,
}

impl Limits {
    /// For configuration documents.
    pub const SMALL: Self = Self { length_bytes: 64 * 1024, depth: 8, elements: 1_000 };
    /// For 1,000 keys of 1,024 bytes, each byte written as an entity.
    pub const DELETE: Self = Self { length_bytes: 8 * 1024 * 1024, depth: 4, elements: 7_000 };
    /// For 10,000 parts with an ETag and a checksum each.
    pub const COMPLETE: Self = Self { length_bytes: 8 * 1024 * 1024, depth: 4, elements: 140_000 };
}

/// An element with its text and its child elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The name without a prefix.
    pub name: String,
    /// All its own text, references resolved.
    pub text: String,
    /// The elements in it, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child named `name`.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// `MalformedXML`.
#[must_use]
pub fn malformed() -> S3Error {
    S3Error::new(ErrorCode::MalformedXML)
}

struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn push(&mut self, name: String, limits: &Limits) -> Result<(), S3Error> {
        self.elements += 1;
        let second_root = self.open.is_empty() && self.root.is_some();
        if second_root || self.open.len() >= limits.depth || self.elements > limits.elements {
            return Err(malformed());
        }
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    fn pop(&mut self) -> Result<(), S3Error> {
        let element = self.open.pop().ok_or_else(malformed)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> Result<(), S3Error> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(malformed()),
        }
        Ok(())
    }
}

/// Parses `document`.
///
/// # Errors
/// `MalformedXML` when it is not well-formed, uses a document type, or exceeds a limit.
pub fn parse(document: &[u8], limits: &Limits) -> Result<Element, S3Error> {
    if document.len() > limits.length_bytes {
        return Err(malformed());
    }
    let text = std::str::from_utf8(document).map_err(|error| malformed().because(error))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut tree = Tree { open: Vec::new(), root: None, elements: 0 };
    loop {
        match reader.read_event().map_err(|error| malformed().because(error))? {
            Event::Start(start) => tree.push(start.local_name().into_inner().to_owned(), limits)?,
            Event::Empty(start) => {
                tree.push(start.local_name().into_inner().to_owned(), limits)?;
                tree.pop()?;
            }
            Event::End(_) => tree.pop()?,
            Event::Text(text) => tree.append(&text.xml10_content())?,
            Event::CData(text) => tree.append(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let mut utf8 = [0_u8; 4];
                tree.append(resolve(&reference)?.encode_utf8(&mut utf8))?;
            }
            Event::DocType(_) | Event::PI(_) => return Err(malformed()),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if tree.open.is_empty() { tree.root.ok_or_else(malformed) } else { Err(malformed()) }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, S3Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| malformed().because(error))? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
