use http_body_util::BodyExt as _;

use super::*;
use crate::request_id::RequestIds;

async fn rendered(e: &S3Error, method: Method) -> (S3Response, String) {
    let ids = RequestIds::new(1, "n");
    let context =
        ErrorContext { method: &method, resource: "/b/a&b", request_id: ids.next(), host_id: ids.host_id() };
    let mut response = error(e, context);
    let body = std::mem::take(response.body_mut()).collect().await.unwrap().to_bytes();
    (response, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn errors_are_documents_with_fields_and_ids() {
    let e = S3Error::new(ErrorCode::NoSuchKey).field("Key", "a&b");
    let (response, body) = rendered(&e, Method::GET).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "application/xml");
    assert!(body.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
         <Message>The specified key does not exist.</Message><Key>a&amp;b</Key><Resource>/b/a&amp;b</Resource><RequestId>"
    ));
    assert!(body.ends_with("</RequestId><HostId>bg==</HostId></Error>"));
}

#[tokio::test]
async fn heads_and_304_have_no_body() {
    let (_, body) = rendered(&S3Error::new(ErrorCode::NoSuchKey), Method::HEAD).await;
    assert_eq!(body, "");
    let (response, body) = rendered(&S3Error::new(ErrorCode::NotModified), Method::GET).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (304, ""));
    assert!(!response.headers().contains_key("content-type"));
}

#[tokio::test]
async fn unavailable_says_when_to_retry() {
    let (response, _) = rendered(&S3Error::new(ErrorCode::SlowDown), Method::PUT).await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &RETRY_AFTER_S));
}
