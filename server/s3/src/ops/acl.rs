//! The access control lists of buckets and objects.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html>

use axum::body::Body;
use granary_types::BucketName;
use http::StatusCode;

use super::{ObjectAddress, version};
use crate::access::acl::Acl;
use crate::access::canned::{self, Owners};
use crate::access::owner::Owner;
use crate::access::rules::{self, Rules};
use crate::body::Protection;
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::respond::{self, S3Response};
use crate::xml::read::Limits;

fn rules_of<'a>(context: &'a Context<'_>) -> S3Result<&'a Rules> {
    context.rules.get().map(|rules| &**rules).ok_or_else(|| ErrorCode::InternalError.into())
}

/// `GET /bucket?acl`.
pub(super) fn get_bucket(context: &Context<'_>) -> S3Result<S3Response> {
    let rules = rules_of(context)?;
    Ok(respond::xml(rules.bucket_acl()?.document().into()))
}

/// `PUT /bucket?acl`.
pub(super) async fn put_bucket(
    context: &Context<'_>,
    bucket: &BucketName,
    body: Body,
) -> S3Result<S3Response> {
    let rules = rules_of(context)?;
    let owners = Owners { own: &rules.owner, of_bucket: &rules.owner };
    let acl = requested(context, owners, body).await?;
    check(rules, &acl)?;
    let document = Some(acl.document().into_bytes());
    context.shared.engine.put_bucket_document(bucket, rules::ACL, document).await?;
    Ok(respond::empty(StatusCode::OK))
}

/// `GET /bucket/key?acl`.
pub(super) async fn get_object(context: &Context<'_>, object: &ObjectAddress) -> S3Result<S3Response> {
    let version_id = context.query.get("versionId");
    let named = version::named(version_id)?;
    let found = context.shared.engine.object_acl(&object.bucket, &object.key, named).await;
    let found = found.map_err(|error| version::not_found(error, context, object, version_id))?;
    context.requester.check_same(found.write)?;
    let acl = rules_of(context)?.object_acl(found.acl.as_deref())?;
    let mut response = respond::xml(acl.document().into());
    version::show(response.headers_mut(), version::VERSION, found.version);
    Ok(response)
}

/// `PUT /bucket/key?acl`.
pub(super) async fn put_object(
    context: &Context<'_>,
    object: &ObjectAddress,
    body: Body,
) -> S3Result<S3Response> {
    let rules = rules_of(context)?;
    let version_id = context.query.get("versionId");
    let named = version::named(version_id)?;
    let engine = &context.shared.engine;
    let missing = |error| version::not_found(error, context, object, version_id);
    let found = engine.object_acl(&object.bucket, &object.key, named).await.map_err(missing)?;
    context.requester.check_same(found.write)?;
    let (canonical, display_name) = rules.object_acl(found.acl.as_deref())?.owner;
    let own = Owner { account: String::new(), canonical, display_name };
    let acl = requested(context, Owners { own: &own, of_bucket: &rules.owner }, body).await?;
    check(rules, &acl)?;
    let stored = (acl != Acl::private(&rules.owner)).then(|| acl.document());
    let place = (named, found.write);
    let done =
        context.writer().set_object_acl(&object.bucket, &object.key, place, stored).await.map_err(missing)?;
    let mut response = respond::empty(StatusCode::OK);
    version::show(response.headers_mut(), version::VERSION, done);
    Ok(response)
}

/// The list that a request asks for, in its headers or its body.
async fn requested(context: &Context<'_>, owners: Owners<'_>, body: Body) -> S3Result<Acl> {
    let of_headers = canned::of_headers(context.shared, context.headers(), owners)?;
    let document = context.document(body, Limits::SMALL.length_bytes, Protection::Optional).await?;
    match (of_headers, document.is_empty()) {
        (Some(acl), true) => Ok(acl),
        (Some(_), false) => {
            Err(S3Error::with_message(ErrorCode::UnexpectedContent, "This request does not support content"))
        }
        (None, true) => Err(S3Error::with_message(
            ErrorCode::MissingSecurityHeader,
            "Your request was missing a required header",
        )
        .field("MissingHeaderName", "x-amz-acl")),
        (None, false) => {
            let acl = Acl::parse(&document, |named| canned::resolve(context.shared, named))?;
            if acl.owner.0 != owners.own.canonical {
                return Err(ErrorCode::AccessDenied.into());
            }
            let owner = (acl.owner.0, owners.own.display_name.clone());
            Ok(Acl { owner, ..acl }.groups_first())
        }
    }
}

/// Refuses a list where there are none, and a public one where they are blocked.
fn check(rules: &Rules, acl: &Acl) -> S3Result<()> {
    if !rules.counts_acls() {
        return Err(ErrorCode::AccessControlListNotSupported.into());
    }
    if rules.block.refuse_acls && acl.is_public() {
        return Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "Access Denied: public ACLs are prevented by the BlockPublicAcls setting in S3 Block Public Access.",
        ));
    }
    Ok(())
}
