//! What the access control lists of buckets and objects make of a request.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping>

use granary_engine::EngineError;

use super::acl::{Acl, Permission};
use super::canned::{self, Owners};
use super::decide::AclSays;
use super::owner::Owner;
use super::rules::{Rules, Stored};
use super::{Requester, Target};
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::new_buckets::ObjectOwnership;
use crate::ops::version;

/// The canned list that an object may ask for where lists do not count, as it changes nothing.
const FULL_CONTROL: &str = "bucket-owner-full-control";

/// Which list decides about an action, and the permission that it must grant.
enum Needs {
    OfBucket(Permission),
    OfObject(Permission),
}

fn needs(action: &str) -> Option<Needs> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => {
            Needs::OfBucket(Permission::Read)
        }
        "s3:PutObject" | "s3:DeleteObject" | "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" => {
            Needs::OfBucket(Permission::Write)
        }
        "s3:GetBucketAcl" => Needs::OfBucket(Permission::ReadAcp),
        "s3:PutBucketAcl" => Needs::OfBucket(Permission::WriteAcp),
        "s3:GetObject"
        | "s3:GetObjectVersion"
        | "s3:GetObjectAttributes"
        | "s3:GetObjectVersionAttributes" => Needs::OfObject(Permission::Read),
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Needs::OfObject(Permission::ReadAcp),
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Needs::OfObject(Permission::WriteAcp),
        _ => return None,
    })
}

/// What the lists say of an action, and the canonical user id of the object's owner.
pub(super) async fn of(
    requester: &Requester<'_>,
    rules: &Rules,
    action: &str,
    target: Target<'_>,
) -> S3Result<(AclSays, Option<String>)> {
    let none = (AclSays::Nothing, None);
    let Some(needs) = needs(action).filter(|_| rules.counts_acls()) else { return Ok(none) };
    let own = requester.own().map(|own| own.canonical.as_str());
    let says = |acl: &Acl, permission| {
        let granted = acl.grants(permission, own, rules.public_grants());
        if granted { AclSays::Granted } else { AclSays::Nothing }
    };
    match (needs, target.key) {
        (Needs::OfBucket(permission), _) => match &rules.acl {
            Stored::Present(acl) => Ok((says(acl, permission), None)),
            Stored::Absent | Stored::Unreadable => Ok(none),
        },
        (Needs::OfObject(permission), Some(key)) => {
            let version = version::named(target.version)?;
            match requester.shared.engine.object_acl(target.bucket, key, version).await {
                Ok(found) => {
                    let acl = rules.object_acl(found.acl.as_deref())?;
                    Ok((says(&acl, permission), Some(acl.owner.0)))
                }
                Err(
                    EngineError::NoSuchKey | EngineError::NoSuchVersion | EngineError::DeleteMarker { .. },
                ) => Ok(none),
                Err(error) => Err(error.into()),
            }
        }
        (Needs::OfObject(_), None) => Ok(none),
    }
}

/// The list that a new object gets: `None` for the default one of an object that is the bucket owner's.
///
/// # Errors
/// `AccessControlListNotSupported`, `AccessDenied` where public lists are blocked, and what is wrong with the headers.
pub(crate) fn of_new_object(context: &Context<'_>) -> S3Result<Option<String>> {
    let Some(rules) = context.rules.get() else { return Err(ErrorCode::InternalError.into()) };
    let headers = context.headers();
    let name = canned::name(headers);
    let nobody = Owner::anonymous();
    let writer = context.requester.own().unwrap_or(&nobody);
    let is_given = rules.ownership == ObjectOwnership::BucketOwnerPreferred && name == Some(FULL_CONTROL);
    let own = if !rules.counts_acls() || is_given { &rules.owner } else { writer };
    let asked = canned::of_headers(context.shared, headers, Owners { own, of_bucket: &rules.owner })?;
    if !rules.counts_acls() {
        return match asked {
            Some(acl) if acl != Acl::private(&rules.owner) => {
                Err(ErrorCode::AccessControlListNotSupported.into())
            }
            _ => Ok(None),
        };
    }
    let acl = asked.unwrap_or_else(|| Acl::private(own));
    if rules.block.refuse_acls && acl.is_public() {
        return Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "Access Denied: public ACLs are prevented by the BlockPublicAcls setting in S3 Block Public Access.",
        ));
    }
    Ok((acl != Acl::private(&rules.owner)).then(|| acl.document()))
}
