use granary_types::BucketName;

use super::super::parser::Field;
use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const EXPIRATION: &str = "\"expiration\": \"2030-01-01T00:00:00Z\"";

fn parse(document: &str) -> S3Result<Policy> {
    Policy::parse(&BASE64.encode(document))
}

fn with_conditions(conditions: &str) -> S3Result<Policy> {
    parse(&format!("{{{EXPIRATION}, \"conditions\": [{conditions}]}}"))
}

fn fields(sent: &[(&str, &str)]) -> Fields {
    let sent =
        sent.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: (*value).to_owned() });
    Fields::new(sent.collect(), &BucketName::new("bucket").unwrap()).unwrap()
}

fn check(conditions: &str, sent: &[(&str, &str)]) -> Result<(), String> {
    let conditions = format!("{{\"bucket\": \"bucket\"}}, {conditions}");
    let policy = with_conditions(&conditions).unwrap();
    policy.check(&fields(sent), SignatureVersion::V4, NOW).map_err(|error| {
        assert_eq!(error.code(), ErrorCode::AccessDenied);
        error.message().to_owned()
    })
}

#[test]
fn conditions_decide() {
    let key = [("key", "user/a.txt")];
    assert_eq!(check(r#"["starts-with", "$key", "user/"]"#, &key), Ok(()));
    assert_eq!(check(r#"["StArTs-WiTh", "$KeY", ""]"#, &key), Ok(()));
    assert_eq!(check(r#"["eq", "$key", "user/a.txt"]"#, &key), Ok(()));
    assert_eq!(check(r#"{"Key": "user/a.txt"}"#, &key), Ok(()));
    let failed = "Invalid according to Policy: Policy Condition failed: [\"eq\", \"$key\", \"user/\"]";
    assert_eq!(check(r#"["eq", "$key", "user/"]"#, &key).unwrap_err(), failed);
    assert!(check(r#"{"key": "user/a.txt"}, ["starts-with", "$key", "other/"]"#, &key).is_err());
    assert!(check(r#"{"key": "user/a.txt"}, {"acl": "private"}"#, &key).is_err(), "not sent");
    assert!(check(r#"{"key": "user/a.txt"}, ["starts-with", "$x-amz-meta-a", "b"]"#, &key).is_err());
    assert_eq!(check(r#"{"key": "user/a.txt"}, ["starts-with", "$x-amz-meta-a", ""]"#, &key), Ok(()));
}

#[test]
fn every_field_must_be_spoken_of() {
    let any_key = r#"["starts-with", "$key", ""]"#;
    let extra = "Invalid according to Policy: Extra input fields: x-amz-meta-a, acl";
    let sent = [("key", "k"), ("x-amz-meta-a", "1"), ("acl", "public-read")];
    assert_eq!(check(any_key, &sent).unwrap_err(), extra);
    let signed = [("key", "k"), ("policy", "p"), ("X-Amz-Signature", "s"), ("x-ignore-me", "1")];
    assert_eq!(check(any_key, &signed), Ok(()));
    // What signs a form of the other version is a field as any other.
    assert!(check(any_key, &[("key", "k"), ("AWSAccessKeyId", "a")]).is_err());
    assert!(check(any_key, &[("key", "k"), ("x-amz-credential", "c")]).is_err());
    let version_2 = with_conditions(&format!("{any_key}, {{\"bucket\": \"bucket\"}}")).unwrap();
    let sent = fields(&[("key", "k"), ("AWSAccessKeyId", "a"), ("Signature", "s")]);
    assert!(version_2.check(&sent, SignatureVersion::V2, NOW).is_ok());
    let error = version_2.check(&sent, SignatureVersion::V4, NOW).unwrap_err();
    assert!(error.message().ends_with("awsaccesskeyid, signature"), "{error}");
    // The bucket is one, whether it is sent or not.
    let without = with_conditions(any_key).unwrap();
    assert!(without.check(&fields(&[("key", "k")]), SignatureVersion::V4, NOW).is_err());
}

#[test]
fn the_bucket_is_the_one_of_the_request() {
    let policy = with_conditions(r#"{"bucket": "other"}, ["starts-with", "$key", ""]"#).unwrap();
    let sent = fields(&[("key", "k"), ("bucket", "other")]);
    assert!(policy.check(&sent, SignatureVersion::V4, NOW).is_err());
}

#[test]
fn content_types_may_be_lists() {
    let images = r#"["starts-with", "$key", ""], ["starts-with", "$Content-Type", "image/"]"#;
    assert_eq!(check(images, &[("key", "k"), ("Content-Type", "image/jpeg, image/png")]), Ok(()));
    assert!(check(images, &[("key", "k"), ("Content-Type", "image/jpeg,text/html")]).is_err());
}

#[test]
fn policies_end() {
    let policy = with_conditions(r#"{"bucket": "bucket"}, ["starts-with", "$key", ""]"#).unwrap();
    let sent = fields(&[("key", "k")]);
    let end = parse_iso_millis("2030-01-01T00:00:00Z").unwrap();
    assert!(policy.check(&sent, SignatureVersion::V4, UnixMillis(end.0 - 1)).is_ok());
    let error = policy.check(&sent, SignatureVersion::V4, end).unwrap_err();
    assert_eq!(error.message(), "Invalid according to Policy: Policy expired.");
}

#[test]
fn lengths_are_restricted() {
    let range = |conditions| with_conditions(conditions).unwrap().file_bytes;
    assert_eq!(range(r#"{"a": "b"}"#), (0, u64::MAX));
    assert_eq!(range(r#"["content-length-range", 1, 10]"#), (1, 10));
    assert_eq!(range(r#"["Content-Length-Range", "1", "10"], ["content-length-range", 5, 20]"#), (5, 10));
}

#[test]
fn the_notation_of_aws_is_read() {
    let document = "{ \"expiration\": \"2030-12-01T12:00:00.000Z\",\r\n  \"conditions\": [\r\n    {\"bucket\": \"bucket\" },\r\n    [\"starts-with\", \"$key\", \"us\\$er,]/\"],\r\n  ],\r\n}";
    let policy = parse(document).unwrap();
    assert!(policy.check(&fields(&[("key", "us$er,]/a")]), SignatureVersion::V4, NOW).is_ok());
    // A backslash that is one: the dollar sign behind it is a dollar sign.
    let policy = with_conditions(r#"{"bucket": "bucket"}, ["starts-with", "$key", "\\$foo"]"#).unwrap();
    assert!(policy.check(&fields(&[("key", r"\$foo.txt")]), SignatureVersion::V4, NOW).is_ok());
}

#[test]
fn what_is_no_policy_is_refused() {
    let refused = |document: &str| {
        let code = parse(document).unwrap_err().code();
        assert_eq!(code, ErrorCode::InvalidPolicyDocument, "{document}");
    };
    for document in [
        "",
        "null",
        "[]",
        "{",
        "{\"conditions\": []}",
        &format!("{{{EXPIRATION}}}"),
        &format!("{{{EXPIRATION}, \"CONDITIONS\": []}}"),
        &format!("{{{EXPIRATION}, \"conditions\": {{}}}}"),
        "{\"EXPIRATION\": \"2030-01-01T00:00:00Z\", \"conditions\": []}",
        "{\"expiration\": \"2026-11-29 09:00:00.123456+00:00\", \"conditions\": []}",
        "{\"expiration\": 5, \"conditions\": []}",
    ] {
        refused(document);
    }
    for condition in [
        "{}",
        "{\"a\": \"1\", \"b\": \"2\"}",
        "{\"a\": null}",
        "{\"a\": [1]}",
        "5",
        "[]",
        "[\"eq\", \"$key\"]",
        "[\"eq\", \"key\", \"a\"]",
        "[\"eq\", \"$key\", \"a\", \"b\"]",
        "[\"like\", \"$key\", \"a\"]",
        "[\"content-length-range\", 0]",
        "[\"content-length-range\", -1, 0]",
        "[\"content-length-range\", 5, 4]",
        "[\"content-length-range\", 0, 1.5]",
    ] {
        refused(&format!("{{{EXPIRATION}, \"conditions\": [{condition}]}}"));
    }
    for field in ["not base64!", "gA==", &BASE64.encode(vec![b'['; 10_000])] {
        assert_eq!(Policy::parse(field).unwrap_err().code(), ErrorCode::InvalidPolicyDocument);
    }
}
