use super::*;
use crate::error::ErrorCode;

fn write(name: &'static str, value: &'static str) -> S3Result<()> {
    check_write(&HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]))
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-copy-source-server-side-encryption-customer-key", "k"),
        ("x-amz-write-offset-bytes", "5"),
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
    ] {
        assert!(write(name, value).is_ok(), "{name}");
    }
}

#[test]
fn customer_keys_are_refused_on_reads_and_not_shown() {
    let key = "x-amz-server-side-encryption-customer-key";
    let headers =
        HeaderMap::from_iter([(HeaderName::from_static(key), HeaderValue::from_static("c2VjcmV0"))]);
    let error = check_read(&headers).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotImplemented);
    assert!(error.fields().iter().all(|(_, value)| !value.contains("c2VjcmV0")));
}
