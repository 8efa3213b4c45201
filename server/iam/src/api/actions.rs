//! Every action, by its name.

use granary_auth::{Identity, IdentityKind, Service};

use super::call::Call;
use super::xml::Xml;
use super::{absent, grants, groups, keys, policies, providers, roles, sts, summary, users, web};
use crate::documents::Kind;
use crate::error::{Code, IamError, Result};

/// Runs an action.
pub(super) async fn run(call: &Call<'_>, service: Service, name: &str) -> Result<Xml> {
    check_session(call, service, name)?;
    match service {
        Service::Sts => run_sts(call, name).await,
        Service::Iam | Service::S3 => run_iam(call, name).await,
    }
}

/// What GetSessionToken gives is for the other services: through IAM it could make keys that outlive and outgrow it.
/// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>
fn check_session(call: &Call<'_>, service: Service, name: &str) -> Result<()> {
    let is_of_user =
        |identity: &Identity| identity.session.is_some() && identity.kind != IdentityKind::AssumedRole;
    let is_allowed = service == Service::Sts && matches!(name, "AssumeRole" | "GetCallerIdentity");
    if call.identity().is_some_and(is_of_user) && !is_allowed {
        let message = format!("Cannot call {name} with the credentials of a session of a user.");
        return Err(IamError::new(Code::AccessDenied, message));
    }
    Ok(())
}

async fn run_sts(call: &Call<'_>, name: &str) -> Result<Xml> {
    match name {
        "AssumeRole" => sts::assume_role(call).await,
        "GetCallerIdentity" => Ok(sts::caller_identity(call)),
        "GetSessionToken" => sts::session_token(call).await,
        web::ACTION => web::assume_role(call).await,
        "AssumeRoleWithSAML"
        | "AssumeRoot"
        | "DecodeAuthorizationMessage"
        | "GetAccessKeyInfo"
        | "GetDelegatedAccessToken"
        | "GetFederationToken"
        | "GetWebIdentityToken" => Err(missing(name)),
        _ => Err(unknown(name)),
    }
}

async fn run_iam(call: &Call<'_>, name: &str) -> Result<Xml> {
    match name {
        "CreateUser" => users::create(call).await,
        "GetUser" => users::get(call),
        "UpdateUser" => users::update(call).await,
        "DeleteUser" => users::delete(call).await,
        "ListUsers" => users::list(call),
        "PutUserPermissionsBoundary" => users::put_boundary(call).await,
        "DeleteUserPermissionsBoundary" => users::delete_boundary(call).await,
        "TagUser" | "UntagUser" => users::tag(call).await,
        "ListUserTags" => users::tags(call),
        "CreateAccessKey" => keys::create(call).await,
        "UpdateAccessKey" => keys::update(call).await,
        "DeleteAccessKey" => keys::delete(call).await,
        "ListAccessKeys" => keys::list(call),
        "GetAccessKeyLastUsed" => keys::last_used(call),
        "CreateGroup" => groups::create(call).await,
        "GetGroup" => groups::get(call),
        "UpdateGroup" => groups::update(call).await,
        "DeleteGroup" => groups::delete(call).await,
        "ListGroups" => groups::list(call),
        "ListGroupsForUser" => groups::of_user(call),
        "AddUserToGroup" => groups::add_user(call).await,
        "RemoveUserFromGroup" => groups::remove_user(call).await,
        "GetAccountSummary" => summary::account(call),
        "GetLoginProfile" | "DeleteLoginProfile" => absent::login_profile(call),
        name if name.contains("OpenIDConnectProvider") => run_providers(call, name).await,
        name => match absent::find(name) {
            Some(absent) => absent.list(call),
            None => run_roles_and_policies(call, name).await,
        },
    }
}

async fn run_providers(call: &Call<'_>, name: &str) -> Result<Xml> {
    match name {
        "CreateOpenIDConnectProvider" => providers::create(call).await,
        "GetOpenIDConnectProvider" => providers::get(call),
        "ListOpenIDConnectProviders" => providers::list(call),
        "DeleteOpenIDConnectProvider" => providers::delete(call).await,
        "AddClientIDToOpenIDConnectProvider" => providers::add_client(call).await,
        "RemoveClientIDFromOpenIDConnectProvider" => providers::remove_client(call).await,
        "UpdateOpenIDConnectProviderThumbprint" => providers::update_thumbprints(call).await,
        "TagOpenIDConnectProvider" | "UntagOpenIDConnectProvider" => providers::tag(call).await,
        "ListOpenIDConnectProviderTags" => providers::tags(call),
        _ => Err(unknown(name)),
    }
}

async fn run_roles_and_policies(call: &Call<'_>, name: &str) -> Result<Xml> {
    match name {
        "CreateRole" => roles::create(call).await,
        "GetRole" => roles::get(call),
        "UpdateRole" | "UpdateRoleDescription" => roles::update(call).await,
        "UpdateAssumeRolePolicy" => roles::update_trust(call).await,
        "DeleteRole" => roles::delete(call).await,
        "ListRoles" => roles::list(call),
        "PutRolePermissionsBoundary" => roles::put_boundary(call).await,
        "DeleteRolePermissionsBoundary" => roles::delete_boundary(call).await,
        "TagRole" | "UntagRole" => roles::tag(call).await,
        "ListRoleTags" => roles::tags(call),
        "CreatePolicy" => policies::create(call).await,
        "GetPolicy" => policies::get(call),
        "DeletePolicy" => policies::delete(call).await,
        "ListPolicies" => policies::list(call),
        "ListEntitiesForPolicy" => policies::entities(call),
        "CreatePolicyVersion" => policies::create_version(call).await,
        "GetPolicyVersion" => policies::get_version(call),
        "ListPolicyVersions" => policies::list_versions(call),
        "DeletePolicyVersion" => policies::delete_version(call).await,
        "SetDefaultPolicyVersion" => policies::set_default(call).await,
        "TagPolicy" | "UntagPolicy" => policies::tag(call).await,
        "ListPolicyTags" => policies::tags(call),
        _ => run_grants(call, name).await,
    }
}

async fn run_grants(call: &Call<'_>, name: &str) -> Result<Xml> {
    for (kind, word) in [(Kind::User, "User"), (Kind::Group, "Group"), (Kind::Role, "Role")] {
        let Some(verb) = name.split_once(word) else { continue };
        return match verb {
            ("Put", "Policy") => grants::put(call, kind).await,
            ("Get", "Policy") => grants::get(call, kind),
            ("Delete", "Policy") => grants::delete(call, kind).await,
            ("List", "Policies") => grants::list(call, kind),
            ("Attach", "Policy") => grants::attach(call, kind).await,
            ("Detach", "Policy") => grants::detach(call, kind).await,
            ("ListAttached", "Policies") => grants::list_attached(call, kind),
            _ => Err(missing(name)),
        };
    }
    // AWS has many more; what does not exist at all need not be told apart.
    Err(if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) { missing(name) } else { unknown(name) })
}

fn missing(name: &str) -> IamError {
    IamError::new(Code::NotImplemented, format!("{name} is not implemented by this server."))
}

fn unknown(name: &str) -> IamError {
    IamError::new(Code::InvalidAction, format!("Could not find operation {name:?}."))
}
