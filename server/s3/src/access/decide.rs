//! How the policies of the caller and of the bucket combine.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html>

use granary_auth::policy::{Caller, Decision, Grant, PolicyRequest, ResourceDecision, evaluate};
use granary_auth::{Identity, IdentityKind, Principal};

use super::owner::Owner;
use super::rules::{Rules, Stored};

/// The actions that the root user of a bucket's owner keeps whatever the policy says, so that no policy locks out for
/// good.
const KEPT: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// Nothing allows it.
    Denied,
    /// A statement denies it, whatever allows it.
    Forbidden,
}

/// What the ACL of the bucket or the object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AclSays {
    /// It grants what is asked for.
    Granted,
    /// It does not.
    Nothing,
}

/// What access control lists make of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    pub(super) says: AclSays,
    /// The canonical user id of the object's owner, where that may be another than the bucket's.
    pub(super) object_owner: Option<&'a str>,
}

impl Lists<'_> {
    /// Where lists do not count.
    pub(super) const NONE: Self = Self { says: AclSays::Nothing, object_owner: None };
}

impl Verdict {
    fn when(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Denied }
    }
}

/// Decides a request of a principal of the account `own`.
pub(super) fn decide(
    principal: &Principal,
    own: Option<&Owner>,
    rules: Option<&Rules>,
    request: &PolicyRequest<'_>,
    lists: Lists<'_>,
) -> Verdict {
    let owns = rules.zip(own).is_some_and(|(rules, own)| rules.owner.account == own.account);
    let caller = caller(principal, own);
    let keeps = KEPT.contains(&request.action)
        && (matches!(principal, Principal::Root { .. }) || owns && matches!(caller, Caller::Root { .. }));
    let of_bucket = match rules {
        _ if keeps => ResourceDecision::ImplicitDeny,
        Some(rules) => of_bucket(rules, &caller, request, owns),
        None => ResourceDecision::ImplicitDeny,
    };
    if of_bucket == ResourceDecision::ExplicitDeny {
        return Verdict::Forbidden;
    }
    // The bucket's owner cannot let anybody at the objects of others.
    let is_others =
        lists.object_owner.zip(rules).is_some_and(|(object, rules)| object != rules.owner.canonical);
    let of_bucket = if is_others { ResourceDecision::ImplicitDeny } else { of_bucket };
    let owns = match lists.object_owner {
        Some(object) => own.is_some_and(|own| own.canonical == object),
        None => owns,
    };
    match principal {
        Principal::Root { .. } => Verdict::Allowed,
        Principal::Anonymous => {
            Verdict::when(matches!(of_bucket, ResourceDecision::Allow(_)) || lists.says == AclSays::Granted)
        }
        Principal::User(identity) => {
            of_identity(identity, request, of_bucket, (rules.is_none() || owns, lists.says))
        }
    }
}

fn caller<'a>(principal: &'a Principal, own: Option<&'a Owner>) -> Caller<'a> {
    match (principal, own) {
        (Principal::User(identity), _) => Caller::from(&**identity),
        (Principal::Root { .. }, Some(own)) => {
            Caller::Root { account: &own.account, canonical: &own.canonical }
        }
        (Principal::Anonymous | Principal::Root { .. }, _) => Caller::Anonymous,
    }
}

/// What the bucket's policy says, with public access restricted if it is.
fn of_bucket(
    rules: &Rules,
    caller: &Caller<'_>,
    request: &PolicyRequest<'_>,
    owns: bool,
) -> ResourceDecision {
    match &rules.policy {
        Stored::Absent => ResourceDecision::ImplicitDeny,
        Stored::Unreadable => ResourceDecision::ExplicitDeny,
        Stored::Present(policy) => match policy.decide(caller, request) {
            ResourceDecision::Allow(_) if rules.policy_is_public && rules.block.restrict && !owns => {
                ResourceDecision::ImplicitDeny
            }
            decision => decision,
        },
    }
}

/// Within an account, its own policies or the resource's are enough; between accounts, both are needed.
fn of_identity(
    identity: &Identity,
    request: &PolicyRequest<'_>,
    of_bucket: ResourceDecision,
    (owns, acl): (bool, AclSays),
) -> Verdict {
    let of_policies = evaluate(identity.policies.iter().map(|policy| &**policy), request);
    let boundary = identity.boundary.as_deref().map(|boundary| evaluate([boundary], request));
    let session = identity.session.as_ref().filter(|session| !session.policies.is_empty());
    let session = session.map(|session| evaluate(session.policies.iter().map(|policy| &**policy), request));
    if [Some(of_policies), boundary, session].contains(&Some(Decision::ExplicitDeny)) {
        return Verdict::Forbidden;
    }
    let within = |narrowing: Option<Decision>| narrowing.is_none_or(|decision| decision == Decision::Allow);
    let has_everything = identity.kind == IdentityKind::AccountRoot;
    let narrowed = within(boundary) && within(session);
    let by_policies = (has_everything || of_policies == Decision::Allow) && narrowed;
    if !owns {
        let let_in = matches!(of_bucket, ResourceDecision::Allow(_)) || acl == AclSays::Granted;
        return Verdict::when(by_policies && let_in);
    }
    // Source: "Evaluating identity-based policies with resource-based policies" and "… with permissions boundaries".
    let by_resource = match of_bucket {
        ResourceDecision::Allow(Grant::Caller) => {
            identity.kind == IdentityKind::AssumedRole || within(session)
        }
        ResourceDecision::Allow(Grant::Role | Grant::Anyone) => narrowed,
        ResourceDecision::Allow(Grant::Account)
        | ResourceDecision::ImplicitDeny
        | ResourceDecision::ExplicitDeny => false,
    };
    Verdict::when(by_policies || by_resource)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
