use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::Request;
use http::request::Parts;

use super::*;
use crate::credentials::{Credentials, Principal, StaticCredentials};
use crate::verifier::RegionPolicy;

/// The keys of AWS's examples.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "awsexamplebucket1";
const NOW_S: u64 = 1_175_024_202;
const DATE: &str = "Tue, 27 Mar 2007 19:36:42 +0000";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verifier() -> Verifier {
    let source = StaticCredentials::root(Credentials::new(KEY, SECRET));
    Verifier::new(Arc::new(source), RegionPolicy::OneOf(vec!["us-west-1".to_owned()]))
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn signed(method: &str, target: &str, signature: &str, headers: &[(&str, &str)]) -> Parts {
    let authorization = format!("AWS {KEY}:{signature}");
    let headers: Vec<_> =
        [("authorization", authorization.as_str())].into_iter().chain(headers.iter().copied()).collect();
    request(method, target, &headers)
}

fn verify(parts: &Parts, bucket: Option<&str>, now_s: u64) -> Result<AuthMethod, &'static str> {
    assert!(is_signed_v2(parts));
    match verifier().verify_v2(parts, bucket, at(now_s)) {
        Ok(verified) => {
            assert_eq!(verified.principal, Principal::Root { access_key: KEY.into() });
            Ok(verified.method)
        }
        Err(error) => Err(error.code()),
    }
}

/// A request of the moment, signed here.
fn sign(method: &str, target: &str, headers: &[(&str, &str)], text: &str) -> Parts {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    signed(method, target, &BASE64.encode(mac.finalize().into_bytes()), headers)
}

/// Source: "Authentication examples" of AWS's page on version 2.
#[test]
fn the_examples_of_aws_are_accepted() {
    let date = |date| [("date", date)];
    let get = signed("GET", "/photos/puppy.jpg", "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=", &date(DATE));
    assert_eq!(verify(&get, Some(BUCKET), NOW_S), Ok(AuthMethod::HeaderV2));
    let list = signed(
        "GET",
        "/?prefix=photos&max-keys=50&marker=puppy",
        "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        &date("Tue, 27 Mar 2007 19:42:41 +0000"),
    );
    assert_eq!(verify(&list, Some(BUCKET), NOW_S), Ok(AuthMethod::HeaderV2));
    let acl =
        signed("GET", "/?acl", "82ZHiFIjc+WbcwFKGUVEQspPn+0=", &date("Tue, 27 Mar 2007 19:44:46 +0000"));
    assert_eq!(verify(&acl, Some(BUCKET), NOW_S), Ok(AuthMethod::HeaderV2));
    let upload = signed(
        "PUT",
        "/db-backup.dat.gz",
        "jtBQa0Aq+DkULFI8qrpwIjGEx0E=",
        &[
            ("date", "Tue, 27 Mar 2007 21:06:08 +0000"),
            ("x-amz-acl", "public-read"),
            ("content-type", "application/x-download"),
            ("content-md5", "4gJE4saaMU4BqNR0kLY+lw=="),
            ("x-amz-meta-reviewedby", "joe@example.com"),
            ("x-amz-meta-reviewedby", "jane@example.com"),
            ("x-amz-meta-filechecksum", "0x02661779"),
            ("x-amz-meta-checksumalgorithm", "crc32"),
            ("content-disposition", "attachment; filename=database.dat"),
        ],
    );
    assert_eq!(verify(&upload, Some("static.example.com"), NOW_S + 5366), Ok(AuthMethod::HeaderV2));
}

#[test]
fn the_bucket_of_the_host_and_of_the_path_are_signed_alike() {
    let target = format!("/{BUCKET}/photos/puppy.jpg");
    let by_path = signed("GET", &target, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=", &[("date", DATE)]);
    assert_eq!(verify(&by_path, None, NOW_S), Ok(AuthMethod::HeaderV2));
    assert_eq!(verify(&by_path, Some("other"), NOW_S), Err("SignatureDoesNotMatch"));
}

#[test]
fn a_bucket_is_signed_with_a_slash_behind_it() {
    for (target, bucket, signed) in
        [("/b", None, "/b/"), ("/b/", None, "/b/"), ("/", None, "/"), ("/", Some("b"), "/b/")]
    {
        let parts = sign("GET", target, &[("date", DATE)], &format!("GET\n\n\n{DATE}\n{signed}"));
        assert_eq!(verify(&parts, bucket, NOW_S), Ok(AuthMethod::HeaderV2), "{target}");
    }
}

#[test]
fn whatever_is_signed_must_be_as_it_was_signed() {
    let signature = "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=";
    let date = [("date", DATE)];
    let more = |name: &'static str, value: &'static str| vec![("date", DATE), (name, value)];
    for (parts, expected) in [
        (signed("PUT", "/photos/puppy.jpg", signature, &date), "SignatureDoesNotMatch"),
        (signed("GET", "/photos/puppy.jpg?acl", signature, &date), "SignatureDoesNotMatch"),
        (
            signed("GET", "/photos/puppy.jpg", signature, &more("x-amz-acl", "private")),
            "SignatureDoesNotMatch",
        ),
        (
            signed("GET", "/photos/puppy.jpg", signature, &more("content-type", "a/b")),
            "SignatureDoesNotMatch",
        ),
        (
            signed("GET", "/photos/puppy.jpg", signature, &[("date", "Tue, 27 Mar 2007 19:36:43 +0000")]),
            "SignatureDoesNotMatch",
        ),
        (signed("GET", "/photos/puppy.jpg", signature, &[]), "AccessDenied"),
        (signed("GET", "/photos/puppy.jpg", signature, &more("date", DATE)), "InvalidRequest"),
        (signed("GET", "/photos/puppy.jpg", "", &date), "SignatureDoesNotMatch"),
        (signed("GET", "/photos/puppy.jpg", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", &date), "SignatureDoesNotMatch"),
        (signed("GET", "/photos/puppy.jpg?Signature=x", signature, &date), "InvalidArgument"),
    ] {
        assert_eq!(verify(&parts, Some(BUCKET), NOW_S), Err(expected), "{parts:?}");
    }
    let get = signed("GET", "/photos/puppy.jpg", signature, &date);
    assert_eq!(verify(&get, Some(BUCKET), NOW_S + 901), Err("RequestTimeTooSkewed"));
    assert_eq!(verify(&get, Some(BUCKET), NOW_S - 901), Err("RequestTimeTooSkewed"));
}

#[test]
fn the_date_may_be_among_the_signed_headers() {
    let headers = [("date", "Tue, 27 Mar 2007 00:00:00 +0000"), ("x-amz-date", DATE)];
    let parts = sign("DELETE", "/b/k", &headers, &format!("DELETE\n\n\n\nx-amz-date:{DATE}\n/b/k"));
    assert_eq!(verify(&parts, None, NOW_S), Ok(AuthMethod::HeaderV2));
}

#[test]
fn parameters_that_the_signature_does_not_cover_are_refused() {
    let text = format!("PUT\n\n\n{DATE}\n/b/k");
    for parameter in [
        "renameObject",
        "legal-hold",
        "retention",
        "attributes",
        "select",
        "encryption",
        "x-amz-acl=public-read",
        "unknown=1",
    ] {
        let parts = sign("PUT", &format!("/b/k?{parameter}"), &[("date", DATE)], &text);
        assert_eq!(verify(&parts, None, NOW_S), Err("InvalidRequest"), "{parameter}");
    }
    let covered = sign(
        "PUT",
        "/b/k?uploadId=u&partNumber=1",
        &[("date", DATE)],
        &format!("{text}?partNumber=1&uploadId=u"),
    );
    assert_eq!(verify(&covered, None, NOW_S), Ok(AuthMethod::HeaderV2));
    // Signed as one value, it must not be sent as two parameters, nor the other way round.
    let text = format!("GET\n\n\n{DATE}\n/b/k?response-expires=1&uploadId=u");
    let one = sign("GET", "/b/k?response-expires=1%26uploadId%3Du", &[("date", DATE)], &text);
    assert_eq!(verify(&one, None, NOW_S), Err("InvalidRequest"));
}

fn url(target: &str, expires: &str, text: &str) -> Parts {
    let signed = sign("GET", "/", &[], text);
    let signature = signed.headers["authorization"].to_str().unwrap().rsplit_once(':').unwrap().1;
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let separator = if target.contains('?') { '&' } else { '?' };
    request(
        "GET",
        &format!("{target}{separator}AWSAccessKeyId={KEY}&Expires={expires}&Signature={signature}"),
        &[],
    )
}

#[test]
fn presigned_urls_are_good_until_they_expire() {
    let good = url(
        "/b/k?response-content-type=text%2Fplain",
        "1175139620",
        "GET\n\n\n1175139620\n/b/k?response-content-type=text/plain",
    );
    assert_eq!(verify(&good, None, 1_175_139_620), Ok(AuthMethod::PresignedV2));
    assert_eq!(verify(&good, None, 1_175_139_621), Err("AccessDenied"));
    for expires in ["", "-1", "+1175139620", "1e9", "99999999999999999999", "2007-03-27T19:36:42Z"] {
        let bad = url("/b/k", expires, &format!("GET\n\n\n{expires}\n/b/k"));
        assert_eq!(verify(&bad, None, 1_175_139_000), Err("AccessDenied"), "{expires}");
    }
    let without = request("GET", &format!("/b/k?AWSAccessKeyId={KEY}&Signature=x"), &[]);
    assert_eq!(verify(&without, None, NOW_S), Err("AccessDenied"));
    let mut other = good.clone();
    other.method = http::Method::DELETE;
    assert_eq!(verify(&other, None, NOW_S), Err("SignatureDoesNotMatch"));
    for parameter in ["prefix=x", "Expires=1", "retention"] {
        let target = format!("/b/k?{parameter}");
        let parts = url(&target, "1175139620", "GET\n\n\n1175139620\n/b/k");
        assert_eq!(verify(&parts, None, NOW_S), Err("InvalidRequest"), "{parameter}");
    }
}

#[test]
fn the_token_of_a_presigned_url_is_signed_as_a_header() {
    let text = "GET\n\n\n1175139620\nx-amz-security-token:t\n/b/k";
    let parts = url("/b/k?x-amz-security-token=t", "1175139620", text);
    // Nobody issued it, which is found before the signature is looked at.
    assert_eq!(verify(&parts, None, NOW_S), Err("InvalidToken"));
    let mut twice = parts;
    twice.headers.insert("x-amz-security-token", "t".parse().unwrap());
    assert_eq!(verify(&twice, None, NOW_S), Err("InvalidToken"));
}

#[test]
fn what_is_covered_is_sorted_so_that_it_is_found() {
    assert!(COVERED.is_sorted());
}
