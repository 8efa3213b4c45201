//! The dates of a signature: `20130524T000000Z`, and the HTTP dates that may stand in for it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The instant a request was signed at, with the text that goes into the string to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmzDate {
    text: [u8; 16],
    unix_s: i64,
}

impl AmzDate {
    /// Reads the ISO 8601 basic form, and nothing looser: it is signed text.
    pub(crate) fn parse_iso8601(text: &[u8]) -> Option<Self> {
        let text: [u8; 16] = text.try_into().ok()?;
        let [y1, y2, y3, y4, mo1, mo2, d1, d2, b'T', h1, h2, mi1, mi2, s1, s2, b'Z'] = text else {
            return None;
        };
        let year = i32::from(two_digits(y1, y2)?) * 100 + i32::from(two_digits(y3, y4)?);
        let month = Month::try_from(two_digits(mo1, mo2)?).ok()?;
        let date = Date::from_calendar_date(year, month, two_digits(d1, d2)?).ok()?;
        let time = Time::from_hms(two_digits(h1, h2)?, two_digits(mi1, mi2)?, two_digits(s1, s2)?).ok()?;
        let unix_s = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
        Some(Self { text, unix_s })
    }

    /// Reads a `Date` header: RFC 9110's IMF-fixdate (which RFC 2822 covers), or the ISO 8601 basic form.
    pub(crate) fn parse_http_date(text: &[u8]) -> Option<Self> {
        if let Some(date) = Self::parse_iso8601(text) {
            return Some(date);
        }
        let text = std::str::from_utf8(text).ok()?;
        let at = OffsetDateTime::parse(text, &Rfc2822).ok()?.to_offset(time::UtcOffset::UTC);
        let iso = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        Self::parse_iso8601(iso.as_bytes())
    }

    /// `20130524T000000Z`.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `20130524`, the date of the credential scope.
    pub(crate) fn day(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn unix_s(&self) -> i64 {
        self.unix_s
    }
}

/// `now` as seconds since the Unix epoch; a clock before the epoch counts as the epoch.
pub(crate) fn unix_seconds(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_and_http_dates_agree() {
        let iso = AmzDate::parse_iso8601(b"20130524T010203Z").unwrap();
        assert_eq!(AmzDate::parse_http_date(b"Fri, 24 May 2013 01:02:03 GMT"), Some(iso));
        assert_eq!(AmzDate::parse_http_date(b"Fri, 24 May 2013 01:02:03 +0000"), Some(iso));
        assert_eq!(iso.day(), "20130524");
        assert_eq!(iso.unix_s(), 1_369_357_323);
    }

    #[test]
    fn loose_dates_are_refused() {
        for bad in ["20130524T010203", "20130524T010203z", "20131324T010203Z", "2013-05-24T01:02:03Z", "+013"]
        {
            assert_eq!(AmzDate::parse_iso8601(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(AmzDate::parse_http_date(b"yesterday"), None);
    }
}
