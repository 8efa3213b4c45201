use super::*;

fn parts(text: &str) -> (String, String, Option<String>) {
    let source = CopySourceHeader::parse(text).unwrap();
    (source.bucket.to_string(), source.key.into_string(), source.version_id)
}

#[test]
fn forms_that_clients_send() {
    let plain = ("bucket".to_owned(), "a/b".to_owned(), None);
    for text in ["bucket/a/b", "/bucket/a/b", "bucket/a%2Fb", "%2Fbucket%2Fa%2Fb"] {
        assert_eq!(parts(text), plain, "{text}");
    }
    assert_eq!(parts("bucket/k?versionId=null").2.as_deref(), Some("null"));
    assert_eq!(parts("bucket/k%3FversionId=null").1, "k?versionId=null");
    assert_eq!(parts("bucket/a+b%2520c").1, "a+b%20c");
    assert_eq!(parts("bucket//a").1, "/a");
}

#[test]
fn what_names_no_object_is_refused() {
    for text in ["", "/", "bucket", "bucket/", "/bucket/", "//key", "bucket/k?x=1", "bucket/%zz"] {
        assert_eq!(CopySourceHeader::parse(text).unwrap_err().code(), ErrorCode::InvalidArgument, "{text}");
    }
    assert_eq!(CopySourceHeader::parse("B/k").unwrap_err().code(), ErrorCode::InvalidBucketName);
    let long = format!("bucket/{}", "k".repeat(1025));
    assert_eq!(CopySourceHeader::parse(&long).unwrap_err().code(), ErrorCode::KeyTooLongError);
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,40}") {
        let _ = CopySourceHeader::parse(&text);
    }
}
