use super::*;
use crate::error::ErrorCode;

fn write(name: &'static str, value: &'static str) -> S3Result<()> {
    check_write(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]))
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (name, value) in [("x-amz-write-offset-bytes", "5"), ("x-amz-annotation-directive", "COPY")] {
        assert_eq!(write(name, value).unwrap_err().code(), ErrorCode::NotImplemented, "{name}");
    }
}

#[test]
fn what_changes_nothing_is_accepted() {
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=1"),
        ("x-amz-date", "x"),
        ("x-amz-meta-tagging", "x"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-object-ownership", "ObjectWriter"),
    ] {
        assert!(write(name, value).is_ok(), "{name}");
    }
}
