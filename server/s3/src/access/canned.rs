//! The access control list that a request asks for, in a header or a document.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>

use http::HeaderMap;

use super::acl::{Acl, GRANTS_MAX, Grant, Grantee, Named, Permission};
use super::owner::Owner;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::state::Shared;

const CANNED: &str = "x-amz-acl";
/// In the order in which their grants are shown.
const GRANTS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

/// Who owns what a list is for.
#[derive(Clone, Copy)]
pub(crate) struct Owners<'a> {
    /// The account that the bucket or object belongs to.
    pub(crate) own: &'a Owner,
    /// The account that the bucket of an object belongs to.
    pub(crate) of_bucket: &'a Owner,
}

/// The name of the canned list that a request asks for.
pub(crate) fn name(headers: &HeaderMap) -> Option<&str> {
    headers.get(CANNED).map(|value| value.to_str().unwrap_or_default().trim())
}

/// The list that the headers ask for, if they ask for any.
///
/// # Errors
/// `InvalidArgument`, `InvalidRequest` for both a canned list and grants, `UnresolvableGrantByEmailAddress`.
pub(crate) fn of_headers(shared: &Shared, headers: &HeaderMap, owners: Owners<'_>) -> S3Result<Option<Acl>> {
    let mut grants = Vec::new();
    for (header, permission) in GRANTS {
        for value in headers.get_all(header) {
            let value = value.to_str().unwrap_or_default();
            for grantee in grantees(shared, header, value)? {
                grants.push(Grant { grantee, permission });
            }
        }
    }
    let sent_grants = GRANTS.iter().any(|(header, _)| headers.contains_key(*header));
    match (name(headers), sent_grants) {
        (Some(_), true) => {
            Err(S3Error::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"))
        }
        (Some(name), false) => canned(name, owners).map(Some),
        (None, true) if grants.len() > GRANTS_MAX => Err(ErrorCode::MalformedACLError.into()),
        (None, true) => {
            Ok(Some(Acl { owner: (owners.own.canonical.clone(), owners.own.display_name.clone()), grants }))
        }
        (None, false) => Ok(None),
    }
}

/// The canned list of that name.
///
/// # Errors
/// `InvalidArgument` for a name that there is not.
pub(crate) fn canned(name: &str, owners: Owners<'_>) -> S3Result<Acl> {
    let mut acl = Acl::private(owners.own);
    let bucket_owner = || Grantee::account(owners.of_bucket);
    let is_bucket_owners = owners.own.canonical == owners.of_bucket.canonical;
    let more: Vec<(Grantee, Permission)> = match name {
        "private" | "aws-exec-read" => Vec::new(),
        "public-read" => vec![(Grantee::AllUsers, Permission::Read)],
        "public-read-write" => {
            vec![(Grantee::AllUsers, Permission::Read), (Grantee::AllUsers, Permission::Write)]
        }
        "authenticated-read" => vec![(Grantee::AuthenticatedUsers, Permission::Read)],
        "bucket-owner-read" | "bucket-owner-full-control" if is_bucket_owners => Vec::new(),
        "bucket-owner-read" => vec![(bucket_owner(), Permission::Read)],
        "bucket-owner-full-control" => vec![(bucket_owner(), Permission::FullControl)],
        "log-delivery-write" => {
            vec![(Grantee::LogDelivery, Permission::Write), (Grantee::LogDelivery, Permission::ReadAcp)]
        }
        other => return Err(S3Error::invalid_argument(CANNED, other, "")),
    };
    acl.grants.extend(more.into_iter().map(|(grantee, permission)| Grant { grantee, permission }));
    Ok(acl.groups_first())
}

/// Reads `id="…", uri="…", emailAddress="…"`.
fn grantees(shared: &Shared, header: &'static str, value: &str) -> S3Result<Vec<Grantee>> {
    let invalid = || S3Error::invalid_argument(header, value, "Argument format not recognized");
    let one = |part: &str| {
        let (kind, named) = part.split_once('=').ok_or_else(invalid)?;
        let named = named.trim().trim_matches('"');
        match kind.trim().to_ascii_lowercase().as_str() {
            "id" => resolve(shared, Named::Id(named)),
            "uri" => resolve(shared, Named::Uri(named)),
            "emailaddress" => resolve(shared, Named::Email(named)),
            _ => Err(invalid()),
        }
    };
    value.split(',').map(one).collect()
}

/// The grantee of a name.
///
/// # Errors
/// `InvalidArgument` for an account or a group that there is not, `UnresolvableGrantByEmailAddress`.
pub(crate) fn resolve(shared: &Shared, named: Named<'_>) -> S3Result<Grantee> {
    let root = Owner::root(&shared.config);
    let directory = shared.config.accounts.as_ref();
    let account = |found: std::sync::Arc<granary_auth::Account>| Grantee::Account {
        canonical: found.canonical_id.clone(),
        display_name: found.display_name.clone(),
    };
    match named {
        Named::Id(id) if id == root.canonical => Ok(Grantee::account(&root)),
        Named::Id(id) => {
            let found = directory.and_then(|accounts| accounts.0.by_canonical_id(id));
            found.map(account).ok_or_else(|| S3Error::invalid_argument("CanonicalUser/ID", id, "Invalid id"))
        }
        Named::Uri(uri) => Grantee::group(uri)
            .ok_or_else(|| S3Error::invalid_argument("Group/URI", uri, "Invalid group uri")),
        Named::Email(email) => {
            let found = directory.and_then(|accounts| accounts.0.by_email(email));
            found.map(account).ok_or_else(|| ErrorCode::UnresolvableGrantByEmailAddress.into())
        }
    }
}
