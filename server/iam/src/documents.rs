//! The documents that identities are kept as: JSON, so that later releases can add fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{IamError, Result};

/// A tag's key and value.
pub type Tag = (String, String);

/// Whether an access key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// It may.
    Active,
    /// It may not, until it is active again.
    Inactive,
}

impl KeyStatus {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    /// The public half.
    pub id: String,
    /// The secret half, sealed.
    pub sealed_secret: String,
    /// Whether it may sign.
    pub status: KeyStatus,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// An account, which is also its root user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDocument {
    /// 12 digits.
    pub id: String,
    /// 64 hexadecimal digits.
    pub canonical_id: String,
    /// What the operator calls it.
    pub name: String,
    /// The name beside the canonical id.
    pub display_name: String,
    /// The address grants may name it by.
    pub email: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The keys of its root user.
    pub keys: Vec<KeyDocument>,
}

/// What users, groups, roles and policies have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The account, 12 digits.
    pub account: String,
    /// The name, as it was given; it is unique whatever its case.
    pub name: String,
    /// The path, with a slash at both ends.
    pub path: String,
    /// The unique id, which never comes again.
    pub id: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// The policies of a user, group or role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of attached policies.
    pub attached: Vec<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDocument {
    /// Name and id.
    pub head: Head,
    /// Its access keys.
    pub keys: Vec<KeyDocument>,
    /// Its policies.
    pub grants: Grants,
    /// The unique ids of its groups.
    pub groups: Vec<String>,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDocument {
    /// Name and id.
    pub head: Head,
    /// Its policies.
    pub grants: Grants,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDocument {
    /// Name and id.
    pub head: Head,
    /// Who may assume it.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// The longest session.
    pub max_session_s: u32,
    /// Its policies.
    pub grants: Grants,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number: `v1` is 1.
    pub number: u32,
    /// The policy.
    pub text: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDocument {
    /// Name and id.
    pub head: Head,
    /// What it is for.
    pub description: Option<String>,
    /// Its versions, oldest first.
    pub versions: Vec<PolicyVersion>,
    /// The version in effect.
    pub default_version: u32,
    /// The number of the next version: numbers never come again.
    pub next_version: u32,
    /// When it was changed last, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl PolicyDocument {
    /// The policy in effect; nothing if the document does not hold it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let version = self.versions.iter().find(|version| version.number == self.default_version);
        version.map(|version| version.text.as_str())
    }
}

/// The key that secrets are sealed with, itself sealed by one that is derived from the root secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultDocument {
    /// The sealed key.
    pub sealed_key: String,
}

/// Any document.
#[derive(Debug, Clone)]
pub enum Document {
    /// An account.
    Account(Arc<AccountDocument>),
    /// A user.
    User(Arc<UserDocument>),
    /// A group.
    Group(Arc<GroupDocument>),
    /// A role.
    Role(Arc<RoleDocument>),
    /// A managed policy.
    Policy(Arc<PolicyDocument>),
    /// The sealing key.
    Vault(Arc<VaultDocument>),
}

/// The kinds, as names of documents begin with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are those of the documents")]
pub enum Kind {
    Account,
    User,
    Group,
    Role,
    Policy,
    Vault,
}

impl Kind {
    /// The word in names and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::Vault => "vault",
        }
    }

    /// The name of the document of something of this kind. Case does not tell names apart.
    #[must_use]
    pub fn document_name(self, account: &str, name: &str) -> String {
        format!("{}/{account}/{}", self.word(), name.to_ascii_lowercase())
    }

    /// What the names of all of this kind in an account begin with.
    #[must_use]
    pub fn prefix(self, account: &str) -> String {
        format!("{}/{account}/", self.word())
    }
}

/// The name of an account's document.
#[must_use]
pub fn account_document(id: &str) -> String {
    format!("account/{id}")
}

/// The name of the sealing key's document.
pub const VAULT_DOCUMENT: &str = "vault/key";

impl Document {
    /// Reads the document of that name.
    ///
    /// # Errors
    /// A kind that is not known, or a document that cannot be read.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        fn json<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<Arc<T>> {
            // The parser's message could quote the document, so its text is left out.
            let unreadable = |error: serde_json::Error| {
                IamError::Unusable(format!(
                    "the document {name:?} cannot be read at column {}",
                    error.column()
                ))
            };
            serde_json::from_slice(bytes).map(Arc::new).map_err(unreadable)
        }
        match name.split('/').next().unwrap_or_default() {
            "account" => json(name, bytes).map(Self::Account),
            "user" => json(name, bytes).map(Self::User),
            "group" => json(name, bytes).map(Self::Group),
            "role" => json(name, bytes).map(Self::Role),
            "policy" => json(name, bytes).map(Self::Policy),
            "vault" => json(name, bytes).map(Self::Vault),
            _ => Err(IamError::Unusable(format!("the document {name:?} is of no known kind"))),
        }
    }

    /// The bytes to be stored.
    ///
    /// # Errors
    /// None that documents can cause.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = match self {
            Self::Account(document) => serde_json::to_vec(&**document),
            Self::User(document) => serde_json::to_vec(&**document),
            Self::Group(document) => serde_json::to_vec(&**document),
            Self::Role(document) => serde_json::to_vec(&**document),
            Self::Policy(document) => serde_json::to_vec(&**document),
            Self::Vault(document) => serde_json::to_vec(&**document),
        };
        bytes.map_err(|error| IamError::Unusable(format!("a document cannot be written: {error}")))
    }
}

/// ARNs.
impl Head {
    /// `arn:aws:iam::ACCOUNT:KIND/PATH/NAME`.
    #[must_use]
    pub fn arn(&self, kind: Kind) -> String {
        format!("arn:aws:iam::{}:{}{}{}", self.account, kind.word(), self.path, self.name)
    }
}
