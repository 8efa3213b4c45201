//! The canonical request: the one text both sides hash.
//!
//! ```text
//! METHOD \n canonical path \n canonical query \n name:value\n … \n signed;headers \n payload hash
//! ```
//! S3's rules differ from other services: the path is encoded once, and `.`/`..`/`//` stay as they are.
//! Source: "Signature Calculations for the Authorization Header" (Amazon S3 API Reference).

use std::borrow::Cow;

use http::{HeaderMap, Method};

use crate::error::{AccessDeniedReason, AuthError};
use crate::query::CanonicalQuery;

/// Whether a slash parts segments (in a path) or is data to encode (in a query).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlashMeaning {
    Separator,
    Data,
}

/// Whether `+` is a plus sign (in a path) or a blank (in a query).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlusMeaning {
    Plus,
    Blank,
}

/// Upper-case hexadecimal digits, as percent-encoding uses.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Decodes and re-encodes one path or query component; borrows it when it is canonical already.
///
/// A percent sign that starts no valid escape stands for itself. An encoded slash in a path stays encoded: signers
/// that send one sign it as sent, and it names the same key either way.
pub(crate) fn canonical_component(raw: &str, slash: SlashMeaning, plus: PlusMeaning) -> Cow<'_, str> {
    if is_canonical(raw.as_bytes(), slash) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 16);
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = if byte == b'%' { decode_escape(tail) } else { None };
        match escaped {
            Some(decoded) => {
                rest = tail.get(2..).unwrap_or_default();
                push_encoded(&mut out, decoded);
            }
            None if byte == b'/' && slash == SlashMeaning::Separator => out.push('/'),
            None if byte == b'+' && plus == PlusMeaning::Blank => out.push_str("%20"),
            None => push_encoded(&mut out, byte),
        }
    }
    Cow::Owned(out)
}

fn push_encoded(out: &mut String, byte: u8) {
    if is_unreserved(byte) {
        out.push(char::from(byte));
        return;
    }
    out.push('%');
    for nibble in [byte >> 4, byte & 0x0f] {
        out.push(HEX.get(usize::from(nibble)).map_or('0', |&digit| char::from(digit)));
    }
}

fn is_canonical(raw: &[u8], slash: SlashMeaning) -> bool {
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if is_unreserved(byte) || (byte == b'/' && slash == SlashMeaning::Separator) {
            continue;
        }
        let (b'%', Some(&[high, low])) = (byte, tail.first_chunk::<2>()) else { return false };
        let upper = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
        let needed = decode_escape(tail).is_some_and(|decoded| !is_unreserved(decoded));
        if !upper(high) || !upper(low) || !needed {
            return false;
        }
        rest = tail.get(2..).unwrap_or_default();
    }
    true
}

fn decode_escape(tail: &[u8]) -> Option<u8> {
    let &[high, low] = tail.first_chunk::<2>()?;
    Some(hex_value(high)? << 4 | hex_value(low)?)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The names of `SignedHeaders`, checked to be lower-case, sorted and without repetition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedHeaders<'a> {
    text: &'a str,
}

impl<'a> SignedHeaders<'a> {
    /// `None` when the list is empty, not lower-case, not sorted, or names a header twice.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut previous = "";
        for name in text.split(';') {
            let lower = name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
            if !lower || name <= previous {
                return None;
            }
            previous = name;
        }
        Some(Self { text })
    }

    fn names(self) -> impl Iterator<Item = &'a str> {
        self.text.split(';')
    }

    pub(crate) fn contains(self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    /// `host` and every `x-amz-*` header that was sent must be signed.
    pub(crate) fn check_coverage(self, headers: &HeaderMap) -> Result<(), AuthError> {
        let mut missing: Vec<&str> = headers
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|name| name.starts_with("x-amz-") && !self.contains(name))
            .collect();
        if !self.contains("host") {
            missing.push("host");
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        Err(AuthError::AccessDenied(AccessDeniedReason::HeadersNotSigned(missing.join(", "))))
    }
}

/// What the canonical request is made of.
pub(crate) struct CanonicalRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a CanonicalQuery<'a>,
    /// The query parameter that is not part of the text: the presigned signature itself.
    pub(crate) skip_parameter: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: &'a str,
    pub(crate) signed_headers: SignedHeaders<'a>,
    pub(crate) payload_hash: &'a str,
}

impl CanonicalRequest<'_> {
    /// The text. A signed header that was not sent makes a signature that cannot match.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, AuthError> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b'\n');
        let path = if self.path.is_empty() { "/" } else { self.path };
        let path = canonical_component(path, SlashMeaning::Separator, PlusMeaning::Plus);
        out.extend_from_slice(path.as_bytes());
        out.push(b'\n');
        self.query.write_to(&mut out, self.skip_parameter);
        out.push(b'\n');
        for name in self.signed_headers.names() {
            self.write_header(name, &mut out)?;
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.text.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload_hash.as_bytes());
        Ok(out)
    }

    fn write_header(&self, name: &str, out: &mut Vec<u8>) -> Result<(), AuthError> {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if name == "host" {
            out.extend_from_slice(self.host.as_bytes());
        } else {
            let mut values = self.headers.get_all(name).iter();
            let first = values.next().ok_or(AuthError::SignatureDoesNotMatch)?;
            write_trimmed(first.as_bytes(), out);
            for value in values {
                out.push(b',');
                write_trimmed(value.as_bytes(), out);
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Drops blanks at both ends and folds runs of spaces within into one.
fn write_trimmed(value: &[u8], out: &mut Vec<u8>) {
    let mut previous = b'x';
    for &byte in value.trim_ascii() {
        if byte != b' ' || previous != b' ' {
            out.push(byte);
        }
        previous = byte;
    }
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
