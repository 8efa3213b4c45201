use http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

fn refused(pairs: &[(&'static str, &'static str)]) -> ErrorCode {
    of_write(&headers(pairs), Digest::Needed).expect_err("must be refused").code()
}

const MD5: (&str, &str) = ("content-md5", "x");
const LATER: (&str, &str) = (UNTIL, "2999-01-01T00:00:00.5Z");

#[test]
fn a_write_says_how_long_it_is_kept() {
    let lock = of_write(&headers(&[(MODE, "COMPLIANCE"), LATER, (HOLD, "ON"), MD5]), Digest::Needed);
    let lock = lock.expect("valid");
    let until = UnixMillis(32_472_144_000_500);
    assert_eq!(lock.retention, Some(Retention { mode: LockMode::Compliance, until }));
    assert_eq!(lock.legal_hold, LegalHold::On);
    let mut shown = HeaderMap::new();
    describe(&mut shown, lock);
    let again = of_write(&shown, Digest::Optional).expect("valid");
    assert_eq!(again, lock);
    assert_eq!(of_write(&headers(&[]), Digest::Needed).expect("none"), ObjectLock::default());
}

#[test]
fn writes_with_locks_that_make_no_sense_are_refused() {
    assert_eq!(refused(&[(MODE, "COMPLIANCE"), MD5]), ErrorCode::InvalidArgument);
    assert_eq!(refused(&[LATER, MD5]), ErrorCode::InvalidArgument);
    assert_eq!(refused(&[(MODE, "governance"), LATER, MD5]), ErrorCode::InvalidArgument);
    assert_eq!(
        refused(&[(MODE, "GOVERNANCE"), (UNTIL, "2001-01-01T00:00:00Z"), MD5]),
        ErrorCode::InvalidArgument
    );
    assert_eq!(refused(&[(MODE, "GOVERNANCE"), (UNTIL, "tomorrow"), MD5]), ErrorCode::InvalidArgument);
    assert_eq!(refused(&[(HOLD, "on"), MD5]), ErrorCode::InvalidArgument);
    assert_eq!(refused(&[(HOLD, "ON")]), ErrorCode::InvalidRequest);
}

#[test]
fn configurations_are_read_as_they_are_written() {
    let rule = |inner: &str| {
        let xml = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
             {inner}</DefaultRetention></Rule></ObjectLockConfiguration>"
        );
        parse_configuration(xml.as_bytes()).map_err(|error| error.code())
    };
    let mode = "<Mode>GOVERNANCE</Mode>";
    let lock = rule(&format!("{mode}<Days>3</Days>")).expect("valid");
    assert_eq!(parse_configuration(&configuration_document(lock)).ok(), Some(lock));
    assert_eq!(rule(&format!("{mode}<Days>0</Days>")), Err(ErrorCode::InvalidRetentionPeriod));
    assert_eq!(rule(&format!("{mode}<Years>-1</Years>")), Err(ErrorCode::InvalidRetentionPeriod));
    assert_eq!(rule(&format!("{mode}<Years>101</Years>")), Err(ErrorCode::InvalidRetentionPeriod));
    assert_eq!(rule(&format!("{mode}<Days>1</Days><Years>1</Years>")), Err(ErrorCode::MalformedXML));
    assert_eq!(rule("<Mode>abc</Mode><Days>1</Days>"), Err(ErrorCode::MalformedXML));
    assert_eq!(rule("<Days>1</Days>"), Err(ErrorCode::MalformedXML));
    for enabled in ["Disabled", ""] {
        let xml = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>{enabled}</ObjectLockEnabled></ObjectLockConfiguration>"
        );
        assert!(parse_configuration(xml.as_bytes()).is_err());
    }
}

#[test]
fn retentions_and_holds_are_read_strictly() {
    assert_eq!(parse_retention(b"<Retention/>").ok(), Some(None));
    for wrong in [
        "<Retention><Mode>GOVERNANCE</Mode></Retention>",
        "<Retention><Mode>abc</Mode><RetainUntilDate>2999-01-01T00:00:00Z</RetainUntilDate></Retention>",
        "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>later</RetainUntilDate></Retention>",
    ] {
        assert_eq!(
            parse_retention(wrong.as_bytes()).map_err(|error| error.code()),
            Err(ErrorCode::MalformedXML)
        );
    }
    let past = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2001-01-01T00:00:00Z</RetainUntilDate></Retention>";
    assert_eq!(parse_retention(past).map_err(|error| error.code()), Err(ErrorCode::InvalidArgument));
    assert_eq!(parse_legal_hold(b"<LegalHold><Status>ON</Status></LegalHold>").ok(), Some(LegalHold::On));
    assert!(parse_legal_hold(b"<LegalHold><Status>abc</Status></LegalHold>").is_err());
    assert!(parse_legal_hold(b"<LegalHold/>").is_err());
}

#[test]
fn holds_until_an_event_are_refused_by_name() {
    let event = b"<Retention><EventHold>ON</EventHold></Retention>";
    assert_eq!(parse_retention(event).unwrap_err().code(), ErrorCode::NotImplemented);
    let other = b"<Retention><Event>ON</Event></Retention>";
    assert_eq!(parse_retention(other).unwrap_err().code(), ErrorCode::MalformedXML);
}
