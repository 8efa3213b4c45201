//! The policy of a bucket.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>

use std::borrow::Cow;

use axum::body::Body;
use granary_auth::policy::{
    POLICY_BYTES_MAX, Policy, PolicyError, PolicyKind, with_account_numbers, with_current_arns,
    with_unique_ids,
};
use granary_engine::Freshness;
use granary_types::BucketName;
use http::{HeaderValue, StatusCode, header};

use crate::access::{self, rules};
use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::state::Shared;
use crate::xml::XmlWriter;

/// Only the account that a bucket belongs to may handle its policy, whoever that policy lets in.
fn check_account(context: &Context<'_>) -> S3Result<()> {
    let is_own = context.rules.get().is_some_and(|rules| context.requester.is_of(&rules.owner));
    if is_own || context.requester.is_superuser() { Ok(()) } else { Err(ErrorCode::MethodNotAllowed.into()) }
}

/// `GET /bucket?policy`.
pub(super) async fn get(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    check_account(context)?;
    let stored = context.shared.engine.bucket_document(bucket, rules::POLICY).await?;
    let missing = || S3Error::new(ErrorCode::NoSuchBucketPolicy).field("BucketName", bucket.as_str());
    let shown = shown(context.shared, stored.ok_or_else(missing)?);
    let mut response = S3Response::new(Body::from(shown));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `PUT /bucket?policy`.
pub(super) async fn put(context: &Context<'_>, bucket: &BucketName, body: Body) -> S3Result<S3Response> {
    check_account(context)?;
    // That a policy is too long has an error of its own, unless it is much too long.
    let document = context.document(body, 2 * POLICY_BYTES_MAX, Protection::Optional).await?;
    let document = numbered(context.shared, &document);
    let (kind, sids) = (PolicyKind::Bucket(bucket.as_str()), context.shared.config.dialect.sids());
    let malformed = |error: PolicyError| {
        S3Error::with_message(ErrorCode::MalformedPolicy, error.to_string()).because(error)
    };
    let policy = Policy::parse_with(&document, kind, sids).map_err(malformed)?;
    policy.check_conditions().map_err(malformed)?;
    let kept = kept(context.shared, &policy)?;
    let block = access::rules(context.shared, bucket, Freshness::Current).await?.block;
    if block.refuse_policy && policy.is_public() {
        return Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "Access Denied: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
        ));
    }
    context.shared.engine.put_bucket_document(bucket, rules::POLICY, Some(kept.into_bytes())).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// The document with the numbers of accounts where it has the names that the operator gave them.
fn numbered<'d>(shared: &Shared, document: &'d [u8]) -> Cow<'d, [u8]> {
    let (Some(accounts), Ok(text)) = (&shared.config.accounts, std::str::from_utf8(document)) else {
        return Cow::Borrowed(document);
    };
    let number = |name: &str| Some(accounts.0.by_name(name)?.id.clone());
    match with_account_numbers(text, number) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The policy with the unique ids of the users and roles that it names, as it is kept.
fn kept(shared: &Shared, policy: &Policy) -> S3Result<String> {
    let Some(accounts) = &shared.config.accounts else { return Ok(policy.text().to_owned()) };
    match with_unique_ids(policy.text(), |arn| accounts.0.named(arn)) {
        Ok(kept) => Ok(kept.into_owned()),
        Err(nobody) => {
            let message = PolicyError::InvalidPrincipal.to_string();
            let detail = format!("\"AWS\" : \"{}\"", nobody.0);
            Err(S3Error::with_message(ErrorCode::MalformedPolicy, message)
                .field("Detail", detail)
                .because(nobody))
        }
    }
}

/// A policy that was kept, with the ARNs that the users and roles have now whose ids it has.
fn shown(shared: &Shared, kept: Vec<u8>) -> Vec<u8> {
    let (Some(accounts), Ok(text)) = (&shared.config.accounts, std::str::from_utf8(&kept)) else {
        return kept;
    };
    with_current_arns(text, |id| accounts.0.arn_of(id)).into_owned().into_bytes()
}

/// `DELETE /bucket?policy`.
pub(super) async fn delete(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    check_account(context)?;
    context.shared.engine.put_bucket_document(bucket, rules::POLICY, None).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// `GET /bucket?policyStatus`: whether anybody who cannot be told beforehand gets in.
pub(super) async fn status(context: &Context<'_>, bucket: &BucketName) -> S3Result<S3Response> {
    let rules = access::rules(context.shared, bucket, Freshness::Current).await?;
    let mut xml = XmlWriter::document("PolicyStatus");
    xml.plain("IsPublic", rules.is_public());
    Ok(respond::xml(xml.finish("PolicyStatus")))
}
