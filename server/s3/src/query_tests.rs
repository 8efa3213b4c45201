use super::*;

#[test]
fn parameters_are_decoded_and_found() {
    let query = Query::parse(Some("acl&prefix=a%2Fb+c&x=1&x=2&&empty=")).unwrap();
    assert_eq!(query.get("acl"), Some(""));
    assert_eq!(query.get("prefix"), Some("a/b c"));
    assert_eq!(query.get("x"), Some("1"));
    assert_eq!(query.get("y"), None);
    assert_eq!((query.get("empty"), query.non_empty("empty")), (Some(""), None));
    assert!(Query::parse(None).unwrap().is_empty());
}

#[test]
fn bad_queries_are_invalid_uris() {
    for bad in ["a=%ff", "%=1", "a=%4"] {
        assert_eq!(Query::parse(Some(bad)).unwrap_err().code(), ErrorCode::InvalidURI, "{bad}");
    }
    let many = "a&".repeat(129);
    assert_eq!(Query::parse(Some(&many)).unwrap_err().code(), ErrorCode::InvalidURI);
}
