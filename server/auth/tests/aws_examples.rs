//! The worked examples of the S3 documentation, with the signatures printed there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use granary_auth::chunked::ChunkedDecoder;
use granary_auth::{
    AuthMethod, Credentials, PayloadMode, Principal, RegionPolicy, StaticCredentials, Verified, Verifier,
};
use http::Request;
use http::request::Parts;

const AKID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// 24 May 2013 00:00:00 GMT.
fn example_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

fn verifier() -> Verifier {
    let source = StaticCredentials::root(Credentials::new(AKID, SECRET));
    Verifier::new(Arc::new(source), RegionPolicy::OneOf(vec!["us-east-1".to_owned()]))
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder =
        Request::builder().method(method).uri(target).header("host", "examplebucket.s3.amazonaws.com");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn authorization(signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={AKID}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={signed_headers},Signature={signature}"
    )
}

fn verify(parts: &Parts) -> Verified {
    let verified = verifier().verify(parts, example_time()).unwrap();
    assert_eq!(verified.principal, Principal::Root { access_key: AKID.into() });
    verified
}

#[test]
fn get_object() {
    let auth = authorization(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let verified = verify(&request(
        "GET",
        "/test.txt",
        &[
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
            ("authorization", &auth),
        ],
    ));
    assert_eq!(verified.method, AuthMethod::Header);
    assert!(matches!(verified.payload, PayloadMode::Signed(_)));
}

#[test]
fn put_object() {
    let auth = authorization(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    verify(&request(
        "PUT",
        "/test%24file.text",
        &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("authorization", &auth),
        ],
    ));
}

#[test]
fn get_bucket_lifecycle_and_list_objects() {
    for (target, signature) in [
        ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] {
        let auth = authorization("host;x-amz-content-sha256;x-amz-date", signature);
        verify(&request(
            "GET",
            target,
            &[("x-amz-content-sha256", EMPTY), ("x-amz-date", "20130524T000000Z"), ("authorization", &auth)],
        ));
    }
}

#[test]
fn presigned_get() {
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let verified = verify(&request("GET", target, &[]));
    assert_eq!(verified.method, AuthMethod::Presigned);
    assert!(matches!(verified.payload, PayloadMode::Unsigned));
}

fn streaming_request(payload: &str, signed_headers: &str, seed: &str, trailer: Option<&str>) -> Parts {
    let auth = authorization(signed_headers, seed);
    let mut headers = vec![
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", payload),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
        ("authorization", &auth),
    ];
    headers.extend(trailer.map(|name| ("x-amz-trailer", name)));
    let mut parts = request("PUT", "/examplebucket/chunkObject.txt", &headers);
    parts.headers.insert("host", "s3.amazonaws.com".parse().unwrap());
    parts
}

fn body(signatures: [&str; 3], end: &str) -> Bytes {
    let [first, second, last] = signatures;
    let (a, b) = ("a".repeat(65536), "a".repeat(1024));
    format!(
        "10000;chunk-signature={first}\r\n{a}\r\n400;chunk-signature={second}\r\n{b}\r\n\
         0;chunk-signature={last}\r\n{end}"
    )
    .into()
}

/// Decodes `body` in buffers of `step` bytes.
fn decode(parts: &Parts, body: &Bytes, step: usize) -> (Vec<u8>, granary_auth::chunked::Trailers) {
    let verified = verify(parts);
    let mut decoder = ChunkedDecoder::for_request(&verified.payload, &parts.headers).unwrap().unwrap();
    let mut out = Vec::new();
    for start in (0..body.len()).step_by(step) {
        let mut buffer = body.slice(start..body.len().min(start + step));
        while let Some(data) = decoder.decode(&mut buffer).unwrap() {
            out.extend_from_slice(&data);
        }
    }
    (out, decoder.finish().unwrap())
}

#[test]
fn put_object_in_signed_chunks() {
    let parts = streaming_request(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        None,
    );
    let body = body(
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        "\r\n",
    );
    assert_eq!(body.len(), 66824);
    for step in [1, 7, 4096, body.len()] {
        let (decoded, trailers) = decode(&parts, &body, step);
        assert_eq!(decoded, vec![b'a'; 66560]);
        assert_eq!(trailers.0, []);
    }
}

#[test]
fn put_object_in_signed_chunks_with_trailer() {
    let parts = streaming_request(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        Some("x-amz-checksum-crc32c"),
    );
    let body = body(
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
         d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    );
    for step in [1, 13, body.len()] {
        let (decoded, trailers) = decode(&parts, &body, step);
        assert_eq!(decoded, vec![b'a'; 66560]);
        assert_eq!(trailers.get("x-amz-checksum-crc32c"), Some("sOO8/Q=="));
    }
}
