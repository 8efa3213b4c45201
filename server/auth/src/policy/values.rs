//! The typed values that conditions compare: numbers, dates, networks, booleans and bytes.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, Time};

/// How many decimals of a number count.
const DECIMALS: usize = 9;
/// How many digits a number may have before the point.
const DIGITS_MAX: usize = 20;

/// A decimal number, in billionths, so that comparing is exact.
pub(super) fn number(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let bounded = whole.len() <= DIGITS_MAX && fraction.len() <= DECIMALS;
    if whole.is_empty() || digits.ends_with('.') || !bounded || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let scaled: i128 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    Some(if negative { -scaled } else { scaled })
}

/// A date in any form that the policy language takes: seconds since 1970, or one of the W3C's forms of ISO 8601
/// (<https://www.w3.org/TR/NOTE-datetime>), of which a year alone is seconds as well, and is taken as these. In
/// milliseconds since 1970.
pub(super) fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let at = match day(text).or_else(|| day(&format!("{text}-01"))) {
        Some(date) => date.with_time(Time::MIDNIGHT).assume_utc(),
        None => OffsetDateTime::parse(&with_seconds(text), &Rfc3339).ok()?,
    };
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

fn day(text: &str) -> Option<Date> {
    Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok()
}

/// A time of a day, with its seconds also if it is written without them.
fn with_seconds(text: &str) -> Cow<'_, str> {
    match text.split_at_checked("YYYY-MM-DDThh:mm".len()) {
        Some((minute, zone)) if zone.starts_with(['Z', '+', '-']) => format!("{minute}:00{zone}").into(),
        _ => text.into(),
    }
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

/// Bytes in base64.
pub(super) fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    pub(super) bits: u8,
}

impl Network {
    /// Reads an address alone, or in CIDR notation.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        (bits <= bits_max).then_some(Self { address, bits })
    }

    /// Whether it speaks of IPv4.
    pub(super) fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether an address is in it. IPv4 addresses that came in IPv6 are IPv4.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            _ => false,
        }
    }
}
