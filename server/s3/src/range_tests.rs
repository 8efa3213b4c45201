use super::*;

fn resolve(text: &str, length: u64) -> Option<(u64, u64)> {
    RangeSpec::parse(text).unwrap().resolve(length).ok().map(|range| (range.start, range.end))
}

#[test]
fn closed_open_and_suffix_ranges() {
    assert_eq!(resolve("bytes=0-0", 10), Some((0, 1)));
    assert_eq!(resolve("bytes=2-5", 10), Some((2, 6)));
    assert_eq!(resolve("bytes=2-500", 10), Some((2, 10)));
    assert_eq!(resolve("bytes=9-", 10), Some((9, 10)));
    assert_eq!(resolve("bytes=-3", 10), Some((7, 10)));
    assert_eq!(resolve("bytes=-300", 10), Some((0, 10)));
    assert_eq!(resolve("bytes=0-18446744073709551615", 10), Some((0, 10)));
    assert_eq!(resolve("bytes=0-99999999999999999999999", 10), Some((0, 10)));
}

#[test]
fn ranges_outside_the_object_are_416_with_its_length() {
    for (text, length) in
        [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-8388607", 0), ("bytes=-5", 0)]
    {
        let error = RangeSpec::parse(text).unwrap().resolve(length).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRange, "{text}");
        assert_eq!(error.headers()[0].1, format!("bytes */{length}"));
    }
}

#[test]
fn what_is_no_single_byte_range_is_ignored() {
    for text in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "items=0-1",
        "bytes=0-1,3-4",
        "bytes=+1-2",
        "bytes=1--2",
    ] {
        assert_eq!(RangeSpec::parse(text), None, "{text}");
    }
}

#[test]
fn copy_ranges_must_lie_in_the_source() {
    assert_eq!(copy_source_range("bytes=0-9", 10).unwrap(), ByteRange { start: 0, end: 10 });
    assert_eq!(copy_source_range("bytes=0-10", 10).unwrap_err().code(), ErrorCode::InvalidRange);
    for text in ["bytes=0-", "bytes=-1", "0-1", "bytes=5-2"] {
        assert_eq!(copy_source_range(text, 10).unwrap_err().code(), ErrorCode::InvalidArgument, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn parse_never_panics_and_what_resolves_lies_inside(text in "(bytes=)?[0-9,=a -]{0,24}", length: u64) {
        if let Some(Ok(range)) = RangeSpec::parse(&text).map(|spec| spec.resolve(length)) {
            proptest::prop_assert!(range.start < range.end && range.end <= length);
        }
        let _ = copy_source_range(&text, length);
    }
}
