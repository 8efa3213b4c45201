use super::*;
use crate::error::ErrorCode;

/// A key in an error page was a way to run a script on the website.
#[tokio::test]
async fn what_the_client_sent_is_escaped() {
    let shown = S3Error::new(ErrorCode::NoSuchKey).field("Key", "<script>alert('1')&\"</script>");
    let response = error(&Method::GET, &shown);
    assert_eq!(response.status(), 404);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let page = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        page.contains("<li>Key: &lt;script&gt;alert(&#39;1&#39;)&amp;&quot;&lt;/script&gt;</li>"),
        "{page}"
    );
}
