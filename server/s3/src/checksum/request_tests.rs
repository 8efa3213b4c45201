use http::HeaderValue;

use super::*;
use crate::error::ErrorCode;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn header_and_trailer_are_found() {
    assert_eq!(of_headers(&headers(&[])).unwrap(), None);
    let found = of_headers(&headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")])).unwrap().unwrap();
    assert_eq!(found.expected, Expected::Value(vec![0xcb, 0xf4, 0x39, 0x26]));
    let found = of_headers(&headers(&[
        ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
        ("x-amz-sdk-checksum-algorithm", "CRC64NVME"),
    ]));
    let expected = RequestedChecksum { algorithm: ChecksumAlgorithm::Crc64Nvme, expected: Expected::Trailer };
    assert_eq!(found.unwrap(), Some(expected));
}

#[test]
fn headers_about_checksums_that_are_none_are_left_alone() {
    let found =
        of_headers(&headers(&[("x-amz-checksum-mode", "ENABLED"), ("x-amz-checksum-type", "COMPOSITE")]));
    assert_eq!(found.unwrap(), None);
}

#[test]
fn contradictions_are_invalid_requests() {
    for pairs in [
        &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "y/Q5Jg==")][..],
        &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-trailer", "x-amz-checksum-crc32")][..],
        &[("x-amz-trailer", "x-amz-other")][..],
        &[("x-amz-sdk-checksum-algorithm", "CRC32")][..],
        &[("x-amz-sdk-checksum-algorithm", "FOO"), ("x-amz-checksum-crc32", "y/Q5Jg==")][..],
        &[("x-amz-sdk-checksum-algorithm", "SHA1"), ("x-amz-checksum-crc32", "y/Q5Jg==")][..],
    ] {
        assert_eq!(of_headers(&headers(pairs)).unwrap_err().code(), ErrorCode::InvalidRequest, "{pairs:?}");
    }
}

#[test]
fn no_body_has_a_checksum_that_is_none() {
    for pair in [("x-amz-checksum-crc32", "AAAAAAAA"), ("x-amz-checksum-sha256", "!")] {
        assert_eq!(of_headers(&headers(&[pair])).unwrap_err().code(), ErrorCode::BadDigest, "{pair:?}");
    }
}

#[test]
fn a_checksum_of_an_unknown_algorithm_was_ignored() {
    let error = of_headers(&headers(&[("x-amz-checksum-crc16", "AAA=")])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
}
