//! Conditional requests: which conditions a request carries and whether they hold.
//!
//! Reads follow RFC 9110, section 13.2.2, which S3 documents with the same precedence: an entity tag decides over
//! a date. Copies evaluate their source the same way, except that every failure is 412. Conditions on writes are
//! only read here; the engine decides them when it commits.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>.

use granary_engine::{TagMatch, WriteConditions};
use granary_types::{Etag, UnixMillis};
use http::HeaderMap;

use crate::dates::parse_http_date;
use crate::error::{ErrorCode, S3Error, S3Result};

/// What the conditions of a read say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with the object.
    Proceed,
    /// 304.
    NotModified,
    /// 412; the header that did not hold.
    Failed(&'static str),
}

/// The names under which the four conditions travel.
#[derive(Debug, Clone, Copy)]
pub struct ConditionNames {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// The conditions of GetObject and HeadObject.
pub const READ: ConditionNames = ConditionNames {
    if_match: "if-match",
    if_none_match: "if-none-match",
    if_modified_since: "if-modified-since",
    if_unmodified_since: "if-unmodified-since",
};

/// The conditions of a copy on its source.
pub const COPY_SOURCE: ConditionNames = ConditionNames {
    if_match: "x-amz-copy-source-if-match",
    if_none_match: "x-amz-copy-source-if-none-match",
    if_modified_since: "x-amz-copy-source-if-modified-since",
    if_unmodified_since: "x-amz-copy-source-if-unmodified-since",
};

/// The conditions of a rename on its source.
pub const RENAME_SOURCE: ConditionNames = ConditionNames {
    if_match: "x-amz-rename-source-if-match",
    if_none_match: "x-amz-rename-source-if-none-match",
    if_modified_since: "x-amz-rename-source-if-modified-since",
    if_unmodified_since: "x-amz-rename-source-if-unmodified-since",
};

impl ConditionNames {
    /// The names.
    #[must_use]
    pub fn all(&self) -> [&'static str; 4] {
        [self.if_match, self.if_none_match, self.if_modified_since, self.if_unmodified_since]
    }

    /// Evaluates the conditions in `headers` against an object.
    #[must_use]
    pub fn evaluate(&self, headers: &HeaderMap, etag: &Etag, modified: UnixMillis) -> Verdict {
        if headers.is_empty() {
            return Verdict::Proceed;
        }
        let seconds = modified.seconds();
        if let Some(tags) = text(headers, self.if_match) {
            if !matches(tags, etag, Comparison::Strong) {
                return Verdict::Failed("If-Match");
            }
        } else if let Some(date) = text(headers, self.if_unmodified_since).and_then(parse_http_date)
            && seconds > date
        {
            return Verdict::Failed("If-Unmodified-Since");
        }
        if let Some(tags) = text(headers, self.if_none_match) {
            if matches(tags, etag, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = text(headers, self.if_modified_since).and_then(parse_http_date)
            && seconds <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }
}

/// Evaluates the `x-amz-copy-source-if-*` headers.
///
/// # Errors
/// `PreconditionFailed` when one does not hold.
pub fn check_copy_source(headers: &HeaderMap, etag: &Etag, modified: UnixMillis) -> S3Result<()> {
    match COPY_SOURCE.evaluate(headers, etag, modified) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified if headers.contains_key(COPY_SOURCE.if_none_match) => {
            Err(S3Error::precondition_failed(COPY_SOURCE.if_none_match))
        }
        Verdict::NotModified => Err(S3Error::precondition_failed(COPY_SOURCE.if_modified_since)),
        Verdict::Failed("If-Match") => Err(S3Error::precondition_failed(COPY_SOURCE.if_match)),
        Verdict::Failed(_) => Err(S3Error::precondition_failed(COPY_SOURCE.if_unmodified_since)),
    }
}

/// Whether the `Range` of a request is to be honoured: `If-Range`, if there is one, must name the object as it is, by
/// a strong entity tag or by its exact date. Otherwise the client's first part is of another object, and it gets the
/// whole (RFC 9110, section 13.1.5).
#[must_use]
pub fn if_range_holds(headers: &HeaderMap, etag: &Etag, modified: UnixMillis) -> bool {
    let Some(value) = headers.get("if-range") else { return true };
    let value = value.to_str().unwrap_or_default().trim();
    match parse_http_date(value) {
        Some(date) => date == modified.seconds(),
        None => value.starts_with('"') && crate::xml::requests::unquote(value) == etag.as_str(),
    }
}

/// Reads `If-Match` and `If-None-Match` of a write.
///
/// # Errors
/// `NotImplemented` for a date, as AWS answers: one that was ignored would let a write through that its sender meant to
/// be refused. AWS takes `*` alone as `If-None-Match`; tags are taken here as RFC 9110 has them.
pub fn of_write(headers: &HeaderMap) -> S3Result<WriteConditions> {
    let mut conditions = WriteConditions::default();
    if let Some(tags) = text(headers, "if-match") {
        conditions.if_match = Some(tag_match(tags));
    }
    if let Some(tags) = text(headers, "if-none-match") {
        conditions.if_none_match = Some(tag_match(tags));
    }
    for name in ["if-modified-since", "if-unmodified-since"] {
        if headers.contains_key(name) {
            return Err(
                S3Error::not_implemented(format_args!("The header {name} on a write")).field("Header", name)
            );
        }
    }
    Ok(conditions)
}

/// Reads the conditions of DeleteObject: those of every write, and the object's time and length. AWS has the last two
/// for directory buckets only; they hold when there is no object.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>.
///
/// # Errors
/// As [`of_write`], and `InvalidArgument` for a time or a length that is none.
pub fn of_delete(headers: &HeaderMap) -> S3Result<WriteConditions> {
    const TIME: &str = "x-amz-if-match-last-modified-time";
    const LENGTH: &str = "x-amz-if-match-size";
    let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    Ok(WriteConditions {
        if_modified_at: value(TIME).map(|text| modified_at(TIME, text)).transpose()?,
        if_length_bytes: value(LENGTH).map(|text| length_bytes(LENGTH, text)).transpose()?,
        ..of_write(headers)?
    })
}

/// Reads a condition on the time of the last modification; whole seconds count.
///
/// # Errors
/// `InvalidArgument` for text that is no date.
pub fn modified_at(name: &'static str, text: &str) -> S3Result<UnixMillis> {
    let seconds = parse_http_date(text).and_then(|seconds| seconds.checked_mul(1_000));
    seconds.map(UnixMillis).ok_or_else(|| S3Error::invalid_argument(name, text, "The time is not valid."))
}

/// Reads a condition on the object's length in bytes.
///
/// # Errors
/// `InvalidArgument` for text that is no length.
pub fn length_bytes(name: &'static str, text: &str) -> S3Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = if digits { text.parse().ok() } else { None };
    length.ok_or_else(|| S3Error::invalid_argument(name, text, "The size is not a valid number of bytes."))
}

/// Evaluates the conditions of a write against the current object's tag, as the engine will when it commits.
///
/// # Errors
/// `NoSuchKey` when `If-Match` finds no object, `PreconditionFailed` when a condition does not hold.
pub fn check_write(conditions: &WriteConditions, current: Option<&Etag>) -> S3Result<()> {
    let holds = |tags: &TagMatch, etag: &Etag| match tags {
        TagMatch::Any => true,
        TagMatch::OneOf(tags) => tags.contains(etag),
    };
    match (&conditions.if_match, current) {
        (Some(_), None) => return Err(ErrorCode::NoSuchKey.into()),
        (Some(tags), Some(etag)) if !holds(tags, etag) => {
            return Err(S3Error::precondition_failed("If-Match"));
        }
        _ => {}
    }
    match (&conditions.if_none_match, current) {
        (Some(tags), Some(etag)) if holds(tags, etag) => Err(S3Error::precondition_failed("If-None-Match")),
        _ => Ok(()),
    }
}

/// Reads the value of an `If-Match` as the engine takes it.
#[must_use]
pub fn tag_match(tags: &str) -> TagMatch {
    if tags.trim() == "*" {
        return TagMatch::Any;
    }
    TagMatch::OneOf(tag_list(tags).filter(|(weak, _)| !weak).map(|(_, tag)| Etag::new(tag)).collect())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn matches(tags: &str, etag: &Etag, comparison: Comparison) -> bool {
    tags == "*"
        || tag_list(tags).any(|(weak, tag)| tag == etag.as_str() && (comparison == Comparison::Weak || !weak))
}

/// The tags of a list, with whether each is weak. S3's tags hold no commas; tags without quotes are taken, as
/// clients send them.
fn tag_list(tags: &str) -> impl Iterator<Item = (bool, &str)> {
    tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(|tag| {
        let (weak, tag) = match tag.strip_prefix("W/") {
            Some(tag) => (true, tag),
            None => (false, tag),
        };
        (weak, crate::xml::requests::unquote(tag))
    })
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
