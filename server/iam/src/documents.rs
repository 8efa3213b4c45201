//! The documents that identities are kept as: JSON, so that later releases can add fields.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{IamError, Result};

/// A tag's key and value.
pub(crate) type Tag = (String, String);

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
pub(crate) struct KeyDocument {
    /// The public half.
    pub(crate) id: String,
    /// The secret half, sealed.
    pub(crate) sealed_secret: String,
    /// Whether it may sign.
    pub(crate) status: KeyStatus,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
}

/// What all buckets of an account may hold together. What is not given is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountQuota {
    /// Bytes of all versions and of parts of uploads in progress.
    pub bytes_max: Option<u64>,
    /// Versions, without delete markers.
    pub objects_max: Option<u64>,
}

/// An account, which is also its root user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountDocument {
    /// 12 digits.
    pub(crate) id: String,
    /// 64 hexadecimal digits.
    pub(crate) canonical_id: String,
    /// What the operator calls it.
    pub(crate) name: String,
    /// The name beside the canonical id.
    pub(crate) display_name: String,
    /// The address grants may name it by.
    pub(crate) email: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
    /// The keys of its root user.
    pub(crate) keys: Vec<KeyDocument>,
    /// How many requests a second its root user may send to each node.
    #[serde(default)]
    pub(crate) requests_per_s: Option<NonZeroU32>,
    /// What its buckets may hold together.
    #[serde(default)]
    pub(crate) quota: AccountQuota,
}

/// What users, groups, roles and policies have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The account, 12 digits.
    pub(crate) account: String,
    /// The name, as it was given; it is unique whatever its case.
    pub(crate) name: String,
    /// The path, with a slash at both ends.
    pub(crate) path: String,
    /// The unique id, which never comes again.
    pub(crate) id: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
}

/// The policies of a user, group or role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grants {
    /// Inline policies by name.
    pub(crate) inline: BTreeMap<String, String>,
    /// The ARNs of attached policies.
    pub(crate) attached: Vec<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserDocument {
    /// Name and id.
    pub(crate) head: Head,
    /// Its access keys.
    pub(crate) keys: Vec<KeyDocument>,
    /// Its policies.
    pub(crate) grants: Grants,
    /// The unique ids of its groups.
    pub(crate) groups: Vec<String>,
    /// The ARN of its permissions boundary.
    pub(crate) boundary: Option<String>,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
    /// How many requests a second it may send to each node.
    #[serde(default)]
    pub(crate) requests_per_s: Option<NonZeroU32>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupDocument {
    /// Name and id.
    pub(crate) head: Head,
    /// Its policies.
    pub(crate) grants: Grants,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleDocument {
    /// Name and id.
    pub(crate) head: Head,
    /// Who may assume it, with the unique ids of users and roles; with their ARNs where an older release kept it.
    pub(crate) trust: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The longest session.
    pub(crate) max_session_s: u32,
    /// Its policies.
    pub(crate) grants: Grants,
    /// The ARN of its permissions boundary.
    pub(crate) boundary: Option<String>,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
}

/// A version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyVersion {
    /// Its number: `v1` is 1.
    pub(crate) number: u32,
    /// The policy.
    pub(crate) text: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
}

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyDocument {
    /// Name and id.
    pub(crate) head: Head,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Its versions, oldest first.
    pub(crate) versions: Vec<PolicyVersion>,
    /// The version in effect.
    pub(crate) default_version: u32,
    /// The number of the next version: numbers never come again.
    pub(crate) next_version: u32,
    /// When it was changed last, in milliseconds since the Unix epoch.
    pub(crate) updated_ms: i64,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
}

impl PolicyDocument {
    /// The policy in effect; nothing if the document does not hold it.
    #[must_use]
    pub(crate) fn text(&self) -> Option<&str> {
        let version = self.versions.iter().find(|version| version.number == self.default_version);
        version.map(|version| version.text.as_str())
    }
}

/// An OpenID Connect provider whose tokens roles of the account may trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderDocument {
    /// The account, 12 digits.
    pub(crate) account: String,
    /// The URL of the issuer, with `https://`.
    pub(crate) url: String,
    /// For whom tokens may be.
    pub(crate) client_ids: Vec<String>,
    /// What AWS once identified certificates by; kept and shown.
    pub(crate) thumbprints: Vec<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) created_ms: i64,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
}

impl ProviderDocument {
    /// The URL without its scheme, by which ARNs and condition keys name it.
    #[must_use]
    pub(crate) fn place(&self) -> &str {
        self.url.strip_prefix("https://").unwrap_or(&self.url)
    }

    /// `arn:aws:iam::ACCOUNT:oidc-provider/PLACE`.
    #[must_use]
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:oidc-provider/{}", self.account, self.place())
    }
}

/// The key that secrets are sealed with, itself sealed by one that is derived from the root secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VaultDocument {
    /// The sealed key.
    pub(crate) sealed_key: String,
}

/// The last use of an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UseDocument {
    /// The key.
    pub(crate) access_key: String,
    /// When it was, in milliseconds since the Unix epoch.
    pub(crate) used_ms: i64,
    /// The service that was asked, by its name in signatures.
    pub(crate) service: String,
    /// The region that the request was signed for; empty for none.
    pub(crate) region: String,
}

/// Any document.
#[derive(Debug, Clone)]
pub(crate) enum Document {
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
    /// The last use of a key.
    Use(Arc<UseDocument>),
    /// An identity provider.
    Provider(Arc<ProviderDocument>),
}

/// What an account has in it. Names of documents begin with the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Group,
    Role,
    Policy,
}

impl Kind {
    /// The word in names and messages.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::Policy => "policy",
        }
    }

    /// The name of the document of something of this kind. Case does not tell names apart.
    #[must_use]
    pub(crate) fn document_name(self, account: &str, name: &str) -> String {
        format!("{}/{account}/{}", self.word(), name.to_ascii_lowercase())
    }

    /// What the names of all of this kind in an account begin with.
    #[must_use]
    pub(crate) fn prefix(self, account: &str) -> String {
        format!("{}/{account}/", self.word())
    }
}

/// The name of an account's document.
#[must_use]
pub(crate) fn account_document(id: &str) -> String {
    format!("account/{id}")
}

/// What the names of the documents of an account's identity providers begin with.
#[must_use]
pub(crate) fn providers_of(account: &str) -> String {
    format!("oidc-provider/{account}/")
}

/// The name of an identity provider's document.
#[must_use]
pub(crate) fn provider_document(account: &str, place: &str) -> String {
    format!("{}{place}", providers_of(account))
}

/// What the names of the documents of uses begin with.
pub(crate) const USES: &str = "use/";

/// The name of the document of a key's last use.
#[must_use]
pub(crate) fn use_document(access_key: &str) -> String {
    format!("{USES}{access_key}")
}

/// The name of the sealing key's document.
pub(crate) const VAULT_DOCUMENT: &str = "vault/key";

impl Document {
    /// Reads the document of that name.
    ///
    /// # Errors
    /// A kind that is not known, or a document that cannot be read.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self> {
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
            "use" => json(name, bytes).map(Self::Use),
            "oidc-provider" => json(name, bytes).map(Self::Provider),
            _ => Err(IamError::Unusable(format!("the document {name:?} is of no known kind"))),
        }
    }

    /// The bytes to be stored.
    ///
    /// # Errors
    /// None that documents can cause.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = match self {
            Self::Account(document) => serde_json::to_vec(&**document),
            Self::User(document) => serde_json::to_vec(&**document),
            Self::Group(document) => serde_json::to_vec(&**document),
            Self::Role(document) => serde_json::to_vec(&**document),
            Self::Policy(document) => serde_json::to_vec(&**document),
            Self::Vault(document) => serde_json::to_vec(&**document),
            Self::Use(document) => serde_json::to_vec(&**document),
            Self::Provider(document) => serde_json::to_vec(&**document),
        };
        bytes.map_err(|error| IamError::Unusable(format!("a document cannot be written: {error}")))
    }
}

/// ARNs.
impl Head {
    /// `arn:aws:iam::ACCOUNT:KIND/PATH/NAME`.
    #[must_use]
    pub(crate) fn arn(&self, kind: Kind) -> String {
        format!("arn:aws:iam::{}:{}{}{}", self.account, kind.word(), self.path, self.name)
    }
}
