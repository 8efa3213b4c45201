use super::*;

#[test]
fn both_forms_of_known_times() {
    for (millis, http, iso) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"),
        (1_445_412_480_999, "Wed, 21 Oct 2015 07:28:00 GMT", "2015-10-21T07:28:00.000Z"),
        (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000Z"),
    ] {
        assert_eq!(http_date(UnixMillis(millis)), http);
        assert_eq!(iso_date(UnixMillis(millis)), iso);
        assert_eq!(parse_http_date(http), Some(millis / 1000));
        assert_eq!(parse_http_date(iso), Some(millis / 1000));
    }
}

#[test]
fn times_out_of_range_do_not_panic() {
    for millis in [i64::MIN, -1, i64::MAX] {
        let _ = (http_date(UnixMillis(millis)), iso_date(UnixMillis(millis)));
    }
    assert_eq!(parse_http_date("yesterday"), None);
}

/// A rule for a day before 1970 was kept, and shown as one for that of 1970.
#[test]
fn times_of_all_years_come_back_as_they_were() {
    for text in ["1015-01-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"] {
        assert_eq!(parse_iso_millis(text).map(iso_date).as_deref(), Some(text));
    }
    assert_eq!(
        parse_iso_millis("1969-12-31T23:59:59.25Z").map(iso_date_millis).as_deref(),
        Some("1969-12-31T23:59:59.250Z")
    );
    for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
        assert_eq!(parse_iso_millis(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn http_dates_round_trip(seconds in 0_i64..253_402_300_799) {
        proptest::prop_assert_eq!(parse_http_date(&http_date(UnixMillis(seconds * 1000))), Some(seconds));
    }
}
