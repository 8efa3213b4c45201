//! Whose requests these are: accounts, and the users and sessions that act in them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use crate::policy::{Named, Policy};

/// An account. Buckets and objects belong to accounts; users and roles act in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// 12 decimal digits, as ARNs and `x-amz-expected-bucket-owner` have them.
    pub id: String,
    /// 64 hexadecimal digits, as `<Owner><ID>` and grants have them.
    pub canonical_id: String,
    /// The name beside the canonical id.
    pub display_name: String,
    /// The address that grants may name the account by, if it has one.
    pub email: Option<String>,
}

/// What kind of identity it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// The root user of an account: within its account it may do what no policy of a resource forbids.
    AccountRoot,
    /// An IAM user, who may do what its policies allow.
    User,
    /// A session of a role.
    AssumedRole,
}

/// What temporary credentials add to an identity.
#[derive(Clone, Debug)]
pub struct Session {
    /// When they were issued: `aws:TokenIssueTime`.
    pub issued_at: SystemTime,
    /// When they end. The credential source refuses them from then on.
    pub expires_at: SystemTime,
    /// The long-term access key that they were made with, or that the first session of a chain was: they end with it.
    pub parent: String,
    /// The session policies; none that is empty. Given any, the session may do only what one of them allows too.
    pub policies: Vec<Arc<Policy>>,
    /// The tags that sessions inherit which are made with this one, and cannot change. They are among the identity's, too.
    pub transitive_tags: Vec<(String, String)>,
    /// `aws:SourceIdentity`: whom a chain of sessions began with, as they themselves or their identity provider said.
    pub source_identity: Option<String>,
    /// `aws:FederatedProvider`: the ARN of the identity provider whose token the role was assumed with.
    pub provider: Option<String>,
}

/// Who signed a request, other than the root user of the store, with everything that decides what they may do.
///
/// Identities are made anew whenever one of their policies changes; nothing in one changes.
#[derive(Clone)]
pub struct Identity {
    /// The account it acts in.
    pub account: Arc<Account>,
    /// What kind it is.
    pub kind: IdentityKind,
    /// `arn:aws:iam::ACCOUNT:root`, `arn:aws:iam::ACCOUNT:user/PATH/NAME` or
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// For a session of a role, the ARN of the role: policies may name either as principal.
    pub role_arn: Option<String>,
    /// `aws:userid`: the account's id for its root user, `AIDA…` for a user, `AROA…:SESSION` for a session of a role.
    pub user_id: String,
    /// The path, with a slash at both ends.
    pub path: String,
    /// The name of the user or role without its path; empty for an account's root user.
    pub name: String,
    /// The access key that signed.
    pub access_key: Arc<str>,
    /// All identity policies in effect: inline, attached, and those of groups.
    pub policies: Vec<Arc<Policy>>,
    /// The permissions boundary: what it does not allow, no policy of the identity grants.
    pub boundary: Option<Arc<Policy>>,
    /// `aws:PrincipalTag/…`.
    pub tags: Vec<(String, String)>,
    /// What temporary credentials add; `None` for long-term keys.
    pub session: Option<Session>,
    /// How many requests a second it may send to each node; `None` for as many as it likes.
    pub rate: Option<RateLimit>,
}

/// How many requests somebody may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose requests are counted together: a user's, with those of all keys and sessions of theirs.
    pub subject: Arc<str>,
    /// Requests a second.
    pub requests_per_s: NonZeroU32,
}

impl Identity {
    /// `aws:username`, which only IAM users have.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        (self.kind == IdentityKind::User).then_some(&*self.name)
    }

    /// `aws:PrincipalArn`: the role for sessions of roles, the identity itself otherwise.
    #[must_use]
    pub fn principal_arn(&self) -> &str {
        self.role_arn.as_deref().unwrap_or(&self.arn)
    }

    /// `aws:PrincipalType`.
    #[must_use]
    pub fn principal_type(&self) -> &'static str {
        match self.kind {
            IdentityKind::AccountRoot => "Account",
            IdentityKind::User => "User",
            IdentityKind::AssumedRole => "AssumedRole",
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("arn", &self.arn)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// The same identity, signing with the same key.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.arn == other.arn && self.access_key == other.access_key
    }
}

impl Eq for Identity {}

/// Where accounts, and the users and roles that policies name, are looked up. Called within requests, so it must be quick and must
/// not block on I/O.
pub trait Directory: Send + Sync {
    /// The account of that id, 12 digits.
    fn by_id(&self, id: &str) -> Option<Arc<Account>>;

    /// The account that the operator calls so; none where several are called so.
    fn by_name(&self, name: &str) -> Option<Arc<Account>>;

    /// The account of that canonical id, 64 hexadecimal digits.
    fn by_canonical_id(&self, canonical_id: &str) -> Option<Arc<Account>>;

    /// The account that has that address, whatever its case.
    fn by_email(&self, email: &str) -> Option<Arc<Account>>;

    /// Who has that ARN of a user or a role.
    fn named(&self, arn: &str) -> Named;

    /// The ARN that the user or role of that unique id has now; none after it was deleted.
    fn arn_of(&self, id: &str) -> Option<String>;
}
