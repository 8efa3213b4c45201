//! GetBucketNotificationConfiguration and PutBucketNotificationConfiguration.

use axum::body::Body;
use granary_types::{BucketName, WriteId};
use http::StatusCode;

use crate::body::Protection;
use crate::context::Context;
use crate::error::S3Result;
use crate::notifications::{self, LIMITS};
use crate::respond::{self, S3Response};

/// The header by which a client asks that no test is sent.
const SKIP: &str = "x-amz-skip-destination-validation";

/// `GET /bucket?notification`.
pub(super) async fn get(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let rules = context.shared.engine.notifications(bucket).await?;
    Ok(respond::xml(notifications::document(&rules)))
}

/// `PUT /bucket?notification`. The targets get a test each.
pub(super) async fn put(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    context.shared.engine.bucket(bucket).await?;
    let document = context.document(body, LIMITS.length_bytes, Protection::Optional).await?;
    let new_id = || WriteId::random().map(|id| id.to_string()).unwrap_or_default();
    let rules = notifications::parse(&document, &context.shared.config.notification_targets, new_id)?;
    let engine = context.shared.engine.on_behalf_of(notifications::origin(context));
    engine.set_notifications(bucket, &rules).await?;
    let skips = context.header(SKIP).is_some_and(|skip| skip.eq_ignore_ascii_case("true"));
    if !skips {
        engine.test_notifications(bucket, &rules).await?;
    }
    Ok(respond::empty(StatusCode::OK))
}
