//! What must be allowed to who makes a bucket.
//!
//! Source: the permissions in <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>

use granary_auth::policy::Context as Values;
use granary_types::BucketName;

use super::{Target, of_headers};
use crate::context::Context;
use crate::error::S3Result;
use crate::xml::requests::CreateBucketRequest;

const CREATE: &str = "s3:CreateBucket";
const PUT_ACL: &str = "s3:PutBucketAcl";
const PUT_LOCK: &str = "s3:PutBucketObjectLockConfiguration";
const PUT_VERSIONING: &str = "s3:PutBucketVersioning";

/// What the headers of a new bucket ask for beside the bucket.
const HEADERS: &[(&str, &str)] = &[
    ("x-amz-acl", PUT_ACL),
    ("x-amz-grant-", PUT_ACL),
    ("x-amz-object-ownership", "s3:PutBucketOwnershipControls"),
    ("x-amz-bucket-object-lock-enabled", PUT_LOCK),
    ("x-amz-bucket-object-lock-enabled", PUT_VERSIONING),
];
/// What the names of the condition keys begin with, in lower case, that have their values from the body.
const OF_BODY: [&str; 3] = ["s3:locationconstraint", "aws:requesttag/", "aws:tagkeys"];

/// Lets a request go on that makes a bucket. What a policy asks of the body is decided when that is read.
///
/// # Errors
/// `AccessDenied`.
pub(super) fn authorise(context: &Context<'_>, bucket: &BucketName) -> S3Result<()> {
    let resource = Target::bucket(bucket).arn();
    if !is_about_body(context) {
        context.requester.require_by_identity(CREATE, &resource, &|_values| {})?;
    }
    let is_private = context.header("x-amz-acl") == Some("private");
    let locks = context
        .header("x-amz-bucket-object-lock-enabled")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let asks = |action: &&str| match *action {
        PUT_ACL => !is_private,
        PUT_LOCK | PUT_VERSIONING => locks,
        _ => true,
    };
    of_headers(context, HEADERS)
        .filter(asks)
        .try_for_each(|action| context.requester.require_by_identity(action, &resource, &|_values| {}))
}

fn is_about_body(context: &Context<'_>) -> bool {
    OF_BODY.iter().any(|begin| context.requester.identity_asks_for(begin))
}

/// As [`authorise`], with what the body asks for.
///
/// # Errors
/// `AccessDenied`.
pub(crate) fn authorise_new_bucket(
    context: &Context<'_>,
    bucket: &BucketName,
    request: &CreateBucketRequest,
) -> S3Result<()> {
    let resource = Target::bucket(bucket).arn();
    let add = |values: &mut Values| {
        if let Some(constraint) = &request.constraint {
            values.set("s3:LocationConstraint", constraint.as_str());
        }
        values.set_tags("aws:RequestTag/", &request.tags);
        values.set_all("aws:TagKeys", request.tags.iter().map(|(key, _)| key.clone()).collect());
    };
    if is_about_body(context) {
        context.requester.require_by_identity(CREATE, &resource, &add)?;
    }
    if request.tags.is_empty() {
        return Ok(());
    }
    context.requester.require_by_identity("s3:TagResource", &resource, &add)
}
