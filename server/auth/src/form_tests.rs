use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::credentials::{Credentials, Principal, StaticCredentials};
use crate::verifier::RegionPolicy;

/// AWS's example keys and policy.
/// Source: "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
const DATE: &str = "20151229T000000Z";
const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";

fn verifier() -> Verifier {
    let source = StaticCredentials::root(Credentials::new(ACCESS_KEY, SECRET_KEY));
    Verifier::new(Arc::new(source), RegionPolicy::OneOf(vec!["us-east-1".to_owned()]))
}

/// So many seconds after the example was signed.
fn after(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_451_347_200 + seconds)
}

fn v4() -> FormSignature<'static> {
    FormSignature::V4 { algorithm: ALGORITHM, credential: CREDENTIAL, date: DATE, signature: SIGNATURE }
}

fn code(policy: &str, signature: FormSignature<'_>, now: SystemTime) -> &'static str {
    verifier().verify_form(policy, signature, None, now).unwrap_err().code()
}

#[test]
fn the_example_of_aws_is_accepted() {
    let verified = verifier().verify_form(POLICY, v4(), None, after(60)).unwrap();
    assert_eq!(verified.principal, Principal::Root { access_key: ACCESS_KEY.into() });
    assert_eq!(verified.method, AuthMethod::Form);
}

#[test]
fn another_policy_key_or_time_is_refused() {
    assert_eq!(code(&POLICY[4..], v4(), after(60)), "SignatureDoesNotMatch");
    assert_eq!(code(POLICY, v4(), after(8 * 24 * 3600)), "AccessDenied");
    assert_eq!(code(POLICY, v4(), after(0) - Duration::from_secs(3600)), "AccessDenied");
    let changed = |change: &dyn Fn(&mut [&'static str; 4])| {
        let mut fields = [ALGORITHM, CREDENTIAL, DATE, SIGNATURE];
        change(&mut fields);
        let [algorithm, credential, date, signature] = fields;
        code(POLICY, FormSignature::V4 { algorithm, credential, date, signature }, after(60))
    };
    assert_eq!(changed(&|fields| fields[0] = "AWS4-HMAC-SHA1"), "InvalidArgument");
    assert_eq!(changed(&|fields| fields[0] = ALGORITHM_SIGV4A), "NotImplemented");
    assert_eq!(changed(&|fields| fields[1] = "AKIAIOSFODNN7EXAMPLE"), "AuthorizationHeaderMalformed");
    let other_key = "OTHER/20151229/us-east-1/s3/aws4_request";
    assert_eq!(changed(&|fields| fields[1] = other_key), "InvalidAccessKeyId");
    let other_region = "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/aws4_request";
    assert_eq!(changed(&|fields| fields[1] = other_region), "AuthorizationHeaderMalformed");
    assert_eq!(changed(&|fields| fields[2] = "20151230T000000Z"), "AuthorizationHeaderMalformed");
    assert_eq!(changed(&|fields| fields[2] = "2015-12-29T00:00:00Z"), "InvalidArgument");
    for signature in ["", "8afd", "00000000000000000000000000000000000000000000000000000000000000"] {
        let fields =
            FormSignature::V4 { algorithm: ALGORITHM, credential: CREDENTIAL, date: DATE, signature };
        assert_eq!(code(POLICY, fields, after(60)), "SignatureDoesNotMatch");
    }
    let token = verifier().verify_form(POLICY, v4(), Some("token"), after(60));
    assert_eq!(token.unwrap_err(), AuthError::InvalidToken);
}

/// The signature was made with another implementation of HMAC-SHA1.
#[test]
fn a_policy_may_be_signed_with_version_2_and_is_compared_whole() {
    let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDA3LTEyLTAxVDEyOjAwOjAwLjAwMFoiIH0=";
    let right = "AWd3f4lvbqxIlH//Gk1G0LmE5oM=";
    let signed = |access_key, signature| FormSignature::V2 { access_key, signature };
    assert!(verifier().verify_form(policy, signed(ACCESS_KEY, right), None, after(0)).is_ok());
    assert_eq!(code(policy, signed("OTHER", right), after(0)), "InvalidAccessKeyId");
    assert_eq!(code(POLICY, signed(ACCESS_KEY, right), after(0)), "SignatureDoesNotMatch");
    for wrong in ["", "=", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", &right[..24], SIGNATURE] {
        assert_eq!(code(policy, signed(ACCESS_KEY, wrong), after(0)), "SignatureDoesNotMatch", "{wrong}");
    }
}
