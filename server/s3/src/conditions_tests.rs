use http::{HeaderName, HeaderValue};

use super::*;

const MODIFIED: UnixMillis = UnixMillis(1_445_412_480_500);
const SAME: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const BEFORE: &str = "Wed, 21 Oct 2015 07:27:59 GMT";
const AFTER: &str = "Wed, 21 Oct 2015 07:28:01 GMT";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

fn read(pairs: &[(&'static str, &'static str)]) -> Verdict {
    READ.evaluate(&headers(pairs), &Etag::new("abc"), MODIFIED)
}

#[test]
fn each_condition_alone() {
    assert_eq!(read(&[]), Verdict::Proceed);
    for tags in ["\"abc\"", "abc", "*", "\"x\", \"abc\""] {
        assert_eq!(read(&[("if-match", tags)]), Verdict::Proceed, "{tags}");
        assert_eq!(read(&[("if-none-match", tags)]), Verdict::NotModified, "{tags}");
    }
    assert_eq!(read(&[("if-match", "\"x\"")]), Verdict::Failed("If-Match"));
    assert_eq!(read(&[("if-match", "W/\"abc\"")]), Verdict::Failed("If-Match"));
    assert_eq!(read(&[("if-none-match", "W/\"abc\"")]), Verdict::NotModified);
    assert_eq!(read(&[("if-none-match", "\"x\"")]), Verdict::Proceed);
    for (date, modified, unmodified) in [
        (BEFORE, Verdict::Proceed, Verdict::Failed("If-Unmodified-Since")),
        (SAME, Verdict::NotModified, Verdict::Proceed),
        (AFTER, Verdict::NotModified, Verdict::Proceed),
        ("nonsense", Verdict::Proceed, Verdict::Proceed),
    ] {
        assert_eq!(read(&[("if-modified-since", date)]), modified, "{date}");
        assert_eq!(read(&[("if-unmodified-since", date)]), unmodified, "{date}");
    }
}

#[test]
fn tags_decide_over_dates() {
    assert_eq!(read(&[("if-match", "abc"), ("if-unmodified-since", BEFORE)]), Verdict::Proceed);
    assert_eq!(read(&[("if-none-match", "abc"), ("if-modified-since", BEFORE)]), Verdict::NotModified);
    assert_eq!(read(&[("if-none-match", "x"), ("if-modified-since", AFTER)]), Verdict::Proceed);
    assert_eq!(read(&[("if-match", "x"), ("if-none-match", "abc")]), Verdict::Failed("If-Match"));
}

#[test]
fn copies_answer_412_for_every_failure() {
    for pairs in [
        ("x-amz-copy-source-if-match", "x"),
        ("x-amz-copy-source-if-none-match", "abc"),
        ("x-amz-copy-source-if-modified-since", AFTER),
        ("x-amz-copy-source-if-unmodified-since", BEFORE),
    ] {
        let error = check_copy_source(&headers(&[pairs]), &Etag::new("abc"), MODIFIED).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PreconditionFailed);
        assert_eq!(error.fields()[0], ("Condition", pairs.0.to_owned()));
    }
    assert!(check_copy_source(&headers(&[("if-match", "x")]), &Etag::new("abc"), MODIFIED).is_ok());
}

#[test]
fn conditions_of_writes() {
    let conditions = of_write(&headers(&[("if-match", "\"abc\""), ("if-none-match", "*")])).unwrap();
    assert_eq!(conditions.if_match, Some(TagMatch::OneOf(vec![Etag::new("abc")])));
    assert_eq!(conditions.if_none_match, Some(TagMatch::Any));
    assert_eq!(of_write(&headers(&[("if-match", "*")])).unwrap().if_match, Some(TagMatch::Any));
    let none_match = of_write(&headers(&[("if-none-match", "abc")])).unwrap().if_none_match;
    assert_eq!(none_match, Some(TagMatch::OneOf(vec![Etag::new("abc")])));
}

#[test]
fn conditions_of_writes_against_the_current_object() {
    let (tag, other) = (Etag::new("abc"), Etag::new("x"));
    let check = |pairs: &[(&'static str, &'static str)], current| {
        check_write(&of_write(&headers(pairs)).unwrap(), current).map_err(|error| error.code())
    };
    assert_eq!(check(&[("if-match", "abc")], Some(&tag)), Ok(()));
    assert_eq!(check(&[("if-match", "abc")], Some(&other)), Err(ErrorCode::PreconditionFailed));
    assert_eq!(check(&[("if-match", "abc")], None), Err(ErrorCode::NoSuchKey));
    assert_eq!(check(&[("if-match", "*")], Some(&tag)), Ok(()));
    assert_eq!(check(&[("if-none-match", "*")], None), Ok(()));
    assert_eq!(check(&[("if-none-match", "*")], Some(&tag)), Err(ErrorCode::PreconditionFailed));
}

#[test]
fn a_date_on_a_write_was_ignored() {
    for name in ["if-modified-since", "if-unmodified-since"] {
        let error = of_write(&headers(&[(name, SAME)])).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotImplemented);
        assert_eq!(error.fields()[0], ("Header", name.to_owned()));
    }
}

#[test]
fn if_range_was_ignored() {
    let holds = |value| if_range_holds(&headers(&[("if-range", value)]), &Etag::new("abc"), MODIFIED);
    assert!(if_range_holds(&headers(&[]), &Etag::new("abc"), MODIFIED));
    assert!(holds("\"abc\"") && holds(SAME));
    for other in ["\"x\"", "W/\"abc\"", "abc", "", BEFORE, AFTER] {
        assert!(!holds(other), "{other}");
    }
}

#[test]
fn delete_by_time_and_size_was_not_implemented() {
    let time = ("x-amz-if-match-last-modified-time", SAME);
    let conditions = of_delete(&headers(&[time, ("x-amz-if-match-size", "12"), ("if-match", "*")])).unwrap();
    assert_eq!(conditions.if_modified_at, Some(UnixMillis(1_445_412_480_000)));
    assert_eq!(conditions.if_length_bytes, Some(12));
    assert_eq!(conditions.if_match, Some(TagMatch::Any));
    for bad in [("x-amz-if-match-last-modified-time", "soon"), ("x-amz-if-match-size", "+1")] {
        assert_eq!(of_delete(&headers(&[bad])).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}
