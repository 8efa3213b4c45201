use super::*;
use crate::error::ErrorCode;

fn write(name: &'static str, value: &'static str) -> S3Result<()> {
    check_write(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]))
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (name, value) in [
        ("x-amz-write-offset-bytes", "5"),
        ("x-amz-object-lock-event-hold", "ON"),
        ("x-amz-object-lock-event-hold-duration-days", "1"),
        ("x-amz-object-lock-event-hold-duration-years", "1"),
        ("x-amz-bucket-namespace", "account-regional"),
    ] {
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
        // There are no annotations to be copied or left out.
        ("x-amz-object-annotation-directive", "COPY"),
        ("x-amz-object-lock-event-hold", "OFF"),
        ("x-amz-bucket-namespace", "global"),
    ] {
        assert!(write(name, value).is_ok(), "{name}");
    }
}
