use http::HeaderValue;

use super::*;

fn routed(method: &str, scope: Scope, query: &str, copy: bool) -> S3Result<Operation> {
    let mut headers = HeaderMap::new();
    if copy {
        headers.insert("x-amz-copy-source", HeaderValue::from_static("b/k"));
    }
    route(&method.parse().unwrap(), scope, &Query::parse(Some(query)).unwrap(), &headers)
}

/// A request as botocore would send it.
fn canonical_query(operation: Operation) -> Option<String> {
    Some(match operation.selector() {
        Selector::Plain | Selector::Copy => String::new(),
        Selector::Subresource(name) => name.to_owned(),
        Selector::SubresourceWithId(name) => format!("{name}&id=x"),
        Selector::NamedAnnotation => "annotation&annotationName=x".to_owned(),
        Selector::Upload | Selector::UploadCopy => "uploadId=u&partNumber=1".to_owned(),
        Selector::ListType2 => "list-type=2".to_owned(),
        Selector::ObjectLambda | Selector::Elsewhere(_) => return None,
    })
}

#[test]
fn every_operation_is_reached_by_its_own_request() {
    let mut reached = 0;
    for operation in Operation::ALL.iter().copied() {
        let Some(query) = canonical_query(operation) else { continue };
        let copy = matches!(operation.selector(), Selector::Copy | Selector::UploadCopy);
        let found = routed(operation.method().as_str(), operation.scope(), &query, copy).unwrap();
        assert_eq!(found, operation, "{operation}");
        reached += 1;
    }
    assert_eq!((Operation::ALL.len(), reached), (116, 110));
}

#[test]
fn missing_operations_are_not_mistaken_for_plain_ones() {
    for (method, scope, query, expected) in [
        ("PUT", Scope::Object, "acl", Operation::PutObjectAcl),
        ("PUT", Scope::Object, "tagging&x-id=PutObjectTagging", Operation::PutObjectTagging),
        ("PUT", Scope::Object, "versionId=1&retention=", Operation::PutObjectRetention),
        // Before the table had it, this replaced the object.
        ("PUT", Scope::Object, "annotation&annotationName=x", Operation::PutObjectAnnotation),
        ("DELETE", Scope::Bucket, "policy", Operation::DeleteBucketPolicy),
        ("DELETE", Scope::Object, "tagging", Operation::DeleteObjectTagging),
        ("GET", Scope::Bucket, "versions", Operation::ListObjectVersions),
        ("GET", Scope::Bucket, "analytics", Operation::ListBucketAnalyticsConfigurations),
        ("GET", Scope::Bucket, "analytics&id=1", Operation::GetBucketAnalyticsConfiguration),
        ("PUT", Scope::Bucket, "analytics", Operation::PutBucketAnalyticsConfiguration),
        ("POST", Scope::Object, "select&select-type=2", Operation::SelectObjectContent),
    ] {
        assert_eq!(routed(method, scope, query, false).unwrap(), expected, "{method} {query}");
    }
}

#[test]
fn writes_that_select_what_they_cannot_write_are_refused() {
    for (method, scope, query) in [
        ("PUT", Scope::Object, "torrent"),
        ("PUT", Scope::Object, "policy"),
        ("DELETE", Scope::Bucket, "versioning"),
        ("DELETE", Scope::Object, "acl"),
        ("PUT", Scope::Object, "uploads"),
        ("POST", Scope::Object, ""),
        ("PUT", Scope::Service, ""),
        ("PATCH", Scope::Object, ""),
    ] {
        let code = routed(method, scope, query, false).unwrap_err().code();
        assert_eq!(code, ErrorCode::MethodNotAllowed, "{method} {query}");
    }
}

#[test]
fn half_an_upload_part_is_never_a_put() {
    assert_eq!(routed("PUT", Scope::Object, "uploadId=u", false).unwrap(), Operation::UploadPart);
    assert_eq!(routed("PUT", Scope::Object, "partNumber=1", false).unwrap(), Operation::UploadPart);
    assert_eq!(routed("GET", Scope::Object, "partNumber=1", false).unwrap(), Operation::GetObject);
}

#[test]
fn unknown_parameters_are_ignored() {
    assert_eq!(routed("PUT", Scope::Object, "x-id=PutObject&foo=bar", false).unwrap(), Operation::PutObject);
    assert_eq!(routed("GET", Scope::Bucket, "prefix=a&foo", false).unwrap(), Operation::ListObjects);
    assert_eq!(routed("GET", Scope::Bucket, "list-type=1", false).unwrap(), Operation::ListObjects);
    assert_eq!(routed("GET", Scope::Object, "list-type=3", false).unwrap(), Operation::GetObject);
}

/// They listed as version 1 does, whose pages their clients cannot follow.
#[test]
fn unknown_list_types_are_refused() {
    for query in ["list-type=3", "list-type=", "list-type", "prefix=a&list-type=v2"] {
        let code = routed("GET", Scope::Bucket, query, false).unwrap_err().code();
        assert_eq!(code, ErrorCode::InvalidArgument, "{query}");
    }
}

#[test]
fn the_compatibility_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    let current = crate::compatibility::page();
    if std::env::var_os("GRANARY_UPDATE_DOCS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == current, "run the test with GRANARY_UPDATE_DOCS=1 to write docs/compatibility.md");
}
