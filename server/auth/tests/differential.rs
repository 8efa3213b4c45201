//! Differential test: whatever `aws-sigv4` signs, we verify; and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test helper that panics fails its test.

#[path = "../fuzz/bodies/plan.rs"]
mod plan;

use std::time::Duration;

use aws_sigv4::http_request::SignatureLocation;
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;
use granary_auth::AuthError;
use granary_auth::chunked::{ChunkedDecoder, Trailers};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use plan::{Body, Plan, credentials, verifier};
use proptest::prelude::*;

fn any_text() -> impl Strategy<Value = String> {
    proptest::string::string_regex(r"[a-zA-Z0-9 /._~%+=&?#@:;,!*'()\[\]{}\\^`|<>é漢🦀$-]{1,24}").unwrap()
}

fn any_header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        "x-amz-meta-[a-z0-9]{1,8}",
        Just("content-type".to_owned()),
        Just("content-md5".to_owned()),
        Just("range".to_owned()),
        Just("x-amz-storage-class".to_owned()),
    ];
    (name, "[!-~]{1,8}( {1,3}[!-~]{1,8}){0,2}")
}

prop_compose! {
    fn any_plan()(
        method in prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD"]),
        path in prop::collection::vec(any_text(), 0..4),
        query in prop::collection::vec((any_text(), prop_oneof![any_text(), Just(String::new())]), 0..5),
        headers in prop::collection::vec(any_header(), 0..5),
        region in "[a-z]{2}-[a-z]{4,8}-[1-9]",
        at_s in 1_000_000_000_u64..4_000_000_000,
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64).prop_map(Body::Bytes),
            Just(Body::Unsigned),
            Just(Body::StreamingUnsignedTrailer),
            Just(Body::StreamingSigned),
            Just(Body::StreamingSignedTrailer),
        ],
        presigned in any::<bool>(),
    ) -> Plan {
        let location = if presigned { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let body = if presigned { Body::Unsigned } else { body };
        Plan { method, path: path.join("/"), query, headers, region, at_s, body, location }
    }
}

/// One change to a signed request that must break it.
#[derive(Clone, Debug)]
enum Mutation {
    Method,
    PathAppend(char),
    QueryAppend(String),
    HeaderValue(prop::sample::Index),
    HeaderDrop(prop::sample::Index),
    HeaderAdd,
    SignatureDigit(prop::sample::Index),
    Host,
    Day,
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        Just(Mutation::Method),
        prop::sample::select(vec!['a', '/', '.', '~']).prop_map(Mutation::PathAppend),
        "[a-z]{1,4}".prop_map(Mutation::QueryAppend),
        any::<prop::sample::Index>().prop_map(Mutation::HeaderValue),
        any::<prop::sample::Index>().prop_map(Mutation::HeaderDrop),
        Just(Mutation::HeaderAdd),
        any::<prop::sample::Index>().prop_map(Mutation::SignatureDigit),
        Just(Mutation::Host),
        Just(Mutation::Day),
    ]
}

/// Headers that the signature covers, but for `host` and `authorization`. The signer leaves these few out.
fn covered(parts: &Parts) -> Vec<HeaderName> {
    let text = parts.headers.get("authorization").map_or_else(
        || percent_encoding::percent_decode_str(parts.uri.query().unwrap()).decode_utf8_lossy().into_owned(),
        |value| value.to_str().unwrap().to_owned(),
    );
    let list = text.split("SignedHeaders=").nth(1).unwrap().split([',', '&']).next().unwrap();
    list.split(';').filter(|n| *n != "host").map(|n| n.parse().unwrap()).collect()
}

fn replace_in_signature(parts: &mut Parts, digit: usize) {
    let flip = |text: &str| {
        let at = text.find("Signature=").unwrap() + "Signature=".len() + digit;
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).unwrap()
    };
    if let Some(value) = parts.headers.get("authorization") {
        let changed = flip(value.to_str().unwrap());
        parts.headers.insert("authorization", changed.parse().unwrap());
    } else {
        parts.uri = flip(&parts.uri.to_string()).parse().unwrap();
    }
}

/// Applies the mutation; `false` if it does not apply to this request.
fn mutate(parts: &mut Parts, mutation: &Mutation) -> bool {
    let names = covered(parts);
    let uri = parts.uri.to_string();
    let (path, query) = uri.split_once('?').map_or((uri.as_str(), None), |(p, q)| (p, Some(q)));
    match mutation {
        Mutation::Method => parts.method = http::Method::OPTIONS,
        Mutation::PathAppend(extra) => {
            let query = query.map(|q| format!("?{q}")).unwrap_or_default();
            parts.uri = format!("{path}{extra}{query}").parse().unwrap();
        }
        Mutation::QueryAppend(extra) => {
            let query = query.map(|q| format!("{q}&")).unwrap_or_default();
            parts.uri = format!("{path}?{query}{extra}").parse().unwrap();
        }
        Mutation::HeaderValue(index) if !names.is_empty() => {
            let name = index.get(&names);
            let mut value = parts.headers[name].as_bytes().to_vec();
            value.push(b'x');
            parts.headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
        }
        Mutation::HeaderDrop(index) if !names.is_empty() => {
            parts.headers.remove(index.get(&names));
        }
        Mutation::HeaderValue(_) | Mutation::HeaderDrop(_) => return false,
        Mutation::HeaderAdd => {
            parts.headers.append("x-amz-acl", HeaderValue::from_static("public-read"));
        }
        Mutation::SignatureDigit(index) => replace_in_signature(parts, index.index(64)),
        Mutation::Host => {
            parts.headers.insert("host", HeaderValue::from_static("other.example:9000"));
        }
        Mutation::Day => {
            let Some(value) = parts.headers.get("authorization") else { return false };
            let changed =
                value.to_str().unwrap().replacen("Credential=GRANARYTEST/", "Credential=GRANARYTEST/2", 1);
            parts.headers.insert("authorization", changed.parse().unwrap());
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_aws_sigv4_signs_is_accepted(plan in any_plan()) {
        let verifier = verifier();
        for _second_time_with_a_cached_key in 0..2 {
            let parts = plan.signed();
            let verified = verifier.verify(&parts, plan.time());
            prop_assert!(verified.is_ok(), "{:?} for {:?}", verified, parts);
        }
    }

    #[test]
    fn any_single_change_is_refused(plan in any_plan(), mutation in any_mutation()) {
        let mut parts = plan.signed();
        if mutate(&mut parts, &mutation) {
            let verified = verifier().verify(&parts, plan.time());
            prop_assert!(verified.is_err(), "accepted {:?}", parts);
        }
    }

    #[test]
    fn time_is_enforced(plan in any_plan(), off_s in 901_u64..100_000, late in any::<bool>()) {
        let parts = plan.signed();
        let off = Duration::from_secs(off_s);
        let now = if late { plan.time() + off } else { plan.time() - off };
        let code = verifier().verify(&parts, now).unwrap_err().code();
        let expected = match plan.location {
            SignatureLocation::QueryParams => "AccessDenied",
            _ => "RequestTimeTooSkewed",
        };
        prop_assert_eq!(code, expected);
    }
}

const SUM: &str = "x-amz-checksum-crc32c";

/// Bodies of chunks that S3 takes: only the last one is short.
fn any_chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let full = prop::collection::vec(any::<u8>(), 8192..9000);
    let last = prop::option::of(prop::collection::vec(any::<u8>(), 1..9000));
    (prop::collection::vec(full, 0..3), last).prop_map(|(full, last)| full.into_iter().chain(last).collect())
}

/// Makes a plan one of a body in chunks, with a trailer or none.
fn streamed(mut plan: Plan, chunks: &[Vec<u8>], trailer: Option<&str>) -> Plan {
    let length_bytes: usize = chunks.iter().map(Vec::len).sum();
    plan.method = "PUT";
    plan.location = SignatureLocation::Headers;
    plan.headers.push(("x-amz-decoded-content-length".to_owned(), length_bytes.to_string()));
    plan.body = match trailer {
        Some(_) => {
            plan.headers.push(("x-amz-trailer".to_owned(), SUM.to_owned()));
            Body::StreamingSignedTrailer
        }
        None => Body::StreamingSigned,
    };
    plan
}

/// The body behind a head, framed, each chunk and the trailer signed by `aws-sigv4`.
fn framed(plan: &Plan, head: &Parts, chunks: &[Vec<u8>], trailer: Option<&str>) -> Vec<u8> {
    let identity: Identity = credentials().into();
    let builder = v4::SigningParams::builder().identity(&identity).region(&plan.region).name("s3");
    let params = builder.time(plan.time()).settings(()).build().unwrap();
    let authorization = head.headers["authorization"].to_str().unwrap();
    let mut previous = authorization.split("Signature=").nth(1).unwrap().to_owned();
    let mut body = Vec::new();
    for chunk in chunks.iter().map(Vec::as_slice).chain([&[][..]]) {
        let bytes = Bytes::copy_from_slice(chunk);
        let signature = v4::sign_chunk(&bytes, &previous, &params).unwrap().signature().to_owned();
        body.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        if !chunk.is_empty() {
            body.extend_from_slice(b"\r\n");
        }
        previous = signature;
    }
    if let Some(value) = trailer {
        let mut headers = Headers::new();
        headers.insert(SUM, value.to_owned());
        let signature = v4::sign_trailer(&headers, &previous, &params).unwrap().signature().to_owned();
        body.extend_from_slice(
            format!("{SUM}:{value}\r\nx-amz-trailer-signature:{signature}\r\n").as_bytes(),
        );
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// What the server makes of a head and a body.
fn received(plan: &Plan, head: &Parts, body: Vec<u8>) -> Result<(Vec<u8>, Trailers), AuthError> {
    let verified = verifier().verify(head, plan.time())?;
    let mut decoder = ChunkedDecoder::for_request(&verified.payload, &head.headers)?.unwrap();
    let (mut body, mut decoded) = (Bytes::from(body), Vec::new());
    while let Some(piece) = decoder.decode(&mut body)? {
        decoded.extend_from_slice(&piece);
    }
    decoder.finish().map(|trailers| (decoded, trailers))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_aws_sigv4_signs_in_chunks_is_accepted(
        plan in any_plan(),
        chunks in any_chunks(),
        trailer in prop::option::of("[A-Za-z0-9+/]{6}=="),
    ) {
        let plan = streamed(plan, &chunks, trailer.as_deref());
        let head = plan.signed();
        let body = framed(&plan, &head, &chunks, trailer.as_deref());
        let (decoded, trailers) = received(&plan, &head, body).unwrap();
        prop_assert_eq!(decoded, chunks.concat());
        prop_assert_eq!(trailers.get(SUM), trailer.as_deref());
    }

    #[test]
    fn any_changed_signature_of_a_chunk_or_trailer_is_refused(
        plan in any_plan(),
        chunks in any_chunks(),
        trailer in prop::option::of("[A-Za-z0-9+/]{6}=="),
        which in any::<prop::sample::Index>(),
        digit in 0_usize..64,
    ) {
        let plan = streamed(plan, &chunks, trailer.as_deref());
        let head = plan.signed();
        let mut body = framed(&plan, &head, &chunks, trailer.as_deref());
        let marks = ["chunk-signature=", "x-amz-trailer-signature:"];
        let ends = |mark: &str| {
            let windows = body.windows(mark.len()).enumerate();
            windows.filter(|(_, text)| *text == mark.as_bytes()).map(|(at, _)| at + mark.len()).collect::<Vec<_>>()
        };
        let signatures: Vec<usize> = marks.into_iter().flat_map(ends).collect();
        prop_assert_eq!(signatures.len(), chunks.len() + 1 + usize::from(trailer.is_some()));
        let at = which.get(&signatures) + digit;
        body[at] = if body[at] == b'0' { b'1' } else { b'0' };
        let refused = received(&plan, &head, body).unwrap_err();
        prop_assert_eq!(refused.code(), "SignatureDoesNotMatch");
    }
}
