//! Percent-encoding in both directions.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What `encoding-type=url` leaves as it is. A space becomes `%20` and not `+`: every client's decoder takes it.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Encodes a key, prefix, delimiter or marker for `encoding-type=url`.
#[must_use]
pub fn url_encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, KEPT).into()
}

/// Decodes `%XX` once; `None` if a percent sign is not followed by two hexadecimal digits or the result is
/// not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let well_formed =
        bytes.iter().enumerate().all(|(at, byte)| *byte != b'%' || (hex(at + 1) && hex(at + 2)));
    if well_formed { percent_decode_str(text).decode_utf8().ok() } else { None }
}

/// As [`decode`], with `+` for a space, as in queries.
#[must_use]
pub fn decode_query(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        decode(&text.replace('+', " ")).map(|text| Cow::Owned(text.into_owned()))
    } else {
        decode(text)
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
