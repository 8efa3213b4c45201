//! What must be refused, and as what. Requests are signed here by the same code; that this code signs as AWS does
//! is shown by the worked examples and by the differential test against aws-sigv4.

use std::time::{Duration, UNIX_EPOCH};

use http::Request;
use http::request::Parts;

use super::*;
use crate::credentials::{Credentials, SecretKey, StaticCredentials};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DATE_TEXT: &str = "20130524T000000Z";

fn signed_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

fn verifier(regions: RegionPolicy) -> Verifier {
    Verifier::new(Arc::new(StaticCredentials::root(Credentials::new("root", "secret"))), regions)
}

fn check(parts: &Parts) -> Result<Verified, AuthError> {
    verifier(RegionPolicy::Any).verify(parts, signed_time())
}

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().uri(target).header("host", "s3.example");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// A request with `headers` and a right signature over `signed` of them.
fn signed_request(target: &str, headers: &[(&str, &str)], signed: &str) -> Parts {
    signed_for(("us-east-1", "secret"), target, headers, signed)
}

/// As [`signed_request`], for a region and with a secret.
fn signed_for((region, secret): (&str, &str), target: &str, headers: &[(&str, &str)], signed: &str) -> Parts {
    let mut parts = request(target, headers);
    let value = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let date = value("x-amz-date").unwrap_or(DATE_TEXT);
    let query = CanonicalQuery::parse(parts.uri.query());
    let canonical = CanonicalRequest {
        method: &parts.method,
        path: parts.uri.path(),
        query: &query,
        skip_parameter: None,
        headers: &parts.headers,
        host: "s3.example",
        signed_headers: SignedHeaders::parse(signed).unwrap(),
        payload_hash: value("x-amz-content-sha256").unwrap_or(EMPTY),
    };
    let hash = sha256_hex(&canonical.to_bytes().unwrap());
    let key = SigningKey::derive(&SecretKey::new(secret), "20130524", region);
    let scope = format!("20130524/{region}/s3/aws4_request");
    let signature = key.sign(format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}").as_bytes()).to_hex();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=root/{scope}, SignedHeaders={signed}, Signature={signature}");
    parts.headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    parts
}

const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
const HEADERS: [(&str, &str); 2] = [("x-amz-content-sha256", EMPTY), ("x-amz-date", DATE_TEXT)];

fn good() -> Parts {
    signed_request("/b/k", &HEADERS, SIGNED)
}

fn with_authorization(change: impl Fn(&str) -> String) -> Parts {
    let mut parts = good();
    let changed = change(parts.headers[AUTHORIZATION].to_str().unwrap());
    parts.headers.insert(AUTHORIZATION, changed.parse().unwrap());
    parts
}

fn code(parts: &Parts) -> &'static str {
    check(parts).unwrap_err().code()
}

#[test]
fn a_right_signature_is_accepted_and_no_signature_is_anonymous() {
    assert_eq!(check(&good()).unwrap().method, AuthMethod::Header);
    let verified = check(&request("/b/k", &[])).unwrap();
    assert_eq!((verified.method, verified.principal), (AuthMethod::Anonymous, Principal::Anonymous));
}

#[test]
fn the_date_header_stands_in_for_x_amz_date() {
    let headers = [("x-amz-content-sha256", EMPTY), ("date", "Fri, 24 May 2013 00:00:00 GMT")];
    check(&signed_request("/", &headers, "date;host;x-amz-content-sha256")).unwrap();
    let neither = signed_request("/", &HEADERS[..1], "host;x-amz-content-sha256");
    assert_eq!(check(&neither).unwrap_err(), AuthError::AccessDenied(AccessDeniedReason::MissingDate));
}

#[test]
fn every_x_amz_header_and_host_must_be_signed() {
    let mut headers = HEADERS.to_vec();
    headers.push(("x-amz-acl", "private"));
    let error = check(&signed_request("/", &headers, SIGNED)).unwrap_err();
    assert_eq!(error, AuthError::AccessDenied(AccessDeniedReason::HeadersNotSigned("x-amz-acl".to_owned())));
    let error = check(&signed_request("/", &HEADERS, "x-amz-content-sha256;x-amz-date")).unwrap_err();
    assert_eq!(error, AuthError::AccessDenied(AccessDeniedReason::HeadersNotSigned("host".to_owned())));
}

#[test]
fn a_signed_header_that_was_not_sent_is_refused() {
    assert_eq!(
        code(&with_authorization(|a| a.replace("x-amz-date", "x-amz-date;x-amz-z"))),
        "SignatureDoesNotMatch"
    );
}

#[test]
fn wrong_keys_and_signatures_are_told_apart() {
    assert_eq!(code(&with_authorization(|a| a.replace("=root/", "=toor/"))), "InvalidAccessKeyId");
    for signature in ["", "00", &"0".repeat(64), &"0".repeat(65), &"z".repeat(64)] {
        let parts = with_authorization(|a| {
            let (before, _) = a.split_once("Signature=").unwrap();
            format!("{before}Signature={signature}")
        });
        assert_eq!(code(&parts), "SignatureDoesNotMatch", "{signature}");
    }
    let upper = with_authorization(|a| {
        let (before, signature) = a.split_once("Signature=").unwrap();
        format!("{before}Signature={}", signature.to_uppercase())
    });
    assert_eq!(code(&upper), "SignatureDoesNotMatch");
}

#[test]
fn malformed_authorization_headers_are_refused_as_such() {
    let cases: [(&str, &str); 8] = [
        ("/s3/", "/ec2/"),
        ("aws4_request", "aws5_request"),
        ("=root/20130524", "=root/2013"),
        ("=root/20130524", "=root/20130525"),
        ("=root/20130524", "=/20130524"),
        ("=root/20130524/us-east-1", "=root/20130524"),
        (", Signature=", ", Signature=x, Signature="),
        ("SignedHeaders=host;x", "SignedHeaders=x-amz-date;host;x"),
    ];
    for (from, to) in cases {
        assert_eq!(
            code(&with_authorization(|a| a.replace(from, to))),
            "AuthorizationHeaderMalformed",
            "{to}"
        );
    }
    for bad in ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=root", "AWS4-HMAC-SHA256 a,b,c"] {
        assert_eq!(code(&with_authorization(|_| bad.to_owned())), "AuthorizationHeaderMalformed", "{bad}");
    }
}

#[test]
fn other_mechanisms_get_their_own_answers() {
    let answer = |text: &'static str| code(&with_authorization(|_| text.to_owned()));
    assert_eq!(answer("AWS root:c2ln"), "InvalidRequest");
    assert_eq!(answer("Basic cm9vdDp4"), "InvalidArgument");
    assert_eq!(answer("AWS4-ECDSA-P256-SHA256 Credential=root/20130524/s3/aws4_request"), "NotImplemented");
    assert_eq!(code(&request("/b/k?AWSAccessKeyId=root&Signature=x&Expires=1", &[])), "InvalidRequest");
}

#[test]
fn two_authorizations_are_never_weighed_against_each_other() {
    let mut twice = good();
    twice.headers.append(AUTHORIZATION, "AWS4-HMAC-SHA256 x".parse().unwrap());
    assert_eq!(code(&twice), "InvalidArgument");
    let mut both = good();
    both.uri = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256".parse().unwrap();
    assert_eq!(code(&both), "InvalidArgument");
}

#[test]
fn repeated_dates_and_payload_hashes_are_refused() {
    for name in ["x-amz-date", "x-amz-content-sha256", "host"] {
        let mut parts = good();
        let value = parts.headers[name].clone();
        parts.headers.append(name, value);
        assert_eq!(code(&parts), "InvalidRequest", "{name}");
    }
}

#[test]
fn the_payload_hash_is_required_and_must_make_sense() {
    let none = signed_request("/", &HEADERS[1..], "host;x-amz-date");
    assert_eq!(code(&none), "InvalidRequest");
    for (value, expected) in [
        ("nonsense", "InvalidArgument"),
        (&EMPTY[..63], "InvalidArgument"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented"),
    ] {
        let headers = [("x-amz-content-sha256", value), ("x-amz-date", DATE_TEXT)];
        assert_eq!(code(&signed_request("/", &headers, SIGNED)), expected, "{value}");
    }
}

#[test]
fn session_tokens_are_not_issued_here() {
    let mut headers = HEADERS.to_vec();
    headers.push(("x-amz-security-token", "t"));
    let signed = format!("{SIGNED};x-amz-security-token");
    assert_eq!(code(&signed_request("/", &headers, &signed)), "InvalidToken");
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let verifier = verifier(RegionPolicy::Any);
    for (offset_s, accepted) in [(900, true), (901, false)] {
        let offset = Duration::from_secs(offset_s);
        for now in [signed_time() + offset, signed_time() - offset] {
            assert_eq!(verifier.verify(&good(), now).is_ok(), accepted, "{offset_s}");
        }
    }
}

#[test]
fn a_region_policy_names_the_region_to_use() {
    let only = verifier(RegionPolicy::OneOf(vec!["eu-north-1".to_owned()]));
    let error = only.verify(&good(), signed_time()).unwrap_err();
    let AuthError::AuthorizationHeaderMalformed { reason, region } = error else { panic!("{error:?}") };
    assert_eq!(reason, "the region 'us-east-1' is wrong; expecting 'eu-north-1'");
    assert_eq!(region.as_deref(), Some("eu-north-1"));
}

/// Clients without a region in their configuration sign for none.
#[test]
fn a_signature_for_no_region_is_good_everywhere_and_must_still_be_right() {
    let nowhere = |secret: &str| signed_for(("", secret), "/b/k", &HEADERS, SIGNED);
    let only = verifier(RegionPolicy::OneOf(vec!["eu-north-1".to_owned()]));
    assert!(only.verify(&nowhere("secret"), signed_time()).is_ok());
    assert_eq!(code(&nowhere("other")), "SignatureDoesNotMatch");
}

#[test]
fn http2_requests_are_verified_by_their_authority() {
    let mut parts = good();
    parts.headers.remove(HOST);
    parts.uri = "http://s3.example/b/k".parse().unwrap();
    check(&parts).unwrap();
    parts.headers.insert(HOST, "other.example".parse().unwrap());
    assert_eq!(code(&parts), "InvalidRequest");
}

#[test]
fn presigned_parameters_are_checked() {
    let target = |change: (&str, &str)| {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=root%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                     &X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
        format!("/b/k?{}", query.replace(change.0, change.1))
    };
    assert_eq!(code(&request(&target(("", "")), &[])), "SignatureDoesNotMatch");
    let query_error = "AuthorizationQueryParametersError";
    for (from, to, expected) in [
        ("X-Amz-Expires=60", "X-Amz-Expires=604801", query_error),
        ("X-Amz-Expires=60", "X-Amz-Expires=0", "AccessDenied"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1", "AccessDenied"),
        ("X-Amz-Expires=60", "X-Amz-Expires=1x", query_error),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60", query_error),
        ("X-Amz-Expires=60", "", query_error),
        ("X-Amz-SignedHeaders=host", "", query_error),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", query_error),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        ("20130524T000000Z", "2013", query_error),
        ("20130524T000000Z", "20130525T000000Z", query_error),
        ("root%2F20130524", "root%2F20130523", query_error),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Security-Token=t", "InvalidToken"),
        ("=host&", "=x&", "AccessDenied"),
    ] {
        assert_eq!(code(&request(&target((from, to)), &[])), expected, "{to}");
    }
    assert_eq!(code(&request(&target(("", "")), &[("x-amz-acl", "private")])), "AccessDenied");
}

#[test]
fn a_changed_secret_is_not_served_from_the_key_cache() {
    let cache = SigningKeyCache::new();
    let scope = CredentialScope::parse("root/20130524/us-east-1/s3/aws4_request").unwrap();
    let old = SecretKey::new("old");
    cache.put(&scope, &old, &SigningKey::derive(&old, scope.day, scope.region));
    assert!(cache.get(&scope, &old).is_some());
    assert!(cache.get(&scope, &SecretKey::new("new")).is_none());
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let credentials = Credentials::new("root", "very-secret");
    let key = SigningKey::derive(&credentials.secret_key, "20130524", "us-east-1");
    let text = format!(
        "{credentials:?} {key:?} {:?} {:?}",
        key.sign(b"x"),
        StaticCredentials::root(credentials.clone())
    );
    assert!(!text.contains("very-secret") && text.contains("redacted"), "{text}");
}
