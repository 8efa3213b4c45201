//! What policies may ask about a request to IAM, beside who makes it: what it gives, and what it is about.
//!
//! Sources: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_iam-tags.html>

use granary_auth::policy::Context;

use super::form::Form;
use crate::documents::{Kind, Tag};
use crate::error::Result;
use crate::state::State;

const BOUNDARY: &str = "iam:PermissionsBoundary";
/// The keys of the tags of what a request is about. Only users and roles have the second.
pub(super) const RESOURCE_TAGS: [&str; 2] = ["aws:ResourceTag/", "iam:ResourceTag/"];

/// Sets the keys that are about the parameters of an action. A parameter counts only where it means what the key does: others
/// could be sent to please a condition.
///
/// # Errors
/// `ValidationError` for tags of which a key or a value is missing.
pub(super) fn describe_request(action: &str, form: &Form, context: &mut Context) -> Result<()> {
    let action = action.strip_prefix("iam:").unwrap_or_default();
    match action {
        "AttachUserPolicy" | "AttachGroupPolicy" | "AttachRolePolicy" | "DetachUserPolicy"
        | "DetachGroupPolicy" | "DetachRolePolicy" => {
            form.get("PolicyArn").into_iter().for_each(|arn| context.set("iam:PolicyARN", arn));
        }
        "CreateUser" | "CreateRole" | "PutUserPermissionsBoundary" | "PutRolePermissionsBoundary" => {
            form.get("PermissionsBoundary").into_iter().for_each(|arn| context.set(BOUNDARY, arn));
        }
        _ => {}
    }
    match action {
        "CreateUser"
        | "CreateRole"
        | "CreatePolicy"
        | "CreateOpenIDConnectProvider"
        | "TagUser"
        | "TagRole"
        | "TagPolicy"
        | "TagOpenIDConnectProvider" => {
            let tags = form.unchecked_tags()?;
            context.set_tags("aws:RequestTag/", &tags);
            context.set_all("aws:TagKeys", tags.into_iter().map(|(key, _)| key).collect());
        }
        "UntagUser" | "UntagRole" | "UntagPolicy" | "UntagOpenIDConnectProvider" => {
            let keys = form.members("TagKeys", "").into_iter().map(str::to_owned);
            context.set_all("aws:TagKeys", keys.collect());
        }
        _ => {}
    }
    Ok(())
}

/// Sets the keys that are about what an action is asked of, if it is there.
pub(super) fn describe_resource(
    action: &str,
    arn: &str,
    account: &str,
    state: &State,
    context: &mut Context,
) {
    let Some(found) = Resource::find(state, account, arn) else { return };
    let families = if found.is_identity { &RESOURCE_TAGS[..] } else { &RESOURCE_TAGS[..1] };
    for family in families {
        context.set_tags(family, found.tags);
    }
    if let Some(boundary) = found.boundary.filter(|_| is_bounded(action)) {
        context.set(BOUNDARY, boundary);
    }
}

/// Whether an action may be allowed only where users and roles have a certain boundary.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate>
fn is_bounded(action: &str) -> bool {
    matches!(
        action.strip_prefix("iam:").unwrap_or_default(),
        "AttachUserPolicy"
            | "AttachRolePolicy"
            | "DetachUserPolicy"
            | "DetachRolePolicy"
            | "PutUserPolicy"
            | "PutRolePolicy"
            | "DeleteUserPolicy"
            | "DeleteRolePolicy"
            | "DeleteUserPermissionsBoundary"
            | "DeleteRolePermissionsBoundary"
    )
}

/// What has tags.
struct Resource<'s> {
    tags: &'s [Tag],
    boundary: Option<&'s str>,
    is_identity: bool,
}

impl<'s> Resource<'s> {
    fn find(state: &'s State, account: &str, arn: &str) -> Option<Self> {
        let rest = arn.strip_prefix("arn:aws:iam::")?.strip_prefix(account)?.strip_prefix(':')?;
        let (kind, path) = rest.split_once('/')?;
        let name = path.rsplit('/').next()?;
        match kind {
            "user" => {
                let user = state.user(account, name).ok().filter(|user| user.head.arn(Kind::User) == arn)?;
                Some(Self { tags: &user.tags, boundary: user.boundary.as_deref(), is_identity: true })
            }
            "role" => {
                let role = state.role(account, name).ok().filter(|role| role.head.arn(Kind::Role) == arn)?;
                Some(Self { tags: &role.tags, boundary: role.boundary.as_deref(), is_identity: true })
            }
            "policy" => Some(Self::other(&state.policy_of(account, arn).ok()?.tags)),
            "oidc-provider" => Some(Self::other(&state.provider_of(account, arn).ok()?.tags)),
            _ => None,
        }
    }

    fn other(tags: &'s [Tag]) -> Self {
        Self { tags, boundary: None, is_identity: false }
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
