//! AWS's quotas.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

use granary_auth::policy::{Policy, PolicyKind};

use crate::documents::Kind;
use crate::error::{Code, IamError, Result};

pub(crate) const USERS: usize = 5_000;
pub(crate) const GROUPS: usize = 300;
pub(crate) const ROLES: usize = 1_000;
pub(crate) const POLICIES: usize = 1_500;
pub(crate) const GROUPS_PER_USER: usize = 10;
pub(crate) const KEYS_PER_USER: usize = 2;
pub(crate) const ATTACHED: usize = 10;
pub(crate) const VERSIONS: usize = 5;
pub(crate) const MANAGED_POLICY_CHARS: usize = 6_144;
pub(crate) const TRUST_POLICY_CHARS: usize = 2_048;
pub(crate) const SESSION_POLICY_CHARS: usize = 2_048;

/// How much all inline policies of something have together.
pub(crate) fn inline_chars(kind: Kind) -> usize {
    match kind {
        Kind::User => 2_048,
        Kind::Group => 5_120,
        _ => 10_240,
    }
}

/// The characters of a policy that count: white space does not.
pub(crate) fn counted(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Checks the text of a policy.
///
/// # Errors
/// `MalformedPolicyDocument`; `LimitExceeded` if it is longer than `limit`.
pub(crate) fn check_policy(text: &str, kind: PolicyKind<'_>, limit: usize) -> Result<()> {
    if counted(text) > limit {
        return Err(IamError::limit("PolicySize", limit));
    }
    Policy::parse(text.as_bytes(), kind).map(drop).map_err(IamError::from)
}

/// An entity of that name is there already.
pub(crate) fn exists(kind: Kind, name: &str) -> IamError {
    let mut word = kind.word().to_owned();
    word.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
    IamError::new(Code::EntityAlreadyExists, format!("{word} with name {name} already exists."))
}
