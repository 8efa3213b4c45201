//! GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption.

use axum::body::Body;
use granary_engine::BucketEncryption;
use granary_types::BucketName;
use http::StatusCode;

use crate::body::Protection;
use crate::context::Context;
use crate::encryption::configuration::{LIMITS, document, parse_configuration};
use crate::error::{ErrorCode, S3Result};
use crate::respond::{self, S3Response};

/// `GET /bucket?encryption`.
pub(super) async fn get(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let found = context.shared.engine.bucket_encryption(bucket).await?;
    let of_server = context.shared.config.default_encryption.clone();
    let by_default =
        of_server.map(|default| BucketEncryption { default: Some(default), ..Default::default() });
    let found = found.or(by_default).ok_or(ErrorCode::ServerSideEncryptionConfigurationNotFoundError)?;
    Ok(respond::xml(document(&found)))
}

/// `PUT /bucket?encryption`.
pub(super) async fn put(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    let engine = &context.shared.engine;
    engine.bucket(bucket).await?;
    let text = context.document(body, LIMITS.length_bytes, Protection::Required).await?;
    engine.set_bucket_encryption(bucket, Some(&parse_configuration(&text)?)).await?;
    Ok(respond::empty(StatusCode::OK))
}

/// `DELETE /bucket?encryption`.
pub(super) async fn delete(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.set_bucket_encryption(bucket, None).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}
