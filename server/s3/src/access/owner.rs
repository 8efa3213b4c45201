//! Whose buckets and objects are.

use granary_auth::Principal;
use granary_engine::Bucket;

use crate::state::S3Config;

/// What the owners of buckets begin with that were stored since there are several accounts. Earlier ones are access
/// keys of the root user of the store.
const STORED: &str = "account:";

/// The id of the account that an owner is, as buckets are stored with it; `None` for that of the store's root user where it
/// was stored before there were others.
#[must_use]
pub fn account_of_owner(stored: &str) -> Option<&str> {
    stored.strip_prefix(STORED)?.split(':').next()
}

/// An account that owns something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// 12 digits.
    pub(crate) account: String,
    /// The canonical user id.
    pub(crate) canonical: String,
    /// What it is called.
    pub(crate) display_name: String,
}

impl Owner {
    /// The account of the store's root user.
    pub(crate) fn root(config: &S3Config) -> Self {
        Self {
            account: config.account_id.clone(),
            canonical: config.owner_id.clone(),
            display_name: "granary".to_owned(),
        }
    }

    /// Whoever did not sign. Source: "Who is the owner of an unauthenticated PUT",
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>
    pub(crate) fn anonymous() -> Self {
        Self {
            account: String::new(),
            canonical: "65a011a29cdf8ec533ec3d1ccaae921c".to_owned(),
            display_name: String::new(),
        }
    }

    /// The account that a request acts for, if any.
    pub(crate) fn of_principal(principal: &Principal, config: &S3Config) -> Option<Self> {
        match principal {
            Principal::Anonymous => None,
            Principal::Root { .. } => Some(Self::root(config)),
            Principal::User(identity) => Some(Self {
                account: identity.account.id.clone(),
                canonical: identity.account.canonical_id.clone(),
                display_name: identity.account.display_name.clone(),
            }),
        }
    }

    /// The account that a bucket belongs to.
    pub(crate) fn of_bucket(bucket: &Bucket, config: &S3Config) -> Self {
        Self::of_stored(&bucket.owner, config)
    }

    /// The account that [`Self::stored`] gave.
    pub(crate) fn of_stored(text: &str, config: &S3Config) -> Self {
        let mut parts = text.strip_prefix(STORED).unwrap_or_default().splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(account), Some(canonical), Some(display_name)) => Self {
                account: account.to_owned(),
                canonical: canonical.to_owned(),
                display_name: display_name.to_owned(),
            },
            _ => Self::root(config),
        }
    }

    /// The text that the engine keeps.
    pub(crate) fn stored(&self) -> String {
        format!("{STORED}{}:{}:{}", self.account, self.canonical, self.display_name)
    }
}
