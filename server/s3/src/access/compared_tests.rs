use granary_auth::AuthMethod;
use http::Request;

use super::*;
use crate::query::Query;

fn values(operation: Operation) -> [Option<String>; 3] {
    values_beside(operation, "*")
}

fn values_beside(operation: Operation, if_none_match: &str) -> [Option<String>; 3] {
    let request = Request::builder().method(operation.method()).uri("/b/k");
    let request = request.header("if-match", "\"a\"").header("if-none-match", if_none_match);
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let query = Query::parse(None).unwrap();
    let mut values = Values::new();
    of_headers(&Sent { parts: &parts, query: &query, method: AuthMethod::Header, operation }, &mut values);
    let keys = ["s3:if-match", "s3:if-none-match", "s3:ObjectCreationOperation"];
    keys.map(|key| values.single(key).map(str::to_owned))
}

#[test]
fn conditions_count_where_an_operation_takes_them() {
    let some = |text: &str| Some(text.to_owned());
    for operation in [Operation::PutObject, Operation::CopyObject, Operation::CompleteMultipartUpload] {
        assert_eq!(values(operation), [some("\"a\""), some("*"), some("true")], "{operation}");
    }
    for operation in [Operation::CreateMultipartUpload, Operation::UploadPart, Operation::UploadPartCopy] {
        assert_eq!(values(operation), [None, None, some("false")], "{operation}");
    }
    assert_eq!(values(Operation::DeleteObject), [some("\"a\""), None, None]);
    for operation in [Operation::DeleteObjects, Operation::PutObjectTagging, Operation::GetObject] {
        assert_eq!(values(operation), [None, None, None], "{operation}");
    }
}

/// A policy that asks for writes that overwrite nothing was passed by with a tag that no object has.
#[test]
fn a_tag_is_no_condition_that_nothing_is_overwritten() {
    for value in ["\"nope\"", "nope", "", "W/\"x\"", "*, \"a\""] {
        assert_eq!(values_beside(Operation::PutObject, value)[1], None, "{value}");
    }
    assert_eq!(values_beside(Operation::PutObject, " * ")[1].as_deref().map(str::trim), Some("*"));
}
