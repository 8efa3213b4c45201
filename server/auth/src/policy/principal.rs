//! Who a policy speaks of, and whether that is who asks.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use super::error::PolicyError;
use super::evaluate::Grant;
use super::json::Json;
use crate::identity::{Identity, IdentityKind};

/// Who asks, as the policy of a resource sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// Somebody who did not sign.
    Anonymous,
    /// A service of this server, by its name such as `logging.s3.amazonaws.com`.
    Service(&'a str),
    /// The root user of an account.
    Root {
        /// The account's 12 digits.
        account: &'a str,
        /// The account's canonical user id.
        canonical: &'a str,
    },
    /// A user of an account.
    User {
        /// The account's 12 digits.
        account: &'a str,
        /// The account's canonical user id.
        canonical: &'a str,
        /// The user's ARN.
        arn: &'a str,
        /// The user's unique id.
        id: &'a str,
    },
    /// Somebody whom an identity provider vouches for.
    Federated {
        /// The provider's ARN.
        provider: &'a str,
    },
    /// A session of a role.
    Session {
        /// The account's 12 digits.
        account: &'a str,
        /// The account's canonical user id.
        canonical: &'a str,
        /// The session's ARN.
        arn: &'a str,
        /// The role's ARN.
        role_arn: &'a str,
        /// The role's unique id.
        role_id: &'a str,
    },
}

impl<'a> From<&'a Identity> for Caller<'a> {
    fn from(identity: &'a Identity) -> Self {
        let (account, canonical) = (&*identity.account.id, &*identity.account.canonical_id);
        match (identity.kind, &identity.role_arn) {
            (IdentityKind::AccountRoot, _) => Self::Root { account, canonical },
            (IdentityKind::AssumedRole, Some(role_arn)) => {
                // The name of the session stands behind the colon.
                let role_id = identity.user_id.split(':').next().unwrap_or_default();
                Self::Session { account, canonical, arn: &identity.arn, role_arn, role_id }
            }
            _ => Self::User { account, canonical, arn: &identity.arn, id: &identity.user_id },
        }
    }
}

/// A principal that a statement lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PrincipalPattern {
    Anyone,
    /// An account's 12 digits.
    Account(String),
    /// The ARN of a session, or of a user or role that is not known by its id.
    Arn(String),
    /// The unique id of a user or role, which nobody else ever gets.
    Id(String),
    Canonical(String),
    Service(String),
    /// Whoever an identity provider vouches for, by its ARN.
    Federated(String),
}

impl PrincipalPattern {
    /// Reads `"*"` or an object of lists by kind.
    pub(super) fn list(json: &Json) -> Result<Vec<Self>, PolicyError> {
        if let Json::Text(text) = json {
            return if text == "*" { Ok(vec![Self::Anyone]) } else { Err(PolicyError::InvalidPrincipal) };
        }
        let kinds = json.members().map_err(|_| PolicyError::InvalidPrincipal)?;
        let mut found = Vec::new();
        for (kind, values) in kinds {
            let values = values.texts().map_err(|_| PolicyError::InvalidPrincipal)?;
            for value in values {
                found.push(Self::of(kind, value).ok_or(PolicyError::InvalidPrincipal)?);
            }
        }
        if found.is_empty() { Err(PolicyError::InvalidPrincipal) } else { Ok(found) }
    }

    fn of(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "AWS" if value == "*" => Some(Self::Anyone),
            "AWS" => aws(value),
            "CanonicalUser" => is_canonical(value).then(|| Self::Canonical(value.to_owned())),
            "Service" => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                (value.contains('.') && value.bytes().all(plain)).then(|| Self::Service(value.to_owned()))
            }
            "Federated" => (!value.is_empty()).then(|| Self::Federated(value.to_owned())),
            _ => None,
        }
    }

    /// How the caller is meant, if at all.
    pub(super) fn grant_to(&self, caller: &Caller<'_>) -> Option<Grant> {
        match (self, caller) {
            (Self::Federated(name), Caller::Federated { provider }) => {
                (name == provider).then_some(Grant::Caller)
            }
            // What a role trusts of other tokens must be named.
            (_, Caller::Federated { .. }) => None,
            (Self::Anyone, _) => Some(Grant::Anyone),
            (Self::Service(name), Caller::Service(own)) => (name == own).then_some(Grant::Caller),
            (Self::Account(id), _) => in_account(caller.account()? == id, caller),
            (Self::Canonical(id), _) => in_account(caller.canonical()? == id, caller),
            (Self::Arn(arn), Caller::User { arn: own, .. }) => (arn == own).then_some(Grant::Caller),
            (Self::Arn(arn), Caller::Session { arn: own, role_arn, .. }) => {
                if arn == own {
                    Some(Grant::Caller)
                } else {
                    (arn == role_arn).then_some(Grant::Role)
                }
            }
            (Self::Id(id), Caller::User { id: own, .. }) => (id == own).then_some(Grant::Caller),
            (Self::Id(id), Caller::Session { role_id, .. }) => (id == role_id).then_some(Grant::Role),
            _ => None,
        }
    }
}

/// An account speaks for its root user, and lets its other users in as far as its own policies do.
fn in_account(is_own: bool, caller: &Caller<'_>) -> Option<Grant> {
    let grant = if matches!(caller, Caller::Root { .. }) { Grant::Caller } else { Grant::Account };
    is_own.then_some(grant)
}

/// An account id, a unique id, or an ARN of an account, user, role or session.
fn aws(value: &str) -> Option<PrincipalPattern> {
    if is_account(value) {
        return Some(PrincipalPattern::Account(value.to_owned()));
    }
    if is_unique_id(value) {
        return Some(PrincipalPattern::Id(value.to_owned()));
    }
    let mut parts = value.splitn(6, ':');
    let arn = parts.next() == Some("arn") && parts.next()? == "aws";
    let service = parts.next()?;
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if !arn || !region.is_empty() || !is_account(account) || resource.contains(['*', '?']) {
        return None;
    }
    match (service, resource.split_once('/')) {
        ("iam", None) if resource == "root" => Some(PrincipalPattern::Account(account.to_owned())),
        ("iam", Some(("user" | "role", name))) | ("sts", Some(("assumed-role" | "federated-user", name))) => {
            (!name.is_empty()).then(|| PrincipalPattern::Arn(value.to_owned()))
        }
        _ => None,
    }
}

/// Whether it is the number of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is the ARN of a user or a role.
pub(super) fn is_identity(text: &str) -> bool {
    text.starts_with("arn:aws:iam:") && matches!(aws(text), Some(PrincipalPattern::Arn(_)))
}

/// Whether it is the unique id of a user or a role. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>
pub(super) fn is_unique_id(text: &str) -> bool {
    let is_of_either = text.starts_with("AIDA") || text.starts_with("AROA");
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    is_of_either && (16..=128).contains(&text.len()) && text.bytes().all(plain)
}

fn is_canonical(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl<'a> Caller<'a> {
    /// The account of the caller, if it has one.
    #[must_use]
    pub fn account(&self) -> Option<&'a str> {
        match self {
            Self::Anonymous | Self::Service(_) | Self::Federated { .. } => None,
            Self::Root { account, .. } | Self::User { account, .. } | Self::Session { account, .. } => {
                Some(account)
            }
        }
    }

    /// The canonical user id of the caller's account, if it has one.
    #[must_use]
    pub fn canonical(&self) -> Option<&'a str> {
        match self {
            Self::Anonymous | Self::Service(_) | Self::Federated { .. } => None,
            Self::Root { canonical, .. } | Self::User { canonical, .. } | Self::Session { canonical, .. } => {
                Some(canonical)
            }
        }
    }
}
