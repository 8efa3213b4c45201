//! The handlers, one file for each family of operations.

mod acl;
mod append;
mod attributes;
mod bucket;
mod configs;
mod copy;
mod delete;
mod delete_absent;
mod encryption;
mod get;
mod lifecycle;
mod list;
mod list_versions;
mod locks;
mod multipart;
mod notification;
mod object_headers;
mod policy;
mod put;
mod rename;
mod restore;
mod service;
mod tagging;
mod torrent;
pub(crate) mod version;
mod versioning;

#[cfg(any(test, fuzzing))]
pub use configs::check_all as check_configurations;
#[cfg(any(test, fuzzing))]
pub(crate) use versioning::check as check_versioning;

use axum::body::Body;

use crate::access;
use crate::address::Address;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::operation::Operation;
use crate::respond::S3Response;

/// Runs the handler of an implemented operation.
pub(crate) async fn run(
    context: &Context<'_>,
    operation: Operation,
    address: Address,
    body: Body,
) -> S3Result<S3Response> {
    match address {
        Address::Service => match operation {
            Operation::ListBuckets => service::list_buckets(context).await,
            other => Err(unrouted(other)),
        },
        Address::Bucket(bucket) => match operation {
            Operation::ListObjects => list::list_objects(context, &bucket).await,
            Operation::ListObjectsV2 => list::list_objects_v2(context, &bucket).await,
            Operation::DeleteObjects => delete::delete_objects(context, &bucket, body).await,
            Operation::HeadBucket => bucket::head(context, &bucket).await,
            Operation::CreateBucket => bucket::create(context, &bucket, body).await,
            Operation::DeleteBucket => bucket::delete(context, &bucket).await,
            Operation::GetBucketLocation => bucket::location(context, &bucket).await,
            Operation::ListObjectVersions => list_versions::list(context, &bucket).await,
            Operation::GetBucketVersioning => versioning::get(context, &bucket).await,
            Operation::PutBucketVersioning => versioning::put(context, &bucket, body).await,
            Operation::GetObjectLockConfiguration => locks::get_configuration(context, &bucket).await,
            Operation::PutObjectLockConfiguration => locks::put_configuration(context, &bucket, body).await,
            Operation::GetBucketLifecycleConfiguration => lifecycle::get(context, &bucket).await,
            Operation::PutBucketLifecycleConfiguration => lifecycle::put(context, &bucket, body).await,
            Operation::DeleteBucketLifecycle => lifecycle::delete(context, &bucket).await,
            Operation::GetBucketNotificationConfiguration => notification::get(context, &bucket).await,
            Operation::PutBucketNotificationConfiguration => notification::put(context, &bucket, body).await,
            Operation::GetBucketEncryption => encryption::get(context, &bucket).await,
            Operation::PutBucketEncryption => encryption::put(context, &bucket, body).await,
            Operation::DeleteBucketEncryption => encryption::delete(context, &bucket).await,
            Operation::ListMultipartUploads => multipart::list::uploads(context, &bucket).await,
            Operation::GetBucketAcl => acl::get_bucket(context),
            Operation::PutBucketAcl => acl::put_bucket(context, &bucket, body).await,
            Operation::GetBucketPolicy => policy::get(context, &bucket).await,
            Operation::PutBucketPolicy => policy::put(context, &bucket, body).await,
            Operation::DeleteBucketPolicy => policy::delete(context, &bucket).await,
            Operation::GetBucketPolicyStatus => policy::status(context, &bucket).await,
            // None can be put here.
            Operation::GetBucketReplication => {
                context.shared.engine.bucket(&bucket).await?;
                Err(ErrorCode::ReplicationConfigurationNotFoundError.into())
            }
            other => match configs::of(other) {
                Some(found) => configs::run(context, found, &bucket, body).await,
                None => Err(unrouted(other)),
            },
        },
        Address::Object(bucket, key) => {
            let object = ObjectAddress { bucket, key };
            run_object(context, operation, &object, body).await
        }
    }
}

/// The object a request is about, there or not.
pub(crate) struct ObjectAddress {
    pub(crate) bucket: granary_types::BucketName,
    pub(crate) key: granary_types::ObjectKey,
}

async fn run_object(
    context: &Context<'_>,
    operation: Operation,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let result = match operation {
        Operation::GetObject => get::get(context, object).await,
        Operation::HeadObject => get::head(context, object).await,
        Operation::PutObject if context.headers().contains_key(append::OFFSET) => {
            append::append(context, object, body).await
        }
        Operation::PutObject => put::put(context, object, body).await,
        Operation::DeleteObject => delete::delete_object(context, object).await,
        Operation::RestoreObject => restore::restore(context, object, body).await,
        Operation::RenameObject => rename::rename(context, object).await,
        Operation::CopyObject => copy::copy_object(context, object).await,
        Operation::GetObjectAttributes => attributes::get(context, object).await,
        Operation::GetObjectTorrent => torrent::get(context, object).await,
        Operation::GetObjectTagging => tagging::get(context, object).await,
        Operation::PutObjectTagging => tagging::put(context, object, body).await,
        Operation::DeleteObjectTagging => tagging::delete(context, object).await,
        Operation::GetObjectAcl => acl::get_object(context, object).await,
        Operation::PutObjectAcl => acl::put_object(context, object, body).await,
        Operation::GetObjectRetention => locks::get_retention(context, object).await,
        Operation::PutObjectRetention => locks::put_retention(context, object, body).await,
        Operation::GetObjectLegalHold => locks::get_legal_hold(context, object).await,
        Operation::PutObjectLegalHold => locks::put_legal_hold(context, object, body).await,
        Operation::CreateMultipartUpload => multipart::create::create(context, object).await,
        Operation::UploadPart => multipart::part::upload(context, object, body).await,
        Operation::UploadPartCopy => multipart::part_copy::copy(context, object).await,
        Operation::CompleteMultipartUpload => multipart::complete::complete(context, object, body).await,
        Operation::AbortMultipartUpload => multipart::create::abort(context, object).await,
        Operation::ListParts => multipart::list::parts(context, object).await,
        other => Err(unrouted(other)),
    };
    match result {
        Ok(response) => Ok(response),
        Err(error) => {
            let error = multipart::with_upload(error, context);
            Err(access::conceal(context, object, error).await)
        }
    }
}

/// The table says that the operation is implemented, but no handler takes it: a bug.
fn unrouted(operation: Operation) -> S3Error {
    S3Error::new(ErrorCode::InternalError).because(format!("{operation} has no handler"))
}
