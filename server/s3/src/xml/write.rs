//! Writes XML into one growing buffer, escaping text in runs.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use granary_types::UnixMillis;

use crate::dates::push_iso_date;

/// The namespace of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Bytes that may not be copied as they are: markup, the characters that XML 1.0 forbids or normalises
/// away, and the lead byte of U+FFFE and U+FFFF.
const SPECIAL: [bool; 256] = special_bytes();

const fn special_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    #[allow(clippy::indexing_slicing, reason = "evaluated when compiling; the index is below 256")]
    while byte < 256 {
        table[byte] = byte < 0x20 || matches!(byte, 0x22 | 0x26 | 0x3c | 0x3e | 0x7f | 0xef);
        byte += 1;
    }
    // Tabs and line feeds survive a parser in element content; carriage returns do not.
    table[0x09] = false;
    table[0x0a] = false;
    table
}

/// An XML document being written.
#[derive(Debug)]
pub struct XmlWriter {
    out: String,
}

impl XmlWriter {
    /// Starts a document whose root is `root`, in S3's namespace.
    #[must_use]
    pub fn document(root: &'static str) -> Self {
        Self::document_with_capacity(root, 512)
    }

    /// As [`Self::document`], with room for `capacity_bytes` before the buffer grows.
    #[must_use]
    pub fn document_with_capacity(root: &'static str, capacity_bytes: usize) -> Self {
        let mut out = String::with_capacity(capacity_bytes);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        out.push_str(root);
        out.push_str(" xmlns=\"");
        out.push_str(NAMESPACE);
        out.push_str("\">");
        Self { out }
    }

    /// Starts a document without a namespace, as S3 sends its errors.
    #[must_use]
    pub fn bare_document(root: &'static str) -> Self {
        let mut out = String::with_capacity(384);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut writer = Self { out };
        writer.open(root);
        writer
    }

    /// Starts a piece of a document, for [`Self::raw`].
    #[must_use]
    pub fn fragment() -> Self {
        Self { out: String::new() }
    }

    /// What was written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.out
    }

    /// Writes `<name>`.
    pub fn open(&mut self, name: &'static str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Writes `</name>`.
    pub fn close(&mut self, name: &'static str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Writes an element holding `text`, escaped.
    pub fn text(&mut self, name: &'static str, text: &str) {
        self.open(name);
        escape_into(&mut self.out, text);
        self.close(name);
    }

    /// Writes an element that repeats what the client has sent itself. What XML 1.0 has no way to carry becomes U+FFFD, so
    /// that any parser takes the answer; of a name that the client does not have yet, it needs every character.
    pub fn echo(&mut self, name: &'static str, text: &str) {
        if is_sayable(text) {
            return self.text(name, text);
        }
        let said = |character| if has_xml(character) { character } else { char::REPLACEMENT_CHARACTER };
        self.text(name, &text.chars().map(said).collect::<String>());
    }

    /// Writes an element holding a name of this crate's own, which needs no escaping.
    pub fn literal(&mut self, name: &'static str, text: &'static str) {
        self.open(name);
        self.out.push_str(text);
        self.close(name);
    }

    /// Writes an element holding `text` if there is one.
    pub fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Writes an element holding a number or another value that needs no escaping.
    pub fn plain(&mut self, name: &'static str, value: impl Display) {
        self.open(name);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
        self.close(name);
    }

    /// Writes an element holding an entity tag in (escaped) quotes.
    pub fn etag(&mut self, tag: &str) {
        self.out.push_str("<ETag>&quot;");
        escape_into(&mut self.out, tag);
        self.out.push_str("&quot;</ETag>");
    }

    /// Writes text, escaped, into the open element.
    pub fn content(&mut self, text: &str) {
        escape_into(&mut self.out, text);
    }

    /// Writes an element holding a time.
    pub fn time(&mut self, name: &'static str, time: UnixMillis) {
        self.open(name);
        push_iso_date(&mut self.out, time);
        self.close(name);
    }

    /// Writes markup that is known to be well-formed.
    pub fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Closes the root and gives the document.
    #[must_use]
    pub fn finish(mut self, root: &'static str) -> Bytes {
        self.close(root);
        Bytes::from(self.out)
    }
}

/// Whether XML 1.0 can carry the text.
#[must_use]
pub fn is_sayable(text: &str) -> bool {
    text.chars().all(has_xml)
}

/// Source: <https://www.w3.org/TR/xml/#charsets>.
fn has_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Whether a byte may have to be escaped; also true of tabs and line feeds, which need not.
const fn may_be_special(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'&')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == 0x7f)
        | (byte == 0xef)
}

/// Appends `text` escaped for element content.
///
/// Characters that XML 1.0 has no way to carry become numeric references all the same, as AWS sends them;
/// clients that must parse strictly ask for `encoding-type=url`.
fn escape_into(out: &mut String, text: &str) {
    let bytes = text.as_bytes();
    // Nearly all text is plain, and this check without branches runs many bytes at a time.
    if !bytes.iter().fold(false, |found, byte| found | may_be_special(*byte)) {
        out.push_str(text);
        return;
    }
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !SPECIAL.get(usize::from(byte)).copied().unwrap_or(true) {
            continue;
        }
        let Some((width, replacement)) = replacement(byte, text, at) else { continue };
        out.push_str(text.get(copied..at).unwrap_or_default());
        match replacement {
            Replacement::Named(entity) => out.push_str(entity),
            Replacement::Numeric(code) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#x{code:X};");
            }
        }
        copied = at + width;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
}

enum Replacement {
    Named(&'static str),
    Numeric(u32),
}

/// What stands for the character that begins at `at`, and how many bytes it has; `None` when it may stay.
fn replacement(byte: u8, text: &str, at: usize) -> Option<(usize, Replacement)> {
    let named = |entity| Some((1, Replacement::Named(entity)));
    match byte {
        b'&' => named("&amp;"),
        b'<' => named("&lt;"),
        b'>' => named("&gt;"),
        b'"' => named("&quot;"),
        0xef => match text.get(at..)?.chars().next()? {
            noncharacter @ ('\u{fffe}' | '\u{ffff}') => {
                Some((3, Replacement::Numeric(u32::from(noncharacter))))
            }
            _ => None,
        },
        control => Some((1, Replacement::Numeric(u32::from(control)))),
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
