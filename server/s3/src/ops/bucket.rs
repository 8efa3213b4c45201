//! CreateBucket, HeadBucket, DeleteBucket and GetBucketLocation.

use axum::body::Body;
use granary_auth::Principal;
use granary_engine::{BucketLock, BucketSettings, EngineError, Versioning};
use granary_types::BucketName;
use http::{HeaderName, StatusCode, header};

use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::unsupported;
use crate::xml::XmlWriter;
use crate::xml::read::Limits;
use crate::xml::requests::parse_create_bucket;

/// The region whose name S3 does not show as a location, and where creating one's own bucket again succeeds.
const LEGACY_REGION: &str = "us-east-1";

const LOCK_ENABLED: &str = "x-amz-bucket-object-lock-enabled";

/// `PUT /bucket`.
pub(super) async fn create(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    unsupported::check_write(context.headers())?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Optional).await?;
    let request = parse_create_bucket(&document)?;
    let region = region_of(request.constraint.as_deref(), &context.shared.config.region)?;
    let (engine, owner) = (&context.shared.engine, owner(&context.verified.principal));
    match engine.create_bucket_with(bucket, &region, owner, settings(context)?).await {
        // A crash in between leaves a bucket whose creation was not acknowledged.
        Ok(_) if !request.tags.is_empty() => {
            super::configs::tag_bucket(context, bucket, &request.tags).await?;
        }
        Ok(_) => {}
        Err(EngineError::BucketExists(_)) if region == LEGACY_REGION => {}
        Err(error) => return Err(error.into()),
    }
    let mut response = respond::empty(StatusCode::OK);
    respond::set(response.headers_mut(), header::LOCATION, format!("/{bucket}"));
    Ok(response)
}

/// A bucket with object lock has versions too.
fn settings(context: &Context<'_>) -> S3Result<BucketSettings> {
    match context.header(LOCK_ENABLED) {
        Some(value) if value.eq_ignore_ascii_case("true") => {
            Ok(BucketSettings { versioning: Versioning::Enabled, lock: Some(BucketLock::default()) })
        }
        Some(value) if !value.eq_ignore_ascii_case("false") => {
            Err(S3Error::invalid_argument(LOCK_ENABLED, value, "The value must be true or false"))
        }
        _ => Ok(BucketSettings::default()),
    }
}

/// Who a request acts for, as the engine remembers it.
pub(super) fn owner(principal: &Principal) -> &str {
    match principal {
        Principal::Root { access_key } => access_key,
        Principal::Anonymous => "anonymous",
    }
}

/// The region of a new bucket: the store's, whether named or not. In us-east-1, AWS has no name for it.
///
/// # Errors
/// `IllegalLocationConstraintException` for another region, `InvalidLocationConstraint` for what is none.
fn region_of(constraint: Option<&str>, own: &str) -> S3Result<String> {
    let Some(constraint) = constraint else { return Ok(own.to_owned()) };
    let region = if constraint == "EU" { "eu-west-1" } else { constraint };
    if region == LEGACY_REGION || (region != own && !is_region(region)) {
        return Err(
            S3Error::new(ErrorCode::InvalidLocationConstraint).field("LocationConstraint", constraint)
        );
    }
    if region != own {
        return Err(S3Error::with_message(
            ErrorCode::IllegalLocationConstraintException,
            format!(
                "The {constraint} location constraint is incompatible for the region specific endpoint this request \
                 was sent to."
            ),
        ));
    }
    Ok(own.to_owned())
}

/// Whether it looks like the name of a region of AWS: `eu-west-1`, `us-gov-east-1`.
fn is_region(name: &str) -> bool {
    let Some((place, number)) = name.rsplit_once('-') else { return false };
    let is_word = |word: &str| word.len() >= 2 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let words = place.split('-').count();
    (2..=3).contains(&words)
        && place.split('-').all(is_word)
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `HEAD /bucket`.
pub(super) async fn head(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.bucket(bucket).await?;
    let mut response = respond::empty(StatusCode::OK);
    let headers = response.headers_mut();
    // Clients sign for the region they read here, so it must be the store's even where the bucket is older than
    // the store's present region.
    let region = context.shared.config.region.as_str();
    respond::set(headers, HeaderName::from_static("x-amz-bucket-region"), region);
    respond::set(headers, HeaderName::from_static("x-amz-access-point-alias"), "false");
    respond::set(headers, header::CONTENT_TYPE, "application/xml");
    Ok(response)
}

/// `DELETE /bucket`.
pub(super) async fn delete(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.delete_bucket(bucket).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// `GET /bucket?location`.
pub(super) async fn location(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    context.shared.engine.bucket(bucket).await?;
    let mut xml = XmlWriter::document("LocationConstraint");
    let region = context.shared.config.region.as_str();
    if region != LEGACY_REGION {
        xml.content(region);
    }
    Ok(respond::xml(xml.finish("LocationConstraint")))
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
