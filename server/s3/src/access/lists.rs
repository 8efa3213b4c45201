//! What the access control lists of buckets and objects make of a request.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping>

use granary_auth::policy::PolicyRequest;
use granary_engine::EngineError;
use http::HeaderMap;

use super::acl::{Acl, Grantee, Permission};
use super::canned::{self, Owners};
use super::decide::{AclSays, Lists, Verdict, decide};
use super::owner::Owner;
use super::rules::{Rules, Stored};
use super::{Requester, Stage, Target};
use crate::context::Context;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::new_buckets::ObjectOwnership;
use crate::ops::version;

/// The canned list that an object may ask for where lists do not count, as it changes nothing.
const FULL_CONTROL: &str = "bucket-owner-full-control";

/// What the initiator of an upload begins with whose object is given to the bucket's owner.
const GIVEN: &str = "given:";

/// Which list decides about an action, and the permission that it must grant.
enum Needs {
    Bucket(Permission),
    Object(Permission),
    /// That of the bucket, about an object that the request makes; none about one that is there.
    NewObject,
}

fn needs(action: &str) -> Option<Needs> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => {
            Needs::Bucket(Permission::Read)
        }
        "s3:PutObject" | "s3:DeleteObject" | "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" => {
            Needs::Bucket(Permission::Write)
        }
        "s3:GetBucketAcl" => Needs::Bucket(Permission::ReadAcp),
        "s3:PutBucketAcl" => Needs::Bucket(Permission::WriteAcp),
        "s3:GetObject"
        | "s3:GetObjectVersion"
        | "s3:GetObjectTorrent"
        | "s3:GetObjectVersionTorrent"
        | "s3:GetObjectAttributes"
        | "s3:GetObjectVersionAttributes" => Needs::Object(Permission::Read),
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Needs::Object(Permission::ReadAcp),
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Needs::Object(Permission::WriteAcp),
        "s3:PutObjectTagging" => Needs::NewObject,
        _ => return None,
    })
}

/// Whether the list of an object decides about an action.
pub(super) fn is_of_object(action: &str) -> bool {
    matches!(needs(action), Some(Needs::Object(_)))
}

/// What the lists say of an action.
pub(super) struct Said {
    pub(super) says: AclSays,
    /// The canonical user id of the object's owner, where that may be another than the bucket's.
    pub(super) object_owner: Option<String>,
}

impl Requester<'_> {
    /// Whether nothing but a list allows what is allowed.
    pub(super) async fn needs_list(&self, rules: &Rules, action: &str, target: Target<'_>) -> S3Result<bool> {
        let said = of(self, rules, action, target).await?;
        if said.says == AclSays::Nothing {
            return Ok(false);
        }
        let values = self.values_for(rules, target).await?;
        let resource = target.arn();
        let request = PolicyRequest { action, resource: &resource, context: &values };
        let without = Lists { says: AclSays::Nothing, object_owner: said.object_owner.as_deref() };
        Ok(decide(self.principal, self.own(), Some(rules), &request, without) != Verdict::Allowed)
    }
}

impl Said {
    fn of_bucket(says: AclSays) -> Self {
        Self { says, object_owner: None }
    }
}

/// What the lists say of an action.
pub(super) async fn of(
    requester: &Requester<'_>,
    rules: &Rules,
    action: &str,
    target: Target<'_>,
) -> S3Result<Said> {
    let none = Said::of_bucket(AclSays::Nothing);
    let Some(needs) = needs(action).filter(|_| rules.counts_acls()) else { return Ok(none) };
    let own = requester.own().map(|own| own.canonical.as_str());
    let says = |acl: &Acl, permission| {
        let granted = acl.grants(permission, own, rules.public_grants());
        if granted { AclSays::Granted } else { AclSays::Nothing }
    };
    match (needs, target.key) {
        (Needs::Bucket(permission), _) => Ok(Said::of_bucket(of_bucket(&says, rules, permission))),
        // Who writes an object may say who else may have it, and tag it.
        (Needs::Object(_) | Needs::NewObject, Some(_)) if target.stage == Stage::ToBe => {
            Ok(Said::of_bucket(of_bucket(&says, rules, Permission::Write)))
        }
        (Needs::Object(permission), Some(key)) => {
            let version = version::named(target.version)?;
            match requester.shared.engine.object_acl(target.bucket, key, version).await {
                Ok(found) => {
                    let acl = rules.object_acl(found.acl.as_deref())?;
                    // The handler must find the same one: another has another list.
                    let _ = requester.seen.set(found.write);
                    let says = says(&acl, permission);
                    Ok(Said { says, object_owner: Some(acl.owner.0) })
                }
                // Nothing is granted on what is not there: it may be there in a moment.
                Err(
                    EngineError::NoSuchKey | EngineError::NoSuchVersion | EngineError::DeleteMarker { .. },
                ) => Ok(none),
                Err(error) => Err(error.into()),
            }
        }
        (Needs::Object(_) | Needs::NewObject, _) => Ok(none),
    }
}

/// Whether a new object is the bucket's owner's because its writer gives it away.
fn is_given(rules: &Rules, headers: &HeaderMap) -> bool {
    rules.ownership == ObjectOwnership::BucketOwnerPreferred && canned::name(headers) == Some(FULL_CONTROL)
}

/// Who begins an upload, as the engine keeps it, with a mark if the object is given away.
pub(crate) fn initiator(context: &Context<'_>) -> String {
    let nobody = Owner::anonymous();
    let stored = context.requester.own().unwrap_or(&nobody).stored();
    let given = context.rules.get().is_some_and(|rules| is_given(rules, context.headers()));
    if given { format!("{GIVEN}{stored}") } else { stored }
}

/// Who began an upload, and whose its object will be.
pub(crate) fn owners_of_upload(context: &Context<'_>, stored: &str) -> (Owner, Owner) {
    let (initiator, given) = match stored.strip_prefix(GIVEN) {
        Some(stored) => (stored, true),
        None => (stored, false),
    };
    let initiator = Owner::of_stored(initiator, &context.shared.config);
    let owner = match context.rules.get() {
        Some(rules) if given || !rules.counts_acls() => rules.owner.clone(),
        _ => initiator.clone(),
    };
    (initiator, owner)
}

/// What the list of the bucket says.
fn of_bucket(says: &impl Fn(&Acl, Permission) -> AclSays, rules: &Rules, permission: Permission) -> AclSays {
    match &rules.acl {
        Stored::Present(acl) => says(acl, permission),
        Stored::Absent | Stored::Unreadable => AclSays::Nothing,
    }
}

/// Whether the list that the headers of a new object ask for gives anything to anybody but its writer and the bucket's owner.
pub(super) fn gives_to_others(context: &Context<'_>, rules: &Rules) -> bool {
    let nobody = Owner::anonymous();
    let writer = context.requester.own().unwrap_or(&nobody);
    let owners = Owners { own: writer, of_bucket: &rules.owner };
    let is_owners = |grantee: &Grantee| match grantee {
        Grantee::Account { canonical, .. } => {
            *canonical == rules.owner.canonical || *canonical == writer.canonical
        }
        Grantee::AllUsers | Grantee::AuthenticatedUsers | Grantee::LogDelivery => false,
    };
    match canned::of_headers(context.shared, context.headers(), owners) {
        Ok(Some(acl)) => !acl.grants.iter().all(|grant| is_owners(&grant.grantee)),
        // What is wrong with the headers is told by the handler.
        Ok(None) | Err(_) => true,
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
    let own = if !rules.counts_acls() || is_given(rules, headers) { &rules.owner } else { writer };
    let asked = canned::of_headers(context.shared, headers, Owners { own, of_bucket: &rules.owner })?;
    if !rules.counts_acls() {
        return match asked {
            // No other canned list is taken, though some mean the same.
            Some(acl)
                if acl == Acl::private(&rules.owner) && name.is_none_or(|name| name == FULL_CONTROL) =>
            {
                Ok(None)
            }
            Some(_) => Err(ErrorCode::AccessControlListNotSupported.into()),
            None => Ok(None),
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
