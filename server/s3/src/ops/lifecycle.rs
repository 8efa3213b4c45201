//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration and DeleteBucketLifecycle.

use axum::body::Body;
use granary_types::{BucketName, WriteId};
use http::StatusCode;

use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Result};
use crate::lifecycle;
use crate::respond::{self, S3Response};

/// `GET /bucket?lifecycle`.
pub(super) async fn get(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let rules = context.shared.engine.lifecycle(bucket).await?;
    let rules = rules.ok_or(ErrorCode::NoSuchLifecycleConfiguration)?;
    let mut response = respond::xml(lifecycle::document(&rules));
    lifecycle::show_minimum(response.headers_mut(), rules.transition_minimum.as_deref());
    Ok(response)
}

/// `PUT /bucket?lifecycle`.
pub(super) async fn put(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    let engine = &context.shared.engine;
    engine.bucket(bucket).await?;
    let minimum = lifecycle::minimum(context.headers(), context.shared.config.transition_minimum)?;
    let document = context.document(body, lifecycle::LIMITS.length_bytes, Protection::Required).await?;
    let new_id = || WriteId::random().map(|id| id.to_string()).unwrap_or_default();
    let mut rules = lifecycle::parse_rules(&document, context.shared.config.dialect, new_id)?;
    // Kept with the rules even where it is the default: another default is for what comes after it, as at AWS.
    rules.transition_minimum = Some(minimum.as_str().to_owned());
    engine.set_lifecycle(bucket, Some(&rules)).await?;
    let mut response = respond::empty(StatusCode::OK);
    lifecycle::show_minimum(response.headers_mut(), rules.transition_minimum.as_deref());
    Ok(response)
}

/// `DELETE /bucket?lifecycle`.
pub(super) async fn delete(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.set_lifecycle(bucket, None).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
