//! AWS's quotas.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

use granary_auth::policy::{Policy, PolicyKind};

use crate::documents::Kind;
use crate::error::{IamError, Result};

pub(crate) const USERS: usize = 5_000;
pub(crate) const GROUPS: usize = 300;
/// OpenID Connect providers of an account.
pub(crate) const PROVIDERS: usize = 100;
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

/// Whether policies are together no longer than `limit` characters. White space does not count, as long as it is no more
/// than as much again: all policies are held in memory.
pub(crate) fn fit<'t>(texts: impl IntoIterator<Item = &'t str>, limit: usize) -> bool {
    let (mut counted, mut length_bytes) = (0_usize, 0_usize);
    for text in texts {
        counted = counted.saturating_add(text.chars().filter(|c| !c.is_whitespace()).count());
        length_bytes = length_bytes.saturating_add(text.len());
    }
    counted <= limit && length_bytes <= limit.saturating_mul(2)
}

/// Checks the text of a policy.
///
/// # Errors
/// `MalformedPolicyDocument`; `LimitExceeded` if it is longer than `limit`.
pub(crate) fn check_policy(text: &str, kind: PolicyKind<'_>, limit: usize) -> Result<()> {
    if !fit([text], limit) {
        return Err(IamError::limit("PolicySize", limit));
    }
    Policy::parse(text.as_bytes(), kind).map(drop).map_err(IamError::from)
}
