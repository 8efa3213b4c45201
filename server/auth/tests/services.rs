//! Requests to the query APIs, signed by `aws-sigv4` as clients of IAM and STS do: without a header that tells the hash
//! of the body.
#![allow(clippy::unwrap_used, clippy::panic)] // A test that panics has failed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use granary_auth::{
    AuthError, CredentialSource, Credentials, KnownKey, Principal, RegionPolicy, SecretKey, Service,
    StaticCredentials, TokenError, Verifier,
};
use http::Request;
use http::request::Parts;
use sha2::{Digest, Sha256};

const BODY: &str = "Action=GetUser&Version=2010-05-08";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

fn signed(service: &str, token: Option<&str>) -> Parts {
    let mut request = Request::builder()
        .method("POST")
        .uri("http://store.example/")
        .header("host", "store.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .unwrap();
    let identity = SigningCredentials::from_keys("AKID", "secret", token.map(str::to_owned)).into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers: Vec<_> = request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let body = SignableBody::Bytes(BODY.as_bytes());
    let signable = SignableRequest::new("POST", "http://store.example/", headers.into_iter(), body).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request.into_parts().0
}

fn sha256(body: &str) -> String {
    hex::encode(Sha256::digest(body))
}

fn verifier() -> Verifier {
    Verifier::new(Arc::new(StaticCredentials::root(Credentials::new("AKID", "secret"))), RegionPolicy::Any)
}

#[test]
fn a_signature_is_for_one_service_and_one_body() {
    let verifier = verifier();
    let verify = |parts: &Parts, service, body| verifier.verify_query(parts, service, &sha256(body), now());
    assert!(verify(&signed("iam", None), Service::Iam, BODY).is_ok());
    assert!(verify(&signed("sts", None), Service::Sts, BODY).is_ok());
    let other = verify(&signed("iam", None), Service::Iam, "Action=DeleteUser&Version=2010-05-08");
    assert_eq!(other.unwrap_err(), AuthError::SignatureDoesNotMatch);
    for (made_for, service) in [("iam", Service::Sts), ("s3", Service::Iam), ("sts", Service::Iam)] {
        let refused = verify(&signed(made_for, None), service, BODY).unwrap_err();
        assert_eq!(refused.code(), "AuthorizationHeaderMalformed", "{made_for}");
    }
    assert_eq!(
        verifier.verify(&signed("iam", None), now()).unwrap_err().code(),
        "AuthorizationHeaderMalformed"
    );
    let anonymous = Request::new(()).into_parts().0;
    assert_eq!(verify(&anonymous, Service::Iam, BODY).unwrap_err().code(), "AccessDenied");
}

/// Knows one temporary key, by its token.
struct Temporary;

impl CredentialSource for Temporary {
    fn secret_for(&self, _: &str) -> Option<KnownKey> {
        None
    }

    fn temporary(&self, access_key: &str, token: &str, _: SystemTime) -> Result<KnownKey, TokenError> {
        match token {
            "good" => Ok(KnownKey {
                secret: SecretKey::new("secret"),
                principal: Principal::Root { access_key: access_key.into() },
            }),
            "old" => Err(TokenError::Expired),
            _ => Err(TokenError::Invalid),
        }
    }
}

#[test]
fn temporary_keys_are_found_by_their_token() {
    let verifier = Verifier::new(Arc::new(Temporary), RegionPolicy::Any);
    let verify = |token| verifier.verify_query(&signed("sts", token), Service::Sts, &sha256(BODY), now());
    assert!(verify(Some("good")).is_ok());
    assert_eq!(verify(Some("old")).unwrap_err(), AuthError::ExpiredToken);
    assert_eq!(verify(Some("bad")).unwrap_err(), AuthError::InvalidToken);
    assert_eq!(verify(None).unwrap_err(), AuthError::InvalidAccessKeyId);
    let mut unsigned = signed("sts", None);
    unsigned.headers.insert("x-amz-security-token", "good".parse().unwrap());
    let refused = verifier.verify_query(&unsigned, Service::Sts, &sha256(BODY), now());
    assert_eq!(refused.unwrap_err().code(), "AccessDenied");
}
