use granary_tests::signer::UNSIGNED_PAYLOAD;
use time::{Duration, OffsetDateTime};

use crate::{BUCKET, REGION, Target, assert_refused};

#[tokio::test]
async fn wrong_header_signatures_are_refused() {
    let target = Target::start().await;
    let now = OffsetDateTime::now_utc();

    let mut wrong_secret = target.signer.clone();
    wrong_secret.secret_key.push('x');
    let mut request = target.put("k");
    wrong_secret.sign(&mut request, UNSIGNED_PAYLOAD, now);
    assert_refused("wrong secret", &target.send(&request, b"x").await, 403, "SignatureDoesNotMatch");

    let mut unknown = target.signer.clone();
    unknown.access_key = "AKIANOBODY".to_owned();
    let mut request = target.put("k");
    unknown.sign(&mut request, UNSIGNED_PAYLOAD, now);
    assert_refused("unknown key", &target.send(&request, b"x").await, 403, "InvalidAccessKeyId");

    let mut request = target.put("k").header("x-amz-meta-a", "1");
    target.signer.sign(&mut request, UNSIGNED_PAYLOAD, now);
    let altered = request.clone().header("x-amz-meta-a", "2");
    assert_refused("altered header", &target.send(&altered, b"x").await, 403, "SignatureDoesNotMatch");
    let mut moved = request.clone();
    moved.path = format!("/{BUCKET}/other");
    assert_refused("altered path", &target.send(&moved, b"x").await, 403, "SignatureDoesNotMatch");
    let asked = request.clone().query("acl", "");
    assert_refused("added query", &target.send(&asked, b"x").await, 403, "SignatureDoesNotMatch");
    let unsigned = request.clone().header("x-amz-storage-class", "GLACIER");
    assert_refused("unsigned x-amz header", &target.send(&unsigned, b"x").await, 403, "AccessDenied");
    let mut method = request.clone();
    method.method = "DELETE".to_owned();
    assert_refused("altered method", &target.send(&method, b"").await, 403, "SignatureDoesNotMatch");
    target.assert_unharmed().await;
}

#[tokio::test]
async fn wrong_times_and_scopes_are_refused() {
    let target = Target::start().await;
    let now = OffsetDateTime::now_utc();
    for skew in [Duration::minutes(-20), Duration::minutes(20)] {
        let mut request = target.put("k");
        target.signer.sign(&mut request, UNSIGNED_PAYLOAD, now + skew);
        assert_refused("skewed", &target.send(&request, b"x").await, 403, "RequestTimeTooSkewed");
    }
    for region in ["mars north", "eu-west-1", "us-east-11", "US-EAST-1"] {
        let mut elsewhere = target.signer.clone();
        elsewhere.region = region.to_owned();
        let mut request = target.put("k");
        elsewhere.sign(&mut request, UNSIGNED_PAYLOAD, now);
        let response = target.send(&request, b"x").await;
        assert_refused(region, &response, 400, "AuthorizationHeaderMalformed");
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let names_region = text.contains(&format!("<Region>{REGION}</Region>"));
        assert_eq!(names_region, region != "mars north", "{text}");
    }

    assert_refused("anonymous", &target.send(&target.put("k"), b"x").await, 403, "AccessDenied");
    for garbage in ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b/c", "Bearer x", "AWS a:b", "\u{7f}"]
    {
        let response = target.send(&target.put("k").header("authorization", garbage), b"x").await;
        assert!(matches!(response.status, 400 | 403), "{garbage:?}: {}", response.status);
    }
    let huge = "a".repeat(10_000);
    let response = target.send(&target.put("k").header("authorization", &huge), b"x").await;
    assert!(matches!(response.status, 400 | 403 | 431), "huge authorization: {}", response.status);
    target.assert_unharmed().await;
}

#[tokio::test]
async fn wrong_presigned_urls_are_refused() {
    let target = Target::start().await;
    let now = OffsetDateTime::now_utc();
    let presigned = |expires_s, at| {
        let mut request = target.put("k");
        target.signer.presign(&mut request, expires_s, at);
        request
    };
    let expired = target.send(&presigned(60, now - Duration::minutes(5)), b"x").await;
    assert_refused("expired", &expired, 403, "AccessDenied");
    let week_and_more = target.send(&presigned(604_801, now), b"x").await;
    assert_refused("over a week", &week_and_more, 400, "AuthorizationQueryParametersError");
    let mut longer = presigned(60, now);
    for (name, value) in &mut longer.query {
        if name == "X-Amz-Expires" {
            *value = "61".to_owned();
        }
    }
    assert_refused("stretched", &target.send(&longer, b"x").await, 403, "SignatureDoesNotMatch");
    let with_header = presigned(60, now).header("x-amz-meta-sneaky", "1");
    assert_refused("unsigned header", &target.send(&with_header, b"x").await, 403, "AccessDenied");
    let mut twice = presigned(60, now);
    target.signer.sign(&mut twice, UNSIGNED_PAYLOAD, now);
    assert_eq!(target.send(&twice, b"x").await.status, 400, "both header and query signatures");
    target.assert_unharmed().await;
}
