use super::*;
use crate::error::ErrorCode;

fn fields(sent: &[(&str, &str)]) -> S3Result<Fields> {
    let sent =
        sent.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: (*value).to_owned() });
    Fields::new(sent.collect(), &BucketName::new("bucket").unwrap())
}

fn key(sent: &str, file_name: &str) -> String {
    let mut fields = fields(&[("KEY", sent)]).unwrap();
    fields.name_file(file_name).unwrap();
    fields.key().to_owned()
}

#[test]
fn the_key_may_name_the_file() {
    assert_eq!(key("user/${filename}", "a.txt"), "user/a.txt");
    assert_eq!(key("user/${filename}", r"C:\users\me\a.txt"), "user/a.txt");
    assert_eq!(key("user/${filename}", "../../etc/passwd"), "user/passwd");
    assert_eq!(key("plain", "a.txt"), "plain");
    let error = fields(&[]).unwrap().name_file("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.message().contains("'key'"), "{error}");
}

#[test]
fn a_field_given_twice_is_refused() {
    assert_eq!(fields(&[("key", "a"), ("Key", "b")]).unwrap_err().code(), ErrorCode::MalformedPOSTRequest);
    assert!(fields(&[("x-ignore-a", "a"), ("x-ignore-a", "b")]).is_ok());
}

#[test]
fn the_missing_field_is_named() {
    let missing = |sent: &[(&str, &str)]| {
        let fields = fields(sent).unwrap();
        let error = fields.signed_policy().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        error.fields().first().unwrap().1.clone()
    };
    assert_eq!(missing(&[("policy", "p")]), "AWSAccessKeyId");
    assert_eq!(missing(&[("policy", "p"), ("AWSAccessKeyId", "a")]), "Signature");
    assert_eq!(missing(&[("policy", "p"), ("x-amz-signature", "s")]), "X-Amz-Algorithm");
    assert_eq!(missing(&[("signature", "s")]), "policy");
    assert_eq!(missing(&[("x-amz-credential", "s")]), "policy");
    assert!(fields(&[("key", "k")]).unwrap().signed_policy().unwrap().is_none());
    let both = [
        ("policy", "p"),
        ("AWSAccessKeyId", "a"),
        ("signature", "s"),
        ("x-amz-algorithm", "1"),
        ("x-amz-credential", "2"),
        ("x-amz-date", "3"),
        ("x-amz-signature", "4"),
    ];
    let both = fields(&both).unwrap();
    let (_, _, version) = both.signed_policy().unwrap().unwrap();
    assert_eq!(version, SignatureVersion::V4, "the stronger one counts");
}

#[test]
fn fields_become_the_headers_of_a_put_and_no_others() {
    let sent = [
        ("Content-Type", "text/plain"),
        ("acl", "private"),
        ("x-amz-meta-a", "r\u{e4}d"),
        ("x-amz-storage-class", "STANDARD"),
        ("tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1/2</Value></Tag></TagSet></Tagging>"),
        ("x-amz-copy-source", "other/secret"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-write-offset-bytes", "0"),
        ("x-amz-tagging", "c=d"),
        ("host", "elsewhere"),
        ("authorization", "x"),
        ("success_action_status", "200"),
    ];
    let headers = fields(&sent).unwrap().to_headers().unwrap();
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = ["content-type", "x-amz-acl", "x-amz-meta-a", "x-amz-storage-class", "x-amz-tagging"];
    assert_eq!(names, expected);
    assert_eq!(headers.get("x-amz-tagging").unwrap(), "a%20b=1%2F2");
}

#[test]
fn line_breaks_do_not_get_into_headers() {
    for value in ["a\r\nx-amz-acl: public-read", "a\nb", "a\0b"] {
        let error = fields(&[("x-amz-meta-a", value)]).unwrap().to_headers().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
    assert!(fields(&[("x-amz-meta-a b", "c")]).unwrap().to_headers().is_err());
}
