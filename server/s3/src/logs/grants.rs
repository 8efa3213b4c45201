//! To whom the objects that access logs become are granted: the `TargetGrants` of a configuration.
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html#grant-log-delivery-permissions-general>

use crate::access::acl::{Acl, Grant, Grantee, Named, Permission};
use crate::access::canned;
use crate::access::rules::Rules;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::state::Shared;
use crate::xml::read::{Element, malformed};

/// A grant as it is configured. Accounts are looked up anew with each delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetGrant {
    who: Who,
    permission: Permission,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Id(String),
    Uri(String),
    Email(String),
}

impl TargetGrant {
    /// Reads all grants of a `LoggingEnabled` element.
    ///
    /// # Errors
    /// `MalformedXML` for one that names nobody, or no permission that there is.
    pub(crate) fn all(enabled: &Element) -> S3Result<Vec<Self>> {
        let grants = enabled.child("TargetGrants").into_iter().flat_map(|grants| &grants.children);
        grants.map(Self::of_element).collect()
    }

    fn of_element(grant: &Element) -> S3Result<Self> {
        let permission = grant.child("Permission").and_then(|named| Permission::parse(named.text.trim()));
        let grantee = grant.child("Grantee").ok_or_else(malformed)?;
        let named = |name: &str| grantee.child(name).map(|child| child.text.trim().to_owned());
        let who = match (named("ID"), named("URI"), named("EmailAddress")) {
            (Some(id), None, None) => Who::Id(id),
            (None, Some(uri), None) => Who::Uri(uri),
            (None, None, Some(email)) => Who::Email(email),
            _ => return Err(malformed()),
        };
        Ok(Self { who, permission: permission.ok_or_else(malformed)? })
    }

    fn grantee(&self, shared: &Shared) -> S3Result<Grantee> {
        canned::resolve(
            shared,
            match &self.who {
                Who::Id(id) => Named::Id(id),
                Who::Uri(uri) => Named::Uri(uri),
                Who::Email(email) => Named::Email(email),
            },
        )
    }
}

/// Checks the grants of a configuration whose logs go to the bucket of these rules.
///
/// # Errors
/// `AccessControlListNotSupported` where lists do not count, `InvalidArgument` and `UnresolvableGrantByEmailAddress` for
/// whom there is not.
pub(crate) fn check(shared: &Shared, grants: &[TargetGrant], target: &Rules) -> S3Result<()> {
    if !grants.is_empty() && !target.counts_acls() {
        let message =
            "The target bucket's object ownership is BucketOwnerEnforced: it takes no target grants.";
        return Err(S3Error::with_message(ErrorCode::AccessControlListNotSupported, message));
    }
    grants.iter().try_for_each(|grant| grant.grantee(shared).map(drop))
}

/// The list that a log gets: `None` where lists do not count, or nothing is granted. A grant to an account that has gone
/// meanwhile is left out.
pub(super) fn acl_of(shared: &Shared, grants: &[TargetGrant], target: &Rules) -> Option<String> {
    if grants.is_empty() || !target.counts_acls() {
        return None;
    }
    let mut acl = Acl::private(&target.owner);
    for grant in grants {
        match grant.grantee(shared) {
            Ok(grantee) => acl.grants.push(Grant { grantee, permission: grant.permission }),
            Err(error) => {
                tracing::warn!(bucket = %target.bucket, %error, "a target grant of access logs is left out");
            }
        }
    }
    if target.block.refuse_acls && acl.is_public() {
        acl.grants.retain(|grant| matches!(grant.grantee, Grantee::Account { .. }));
    }
    Some(acl.groups_first().document())
}
