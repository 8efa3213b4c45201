//! The two forms of time in S3: HTTP dates in headers, ISO 8601 in documents. Both show whole seconds, so that
//! a listing and a HEAD of the same object agree.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use granary_types::UnixMillis;

/// `Wed, 21 Oct 2015 07:28:00 GMT`.
#[must_use]
pub fn http_date(time: UnixMillis) -> String {
    // The formatter panics past the year 9999, and before 1970.
    let seconds = u64::try_from(time.seconds().clamp(0, LAST_SECOND)).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The first second of the year 0 and the last one of 9999: ISO 8601 has four digits for a year.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

/// Reads the three forms of HTTP dates and ISO 8601, as seconds since 1970; `None` for anything else, which RFC
/// 9110 has conditions ignore.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text.trim()).ok().or_else(|| parse_iso(text.trim()))?;
    let since: Duration = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

fn parse_iso(text: &str) -> Option<SystemTime> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    Some(time.into())
}

/// Appends `2015-10-21T07:28:00.000Z` without allocating; listings write it for every key.
pub fn push_iso_date(out: &mut String, time: UnixMillis) {
    let seconds = time.seconds().clamp(FIRST_SECOND, LAST_SECOND);
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp(seconds) else { return };
    let year = u32::try_from(time.year()).unwrap_or(0);
    push_digits(out, year / 100);
    push_digits(out, year % 100);
    for (separator, value) in [
        ('-', u8::from(time.month())),
        ('-', time.day()),
        ('T', time.hour()),
        (':', time.minute()),
        (':', time.second()),
    ] {
        out.push(separator);
        push_digits(out, u32::from(value));
    }
    out.push_str(".000Z");
}

/// `2015-10-21T07:28:00.000Z`.
#[must_use]
pub fn iso_date(time: UnixMillis) -> String {
    let mut out = String::with_capacity(24);
    push_iso_date(&mut out, time);
    out
}

/// `2015-10-21T07:28:00.123Z`, for times that must come back as they were.
#[must_use]
pub fn iso_date_millis(time: UnixMillis) -> String {
    let mut out = iso_date(time);
    out.truncate(out.len().saturating_sub("000Z".len()));
    let _infallible = write!(out, "{:03}Z", time.0.rem_euclid(1000));
    out
}

/// Reads ISO 8601, with fractions of a second; `None` also for what is in no year of four digits but for its offset.
#[must_use]
pub fn parse_iso_millis(text: &str) -> Option<UnixMillis> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    let time = i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(UnixMillis);
    time.filter(|time| (FIRST_SECOND..=LAST_SECOND).contains(&time.seconds()))
}

fn push_digits(out: &mut String, two_digits: u32) {
    for digit in [two_digits / 10 % 10, two_digits % 10] {
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
#[path = "dates_tests.rs"]
mod tests;
