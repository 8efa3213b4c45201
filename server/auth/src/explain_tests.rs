use std::time::Duration;

use http::Request;
use http::request::Parts;

use super::*;

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const AUTHORIZATION_TEXT: &str = "AWS4-HMAC-SHA256 Credential=key/20130524/us-east-1/s3/aws4_request, \
     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00ff";

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let all = [("host", "s3.example"), ("x-amz-date", "20130524T000000Z"), ("x-amz-content-sha256", SHA256)];
    let builder = Request::builder().uri(target);
    let builder = all.iter().chain(headers).fold(builder, |builder, (n, v)| builder.header(*n, *v));
    builder.body(()).unwrap().into_parts().0
}

fn at(unix_s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_s)
}

fn field(fields: &ErrorFields, name: &str) -> String {
    fields.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[test]
fn a_mismatch_did_not_say_what_was_signed() {
    let parts = request("/b/k?x=1", &[("authorization", AUTHORIZATION_TEXT)]);
    let fields = explain(&parts, at(0), &AuthError::SignatureDoesNotMatch);
    let canonical = format!(
        "GET\n/b/k\nx=1\nhost:s3.example\nx-amz-content-sha256:{SHA256}\nx-amz-date:20130524T000000Z\n\n\
         host;x-amz-content-sha256;x-amz-date\n{SHA256}"
    );
    assert_eq!(field(&fields, "CanonicalRequest"), canonical);
    let to_sign = field(&fields, "StringToSign");
    assert!(to_sign.starts_with("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"));
    assert!(to_sign.ends_with(&sha256_hex(canonical.as_bytes())));
    assert_eq!(field(&fields, "SignatureProvided"), "00ff");
    assert_eq!(field(&fields, "AWSAccessKeyId"), "key");
    assert!(field(&fields, "StringToSignBytes").starts_with("41 57 53 34"));
}

#[test]
fn a_customers_key_does_not_come_back() {
    let secret = ("x-amz-server-side-encryption-customer-key", "c2VjcmV0");
    let parts = request("/b/k", &[("authorization", AUTHORIZATION_TEXT), secret]);
    let fields = explain(&parts, at(0), &AuthError::SignatureDoesNotMatch);
    assert!(!format!("{fields:?}").contains(secret.1));
    assert!(!fields.iter().any(|(name, _)| name.starts_with("CanonicalRequest")));
}

#[test]
fn a_skew_did_not_show_the_two_times() {
    let fields = explain(&request("/", &[]), at(1_445_412_480), &AuthError::RequestTimeTooSkewed);
    assert_eq!(field(&fields, "RequestTime"), "20130524T000000Z");
    assert_eq!(field(&fields, "ServerTime"), "2015-10-21T07:28:00Z");
    assert_eq!(field(&fields, "MaxAllowedSkewMilliseconds"), "900000");
}

#[test]
fn an_expired_url_did_not_say_when() {
    let target = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F20130524%2Fus-east-1%2Fs3%2F\
                  aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    let expired = AuthError::AccessDenied(AccessDeniedReason::Expired);
    let fields = explain(&request(target, &[]), at(1_445_412_480), &expired);
    assert_eq!(field(&fields, "X-Amz-Expires"), "60");
    assert_eq!(field(&fields, "Expires"), "2013-05-24T00:01:00Z");
    assert_eq!(field(&fields, "ServerTime"), "2015-10-21T07:28:00Z");
}

#[test]
fn what_cannot_be_read_is_left_out() {
    for target in ["/", "/?X-Amz-Signature=1"] {
        let parts = request(target, &[("authorization", "AWS4-HMAC-SHA256 x")]);
        assert!(explain(&parts, at(0), &AuthError::SignatureDoesNotMatch).is_empty());
        assert!(explain(&parts, at(0), &AuthError::InvalidAccessKeyId).is_empty());
    }
}
