use granary_auth::PayloadSha256;
use http::{HeaderName, HeaderValue};

use super::*;

const MD5: &str = "XrY7u+Ae7tCTyyK7j1rNww==";
const MD5_HEX: &str = "5eb63bbbe01eeed093cb22bb8f5acdc3";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

fn run(
    pairs: &[(&'static str, &'static str)],
    payload: &PayloadMode,
    keep: Option<ChecksumAlgorithm>,
    trailer: Option<&'static str>,
) -> S3Result<Verified> {
    let mut digests = BodyDigests::new(&headers(pairs), payload, EtagNeed::Wanted, keep)?;
    futures::executor::block_on(async {
        digests.update(&Bytes::from_static(b"hello ")).await?;
        digests.update(&Bytes::from_static(b"world")).await?;
        digests.finish(|_| trailer).await
    })
}

fn code(result: S3Result<Verified>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn etag_and_default_checksum() {
    let verified = run(&[], &PayloadMode::Unsigned, Some(ChecksumAlgorithm::Crc64Nvme), None).unwrap();
    assert_eq!(verified.etag.as_str(), MD5_HEX);
    assert_eq!(verified.kept.unwrap().algorithm, ChecksumAlgorithm::Crc64Nvme);
    assert_eq!(verified.sent, None);
}

#[test]
fn content_md5_is_compared() {
    assert!(run(&[("content-md5", MD5)], &PayloadMode::Unsigned, None, None).is_ok());
    let other = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    assert_eq!(code(run(&other, &PayloadMode::Unsigned, None, None)), ErrorCode::BadDigest);
    for bad in ["", "x", "AAAA"] {
        let result = run(&[("content-md5", bad)], &PayloadMode::Unsigned, None, None);
        assert_eq!(code(result), ErrorCode::InvalidDigest);
    }
}

#[test]
fn signed_payloads_are_compared() {
    let right: [u8; 32] = Sha256::digest(b"hello world").into();
    assert!(run(&[], &PayloadMode::Signed(PayloadSha256(right)), None, None).is_ok());
    let wrong = run(&[], &PayloadMode::Signed(PayloadSha256([0; 32])), None, None);
    assert_eq!(code(wrong), ErrorCode::XAmzContentSHA256Mismatch);
}

#[test]
fn sent_checksums_are_compared_and_kept() {
    let crc32 = [("x-amz-checksum-crc32", "DUoRhQ==")];
    let verified = run(&crc32, &PayloadMode::Unsigned, None, None).unwrap();
    assert_eq!(verified.kept.as_ref().unwrap().value, "DUoRhQ==");
    assert_eq!(verified.kept, verified.sent);
    let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
    assert_eq!(code(run(&wrong, &PayloadMode::Unsigned, None, None)), ErrorCode::BadDigest);
    let verified = run(&crc32, &PayloadMode::Unsigned, Some(ChecksumAlgorithm::Sha1), None).unwrap();
    assert_eq!(verified.kept.unwrap().algorithm, ChecksumAlgorithm::Sha1);
    assert_eq!(verified.sent.unwrap().algorithm, ChecksumAlgorithm::Crc32);
}

#[test]
fn trailers_are_compared() {
    let announced = [("x-amz-trailer", "x-amz-checksum-crc32")];
    let with = |trailer| run(&announced, &PayloadMode::StreamingUnsignedTrailer, None, trailer);
    assert!(with(Some("DUoRhQ==")).is_ok());
    assert_eq!(code(with(Some("AAAAAA=="))), ErrorCode::BadDigest);
    assert_eq!(code(with(Some("AAAA"))), ErrorCode::InvalidRequest);
    assert_eq!(code(with(None)), ErrorCode::MalformedTrailerError);
}
