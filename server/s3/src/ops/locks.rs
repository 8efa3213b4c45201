//! Object lock: of buckets, and the retention and legal hold of versions.

use axum::body::Body;
use granary_engine::{BucketChange, EngineError, LegalHold, LockChange, ObjectLock};
use granary_types::{BucketName, UnixMillis};
use http::StatusCode;

use super::{ObjectAddress, version};
use crate::access::{self, Target};
use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::locks;
use crate::operation::Operation;
use crate::respond::{self, S3Response};
use crate::xml::XmlWriter;
use crate::xml::read::Limits;

/// `GET /bucket?object-lock`.
pub(super) async fn get_configuration(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let settings = context.shared.engine.bucket_settings(bucket).await?;
    let lock = settings.lock.ok_or(ErrorCode::ObjectLockConfigurationNotFoundError)?;
    Ok(respond::xml(locks::configuration_document(lock)))
}

/// `PUT /bucket?object-lock`.
pub(super) async fn put_configuration(
    context: &Context<'_>,
    bucket: &BucketName,
    body: Body,
) -> S3Result<S3Response> {
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Required).await?;
    let lock = locks::parse_configuration(&document)?;
    let changed = context.shared.engine.change_bucket(bucket, BucketChange::SetLock(lock)).await;
    changed.map_err(|error| match error {
        EngineError::BucketSettings(_) => S3Error::with_message(
            ErrorCode::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ),
        other => other.into(),
    })?;
    Ok(respond::empty(StatusCode::OK))
}

/// The locks of the version that a request names, in a bucket that has object lock.
async fn locks_of(context: &Context<'_>, object: &ObjectAddress) -> S3Result<ObjectLock> {
    check_bucket(context, object).await?;
    let opened = version::open(context, object, context.query.get("versionId")).await?;
    Ok(opened.info().lock)
}

async fn check_bucket(context: &Context<'_>, object: &ObjectAddress) -> S3Result<()> {
    let found = context.shared.engine.bucket(&object.bucket).await?;
    if found.settings.lock.is_none() {
        return Err(EngineError::BucketNotLocked(found.name).into());
    }
    Ok(())
}

async fn change(context: &Context<'_>, object: &ObjectAddress, change: LockChange) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let version = version::named(version_id)?;
    let engine = &context.shared.engine;
    let changed = engine.change_object_lock(&object.bucket, &object.key, version, change).await;
    changed.map_err(|error| version::not_found(error, context, object, version_id))?;
    Ok(respond::empty(StatusCode::OK))
}

/// `GET /bucket/key?retention`.
pub(super) async fn get_retention(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let retention = locks_of(context, object).await?.retention;
    let retention = retention.ok_or(ErrorCode::NoSuchObjectLockConfiguration)?;
    Ok(respond::xml(locks::retention_document(retention)))
}

/// `PUT /bucket/key?retention`.
pub(super) async fn put_retention(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    check_bucket(context, object).await?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Required).await?;
    let retention = locks::parse_retention(&document)?;
    let mode = retention.map(|retention| locks::mode_name(retention.mode));
    let until = retention.map(|retention| retention.until);
    let add = |values: &mut _| access::of_lock(values, mode, until, None);
    let target = Target::object(&object.bucket, &object.key, context.query.get("versionId"));
    access::authorise_body(context, Operation::PutObjectRetention, target, &add).await?;
    let bypass = access::bypass(context, target).await?;
    change(context, object, LockChange::Retention { retention, at: UnixMillis::now(), bypass }).await
}

/// `GET /bucket/key?legal-hold`.
pub(super) async fn get_legal_hold(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let status = match locks_of(context, object).await?.legal_hold {
        LegalHold::Unset => return Err(ErrorCode::NoSuchObjectLockConfiguration.into()),
        LegalHold::Off => "OFF",
        LegalHold::On => "ON",
    };
    let mut xml = XmlWriter::document("LegalHold");
    xml.literal("Status", status);
    Ok(respond::xml(xml.finish("LegalHold")))
}

/// `PUT /bucket/key?legal-hold`.
pub(super) async fn put_legal_hold(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    check_bucket(context, object).await?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Required).await?;
    let hold = locks::parse_legal_hold(&document)?;
    let status = if hold == LegalHold::On { "ON" } else { "OFF" };
    let add = |values: &mut _| access::of_lock(values, None, None, Some(status));
    let target = Target::object(&object.bucket, &object.key, context.query.get("versionId"));
    access::authorise_body(context, Operation::PutObjectLegalHold, target, &add).await?;
    change(context, object, LockChange::LegalHold(hold)).await
}
