use futures::stream;
use granary_auth::PayloadSha256;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::*;

fn limits() -> BodyLimits {
    BodyLimits { idle: Duration::from_millis(50), length_bytes: 1_000 }
}

fn headers(length: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(length))])
}

fn source(body: Body, headers: &HeaderMap, payload: &PayloadMode) -> S3Result<BodySource> {
    let digests = BodyDigests::new(headers, payload, EtagNeed::Wanted, None)?;
    BodySource::new(body, headers, payload, digests, limits())
}

async fn drain(source: &mut BodySource) -> S3Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(data) = source.pull().await? {
        all.extend_from_slice(&data);
    }
    source.verify().await?;
    Ok(all)
}

#[tokio::test]
async fn a_body_flows_through_with_its_digests() {
    let payload = PayloadMode::Signed(PayloadSha256(Sha256::digest(b"hello").into()));
    let mut source = source(Body::from("hello"), &headers("5"), &payload).unwrap();
    assert_eq!(drain(&mut source).await.unwrap(), b"hello");
    assert_eq!(source.verified().unwrap().etag.as_str(), "5d41402abc4b2a76b9719d911017c592");
}

#[tokio::test]
async fn lengths_are_enforced() {
    for (body, length, code) in
        [("hello", "6", ErrorCode::IncompleteBody), ("hello", "4", ErrorCode::IncompleteBody)]
    {
        let mut source = source(Body::from(body), &headers(length), &PayloadMode::Unsigned).unwrap();
        assert_eq!(drain(&mut source).await.unwrap_err().code(), code);
    }
    let code = |headers| source(Body::empty(), &headers, &PayloadMode::Unsigned).err().map(|e| e.code());
    assert_eq!(code(HeaderMap::new()), Some(ErrorCode::MissingContentLength));
    assert_eq!(code(headers("1001")), Some(ErrorCode::EntityTooLarge));
    assert_eq!(code(headers("x")), Some(ErrorCode::InvalidRequest));
}

#[test]
fn a_length_is_unknown_where_nothing_announces_it() {
    let mut chunked = HeaderMap::new();
    chunked.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert!(is_unknown(&chunked, &PayloadMode::Unsigned));
    assert!(is_unknown(&chunked, &PayloadMode::Signed(PayloadSha256([0; 32]))));
    // The framing within announces one.
    assert!(!is_unknown(&chunked, &PayloadMode::StreamingUnsignedTrailer));
    chunked.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
    assert!(!is_unknown(&chunked, &PayloadMode::Unsigned));
    assert!(!is_unknown(&headers("5"), &PayloadMode::Unsigned));
    assert!(!is_unknown(&HeaderMap::new(), &PayloadMode::Unsigned));
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_and_verified() {
    let within = |most: u64, signed: &[u8]| {
        let payload = PayloadMode::Signed(PayloadSha256(Sha256::digest(signed).into()));
        let digests = BodyDigests::new(&HeaderMap::new(), &payload, EtagNeed::Wanted, None).unwrap();
        let bounds = LengthBounds { least: 0, most, hint_bytes: most };
        BodySource::within(Body::from("hello"), bounds, digests, limits())
    };
    let mut whole = within(5, b"hello");
    assert_eq!(whole.length_hint_bytes(), None);
    assert_eq!(drain(&mut whole).await.unwrap(), b"hello");
    assert_eq!(drain(&mut within(4, b"hello")).await.unwrap_err().code(), ErrorCode::EntityTooLarge);
    assert_eq!(
        drain(&mut within(5, b"hallo")).await.unwrap_err().code(),
        ErrorCode::XAmzContentSHA256Mismatch
    );
}

#[tokio::test]
async fn a_silent_client_times_out() {
    let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let mut source = source(silent, &headers("5"), &PayloadMode::Unsigned).unwrap();
    assert_eq!(source.pull().await.unwrap_err().code(), ErrorCode::RequestTimeout);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_an_incomplete_body() {
    let gone = Body::from_stream(stream::iter([
        Ok(Bytes::from_static(b"he")),
        Err(std::io::Error::other("connection reset")),
    ]));
    let mut source = source(gone, &headers("5"), &PayloadMode::Unsigned).unwrap();
    assert_eq!(drain(&mut source).await.unwrap_err().code(), ErrorCode::IncompleteBody);
}

#[tokio::test]
async fn aws_chunked_framing_is_taken_off_and_the_trailer_compared() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("5"));
    headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
    let payload = PayloadMode::StreamingUnsignedTrailer;
    let with = |sum: &str| {
        let text = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
        source(Body::from(text), &headers, &payload).unwrap()
    };
    assert_eq!(drain(&mut with("NhCmhg==")).await.unwrap(), b"hello");
    assert_eq!(drain(&mut with("AAAAAA==")).await.unwrap_err().code(), ErrorCode::BadDigest);
}

#[tokio::test]
async fn documents_are_bounded_and_protected() {
    let read = |body: &'static str, headers: HeaderMap, protection| async move {
        read_document(Body::from(body), &headers, &PayloadMode::Unsigned, limits(), protection).await
    };
    let document = read("<a/>", headers("4"), Protection::Optional).await.unwrap();
    assert_eq!(document, "<a/>");
    let code = read("x", headers("1001"), Protection::Optional).await.unwrap_err().code();
    assert_eq!(code, ErrorCode::MaxMessageLengthExceeded);
    let code = read("<a/>", headers("4"), Protection::Required).await.unwrap_err().code();
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert_eq!(read("", HeaderMap::new(), Protection::Optional).await.unwrap(), "");
    let mut of_object = headers("4");
    of_object.insert("x-amz-checksum-crc32", HeaderValue::from_static("AAAAAA=="));
    assert!(read("<a/>", of_object, Protection::ChecksumIsOfTheObject).await.is_ok());
}
