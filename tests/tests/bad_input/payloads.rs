use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use granary_tests::raw;
use md5::{Digest, Md5};
use sha2::Sha256;
use time::OffsetDateTime;

use crate::{Target, assert_refused};

#[tokio::test]
async fn wrong_digests_are_refused() {
    let target = Target::start().await;
    let now = OffsetDateTime::now_utc();
    let wrong_hash = hex::encode(Sha256::digest(b"another body"));
    let mut request = target.put("k");
    target.signer.sign(&mut request, &wrong_hash, now);
    assert_refused("sha256", &target.send(&request, b"body").await, 400, "XAmzContentSHA256Mismatch");
    let mut request = target.put("k");
    target.signer.sign(&mut request, "not-a-hash", now);
    assert_eq!(target.send(&request, b"body").await.status, 400, "a payload hash that is none");

    let other_md5 = BASE64_STANDARD.encode(Md5::digest(b"another body"));
    let response = target.signed(target.put("k").header("content-md5", &other_md5), b"body").await;
    assert_refused("content-md5", &response, 400, "BadDigest");
    for invalid in ["AAAA", "not base64 at all!", ""] {
        let response = target.signed(target.put("k").header("content-md5", invalid), b"body").await;
        assert_refused("malformed content-md5", &response, 400, "InvalidDigest");
    }
    let checksums = [
        ("x-amz-checksum-crc32", BASE64_STANDARD.encode([1; 4])),
        ("x-amz-checksum-crc32c", BASE64_STANDARD.encode([1; 4])),
        ("x-amz-checksum-crc64nvme", BASE64_STANDARD.encode([1; 8])),
        ("x-amz-checksum-sha1", BASE64_STANDARD.encode([1; 20])),
        ("x-amz-checksum-sha256", BASE64_STANDARD.encode([1; 32])),
        ("x-amz-checksum-sha512", BASE64_STANDARD.encode([1; 64])),
        ("x-amz-checksum-md5", BASE64_STANDARD.encode([1; 16])),
        ("x-amz-checksum-xxhash64", BASE64_STANDARD.encode([1; 8])),
        ("x-amz-checksum-xxhash3", BASE64_STANDARD.encode([1; 8])),
        ("x-amz-checksum-xxhash128", BASE64_STANDARD.encode([1; 16])),
    ];
    for (name, value) in checksums {
        let response = target.signed(target.put("k").header(name, &value), b"body").await;
        assert_refused(name, &response, 400, "BadDigest");
        let response = target.signed(target.put("k").header(name, "!"), b"body").await;
        assert_refused("no checksum", &response, 400, "BadDigest");
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn wrong_lengths_are_refused() {
    let target = Target::start().await;
    let host = target.server.host();
    let mut request = target.put("k");
    target.signer.sign(&mut request, "UNSIGNED-PAYLOAD", OffsetDateTime::now_utc());
    let head = |length: &str| {
        let mut request = request.clone();
        request.headers.insert("connection".to_owned(), "close".to_owned());
        request.headers.insert("content-length".to_owned(), length.to_owned());
        raw::head_of(&request)
    };
    for length in ["-1", "abc", "99999999999999999999999", "1, 2", "0x10"] {
        let response = raw::send_bytes(&host, &head(length), false).await.unwrap();
        assert_eq!(response.status, 400, "content-length {length}");
    }
    // More than the largest object S3 takes in one PUT (5 GiB until it was raised) by any measure.
    let response = raw::send_bytes(&host, &head("9223372036854775807"), false).await.unwrap();
    assert_refused("an absurd length", &response, 400, "EntityTooLarge");

    let mut without = raw::head_of(&request);
    without.truncate(without.len() - 2);
    without.extend_from_slice(b"connection: close\r\n\r\n");
    let response = raw::send_bytes(&host, &without, false).await.unwrap();
    assert_refused("no length", &response, 411, "MissingContentLength");

    let mut both = request.clone();
    both.headers.insert("transfer-encoding".to_owned(), "chunked".to_owned());
    both.headers.insert("content-length".to_owned(), "4".to_owned());
    let mut bytes = raw::head_of(&both);
    bytes.extend_from_slice(b"4\r\nbody\r\n0\r\n\r\n");
    if let Ok(response) = raw::send_bytes(&host, &bytes, false).await {
        assert!(matches!(response.status, 400 | 411 | 501), "both framings: {}", response.status);
    }
    target.assert_unharmed().await;
}
