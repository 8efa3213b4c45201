//! The `Range` header of GetObject and HeadObject, and `x-amz-copy-source-range`.
//!
//! S3 serves one range. What is no single, well-formed byte range is ignored and the whole object is sent
//! with 200, as RFC 9110 allows and AWS does.

use granary_engine::ByteRange;
use http::{HeaderValue, header};

use crate::error::{ErrorCode, S3Error, S3Result};

/// A range as the client wrote it, before the object's length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=first-last`, both included.
    Closed(u64, u64),
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-length`.
    Suffix(u64),
}

impl RangeSpec {
    /// Reads the header; `None` when it is to be ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, set) = text.trim().split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return None;
        }
        let (first, last) = set.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => number(last).map(Self::Suffix),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Closed(first, last))
            }
        }
    }

    /// The bytes of an object of `length_bytes` that the range names.
    ///
    /// # Errors
    /// `InvalidRange` (416) when it names none, as it always is for an empty object. Clients that begin every
    /// download with `bytes=0-8388607` rely on that.
    pub fn resolve(self, length_bytes: u64) -> S3Result<ByteRange> {
        let (start, end) = match self {
            Self::Closed(first, last) => (first, last.saturating_add(1).min(length_bytes)),
            Self::From(first) => (first, length_bytes),
            Self::Suffix(length) => (length_bytes.saturating_sub(length), length_bytes),
        };
        if start < end { Ok(ByteRange { start, end }) } else { Err(self.unsatisfiable(length_bytes)) }
    }

    fn unsatisfiable(self, length_bytes: u64) -> S3Error {
        let error = S3Error::new(ErrorCode::InvalidRange)
            .field("RangeRequested", self.to_string())
            .field("ActualObjectSize", length_bytes.to_string());
        match HeaderValue::try_from(format!("bytes */{length_bytes}")) {
            Ok(value) => error.header(header::CONTENT_RANGE, value),
            Err(_) => error,
        }
    }
}

impl std::fmt::Display for RangeSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Suffix(length) => write!(f, "bytes=-{length}"),
        }
    }
}

/// Digits only: `u64::from_str` would take a plus sign. A number too large for 64 bits means the end.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Reads `x-amz-copy-source-range` of UploadPartCopy, which must be `bytes=first-last` inside the source.
///
/// # Errors
/// `InvalidArgument` for another form, `InvalidRange` for a range that exceeds the source.
pub fn copy_source_range(text: &str, source_length_bytes: u64) -> S3Result<ByteRange> {
    let Some(RangeSpec::Closed(first, last)) = RangeSpec::parse(text) else {
        return Err(S3Error::invalid_argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
             the zero-based offsets of the first and last bytes to copy",
        ));
    };
    if last >= source_length_bytes {
        let message =
            format!("Range specified is not valid for source object of size: {source_length_bytes}");
        return Err(S3Error::with_message(ErrorCode::InvalidRange, message)
            .field("RangeRequested", text)
            .field("ActualObjectSize", source_length_bytes.to_string()));
    }
    Ok(ByteRange { start: first, end: last + 1 })
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
