//! Session tokens: all there is to know of temporary credentials, sealed. Nothing of them is stored, and every node that
//! has the store's key understands them.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{IamError, Result};
use crate::marks::{self, Marks};
use crate::vault::{Purpose, Vault};

/// What policies and tags may take of a token with tags: it is sent with every request, whose headers have 16 KiB.
const PACKED_BYTES_MAX: usize = 8 * 1024;

/// Who a session acts for, by unique ids: a user that was deleted and made again is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// The root user of the account.
    Root,
    /// A user.
    User { id: String },
    /// A role, in a session of that name.
    Role { id: String, session: String },
    /// The same with marks. Releases that know of none refuse such a token: overlooking what policies deny by the marks
    /// would be worse.
    MarkedRole { id: String, session: String, marks: Marks },
}

impl Subject {
    /// A role, in a session of that name and with those marks.
    pub(crate) fn role(id: &str, session: &str, marks: Marks) -> Self {
        let (id, session) = (id.to_owned(), session.to_owned());
        if marks == marks::NONE {
            Self::Role { id, session }
        } else {
            Self::MarkedRole { id, session, marks }
        }
    }

    /// The marks of the session.
    pub(crate) fn marks(&self) -> &Marks {
        match self {
            Self::MarkedRole { marks, .. } => marks,
            Self::Root | Self::User { .. } | Self::Role { .. } => &marks::NONE,
        }
    }
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) access_key: String,
    #[serde(with = "wiped")]
    pub(crate) secret: Zeroizing<String>,
    pub(crate) account: String,
    pub(crate) subject: Subject,
    /// The long-term key that the first session of a chain was made with, or the ARN of the identity provider.
    pub(crate) parent: String,
    pub(crate) issued_s: i64,
    pub(crate) expires_s: i64,
    /// The session policy.
    pub(crate) policy: Option<String>,
    /// Managed policies that are session policies.
    pub(crate) policy_arns: Vec<String>,
    /// Tokens of earlier releases do not say it. All of them count as the first of their chain: later ones last an hour at most.
    #[serde(default, skip_serializing_if = "Link::is_first")]
    pub(crate) link: Link,
}

/// Where in a chain of sessions one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Link {
    /// It was made with what [`Token::parent`] names.
    #[default]
    First,
    /// It was made with another session.
    Later,
}

impl Link {
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}

/// A text that is wiped from memory when it is dropped.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Zeroizing<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Token {
    /// The text that the client sends with each request.
    pub(crate) fn seal(&self, vault: &Vault) -> Result<String> {
        let text = serde_json::to_vec(self)
            .map_err(|error| IamError::Unusable(format!("a token cannot be written: {error}")))?;
        vault.seal(Purpose::Token, &Zeroizing::new(text))
    }

    /// How much of the space for them the session's policies and tags take, in percent; `None` if there are none. Only with tags
    /// it can be more than there is: policies alone have bounds of their own, and whatever these let pass is valid.
    pub(crate) fn packed_percent(&self) -> Option<usize> {
        let marks = self.subject.marks();
        if self.policy.is_none() && self.policy_arns.is_empty() && !marks.has_tags() {
            return None;
        }
        let packed = (&self.policy, &self.policy_arns, &marks.tags, &marks.transitive_tags);
        let bytes = serde_json::to_vec(&packed).map_or(usize::MAX, |packed| packed.len());
        let percent = bytes.saturating_mul(100).div_ceil(PACKED_BYTES_MAX);
        Some(if marks.has_tags() { percent } else { percent.min(100) })
    }

    /// What the text says, if it was sealed here and is unchanged.
    pub(crate) fn open(vault: &Vault, text: &str) -> Option<Self> {
        serde_json::from_slice(&vault.open(Purpose::Token, text)?).ok()
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
