//! Object lock in headers and documents.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>

use granary_engine::{
    BucketLock, Bypass, DefaultRetention, Freshness, LegalHold, LockMode, ObjectLock, Retention,
    RetentionPeriod,
};
use granary_types::{BucketName, UnixMillis};
use http::{HeaderMap, HeaderName};

use crate::access;
use crate::context::Context;
use crate::dates::{iso_date_millis, parse_iso_millis};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::set;
use crate::xml::XmlWriter;
use crate::xml::read::{Element, Limits, malformed, parse};

pub(crate) const MODE: &str = "x-amz-object-lock-mode";
pub(crate) const UNTIL: &str = "x-amz-object-lock-retain-until-date";
pub(crate) const HOLD: &str = "x-amz-object-lock-legal-hold";
const BYPASS: &str = "x-amz-bypass-governance-retention";

/// The longest retention that a bucket may give by default.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>
const DAYS_MAX: u32 = 36_500;
const YEARS_MAX: u32 = 100;

const GOVERNANCE: &str = "GOVERNANCE";
const COMPLIANCE: &str = "COMPLIANCE";

pub(crate) fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => GOVERNANCE,
        LockMode::Compliance => COMPLIANCE,
    }
}

fn mode_of(text: &str) -> Option<LockMode> {
    match text {
        GOVERNANCE => Some(LockMode::Governance),
        COMPLIANCE => Some(LockMode::Compliance),
        _ => None,
    }
}

/// The locks that a write asks for.
///
/// # Errors
/// `InvalidArgument` for a value that is not one, one header without the other, or a date that is over;
/// `InvalidRequest` if `digest` says that none is there though a digest must protect such a write.
pub(crate) fn of_write(headers: &HeaderMap, digest: Digest) -> S3Result<ObjectLock> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let retention = match (text(MODE), text(UNTIL)) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let unknown = || S3Error::invalid_argument(MODE, mode, "Unknown wormMode directive.");
            Some(Retention { mode: mode_of(mode).ok_or_else(unknown)?, until: future(until)? })
        }
        (mode, _) => {
            let missing = if mode.is_some() { UNTIL } else { MODE };
            let message = format!("{UNTIL} and {MODE} must both be supplied");
            return Err(S3Error::invalid_argument(missing, "", message));
        }
    };
    let legal_hold = match text(HOLD) {
        None => LegalHold::Unset,
        Some("ON") => LegalHold::On,
        Some("OFF") => LegalHold::Off,
        Some(other) => {
            return Err(S3Error::invalid_argument(HOLD, other, "Legal Hold must be either of 'ON' or 'OFF'"));
        }
    };
    let lock = ObjectLock { retention, legal_hold };
    if digest == Digest::Needed && lock != ObjectLock::default() && !carries_digest(headers) {
        return Err(no_digest());
    }
    Ok(lock)
}

/// Refuses a body without a digest where the bucket retains what is written to it.
///
/// # Errors
/// `InvalidRequest`, and those of reading what the bucket says.
pub(crate) async fn check_digest(context: &Context<'_>, bucket: &BucketName) -> S3Result<()> {
    if carries_digest(context.headers()) {
        return Ok(());
    }
    let rules = access::rules(context.shared, bucket, Freshness::Believed).await?;
    match rules.digest {
        Digest::Needed => Err(no_digest()),
        Digest::Optional => Ok(()),
    }
}

fn no_digest() -> S3Error {
    S3Error::invalid_request(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
    )
}

/// Whether what is written must come with a digest of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    /// It must.
    Needed,
    /// It need not, or has no body of its own.
    Optional,
}

fn carries_digest(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "content-md5" || name == "x-amz-trailer" || crate::checksum::names::of_header(name).is_some()
    })
}

fn future(text: &str) -> S3Result<UnixMillis> {
    let until = parse_iso_millis(text).ok_or_else(|| {
        S3Error::invalid_argument(UNTIL, text, "The retain until date must be provided in ISO 8601 format")
    })?;
    if until > UnixMillis::now() {
        return Ok(until);
    }
    Err(S3Error::invalid_argument(UNTIL, text, "The retain until date must be in the future!"))
}

/// Which locks the sender wants to get past. Who is authorised to do so decides whether it counts.
pub(crate) fn bypass(headers: &HeaderMap) -> Bypass {
    let asked = headers.get(BYPASS).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    if asked { Bypass::Governance } else { Bypass::Nothing }
}

/// Shows the locks of a version.
pub(crate) fn describe(headers: &mut HeaderMap, lock: ObjectLock) {
    if let Some(Retention { mode, until }) = lock.retention {
        set(headers, HeaderName::from_static(MODE), mode_name(mode));
        set(headers, HeaderName::from_static(UNTIL), iso_date_millis(until));
    }
    match lock.legal_hold {
        LegalHold::Unset => {}
        LegalHold::Off => set(headers, HeaderName::from_static(HOLD), "OFF"),
        LegalHold::On => set(headers, HeaderName::from_static(HOLD), "ON"),
    }
}

fn root(document: &[u8], name: &str) -> S3Result<Element> {
    let root = parse(document, &Limits::SMALL)?;
    if root.name == name { Ok(root) } else { Err(malformed()) }
}

/// The only child of that name; no other name may be there than those of `allowed`.
fn children<'e, const N: usize>(
    element: &'e Element,
    allowed: [&str; N],
) -> S3Result<[Option<&'e Element>; N]> {
    let mut found = [None; N];
    for child in &element.children {
        let place = allowed.iter().position(|name| *name == child.name);
        let slot = place.and_then(|place| found.get_mut(place)).ok_or_else(|| unknown(&child.name))?;
        if slot.replace(child).is_some() {
            return Err(malformed());
        }
    }
    Ok(found)
}

/// AWS has holds until something happens besides, which there are not here.
fn unknown(name: &str) -> S3Error {
    match name {
        "EventHold" | "EventHoldDuration" | "DefaultEventHold" => S3Error::not_implemented("An event hold"),
        _ => malformed(),
    }
}

/// Reads a `Retention` document; an empty one takes the retention away.
pub(crate) fn parse_retention(document: &[u8]) -> S3Result<Option<Retention>> {
    let root = root(document, "Retention")?;
    match children(&root, ["Mode", "RetainUntilDate"])? {
        [None, None] => Ok(None),
        [Some(mode), Some(until)] => {
            let mode = mode_of(mode.text.trim()).ok_or_else(malformed)?;
            parse_iso_millis(until.text.trim()).ok_or_else(malformed)?;
            Ok(Some(Retention { mode, until: future(until.text.trim())? }))
        }
        _ => Err(malformed()),
    }
}

/// Reads a `LegalHold` document.
pub(crate) fn parse_legal_hold(document: &[u8]) -> S3Result<LegalHold> {
    let root = root(document, "LegalHold")?;
    let [status] = children(&root, ["Status"])?;
    match status.ok_or_else(malformed)?.text.trim() {
        "ON" => Ok(LegalHold::On),
        "OFF" => Ok(LegalHold::Off),
        _ => Err(malformed()),
    }
}

/// Reads an `ObjectLockConfiguration` document.
pub(crate) fn parse_configuration(document: &[u8]) -> S3Result<BucketLock> {
    let root = root(document, "ObjectLockConfiguration")?;
    let [enabled, rule] = children(&root, ["ObjectLockEnabled", "Rule"])?;
    if enabled.is_none_or(|enabled| enabled.text.trim() != "Enabled") {
        return Err(malformed());
    }
    let Some(rule) = rule else { return Ok(BucketLock::default()) };
    let [default] = children(rule, ["DefaultRetention"])?;
    let [mode, days, years] = children(default.ok_or_else(malformed)?, ["Mode", "Days", "Years"])?;
    let mode = mode.and_then(|mode| mode_of(mode.text.trim())).ok_or_else(malformed)?;
    let period = match (days, years) {
        (Some(days), None) => RetentionPeriod::Days(length(days, DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(length(years, YEARS_MAX)?),
        _ => return Err(malformed()),
    };
    Ok(BucketLock { default: Some(DefaultRetention { mode, period }) })
}

fn length(element: &Element, most: u32) -> S3Result<u32> {
    let number: i64 = element.text.trim().parse().map_err(|_| malformed())?;
    match u32::try_from(number) {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        Ok(number) if number > most => {
            let message = "Default retention period is too large";
            Err(S3Error::with_message(ErrorCode::InvalidRetentionPeriod, message))
        }
        _ => Err(ErrorCode::InvalidRetentionPeriod.into()),
    }
}

/// Writes a `Retention` document.
pub(crate) fn retention_document(retention: Retention) -> bytes::Bytes {
    let mut xml = XmlWriter::document("Retention");
    xml.literal("Mode", mode_name(retention.mode));
    xml.text("RetainUntilDate", &iso_date_millis(retention.until));
    xml.finish("Retention")
}

/// Writes an `ObjectLockConfiguration` document.
pub(crate) fn configuration_document(lock: BucketLock) -> bytes::Bytes {
    let mut xml = XmlWriter::document("ObjectLockConfiguration");
    xml.literal("ObjectLockEnabled", "Enabled");
    if let Some(DefaultRetention { mode, period }) = lock.default {
        xml.open("Rule");
        xml.open("DefaultRetention");
        xml.literal("Mode", mode_name(mode));
        match period {
            RetentionPeriod::Days(days) => xml.plain("Days", days),
            RetentionPeriod::Years(years) => xml.plain("Years", years),
        }
        xml.close("DefaultRetention");
        xml.close("Rule");
    }
    xml.finish("ObjectLockConfiguration")
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
