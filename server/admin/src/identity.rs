//! Users and keys, as documents of the API.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// An access key with its secret. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// A user of an account, or the root user of the account of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedUser {
    /// The account's id; none for a root user.
    pub account: Option<String>,
    /// The user's name; the account's, for a root user.
    pub name: String,
}

/// What becomes of an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    /// It may sign again.
    Enable,
    /// It may not sign.
    Disable,
    /// It is gone.
    Remove,
}

/// A user to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserToAdd {
    /// Its name.
    pub name: String,
    /// The account it is a user of; none: it gets one of its own, as its root user.
    pub account: Option<String>,
    /// Its key; one is made if there is none.
    pub key: Option<KeyPair>,
    /// The id of the new account, 12 digits.
    pub account_id: Option<String>,
    /// The canonical id of the new account, 64 hexadecimal digits.
    pub canonical_id: Option<String>,
    /// The name beside it.
    pub display_name: Option<String>,
    /// The address of the new account.
    pub email: Option<String>,
}

/// What is to be done with users, keys and their policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[allow(missing_docs, reason = "the fields are documented by their types")]
pub enum IdentityRequest {
    /// Make a user, with a key.
    AddUser(UserToAdd),
    /// Remove a user, or an account with nothing in it but its root user.
    RemoveUser { user: NamedUser },
    /// The root users of all accounts, or the users of one.
    ListUsers { account: Option<String> },
    /// One user.
    ShowUser { user: NamedUser },
    /// Give a user another key; one is made if there is none.
    AddKey { user: NamedUser, key: Option<KeyPair> },
    /// Enable, disable or remove a key.
    ChangeKey { access_key: String, action: KeyAction },
    /// Set an inline policy, or remove it if there is no document.
    SetPolicy { user: NamedUser, name: String, document: Option<String> },
    /// Attach a managed policy.
    AttachPolicy { user: NamedUser, arn: String },
    /// Detach a managed policy.
    DetachPolicy { user: NamedUser, arn: String },
    /// Set how many requests a second a user may send to each node; as many as it likes if none is given.
    LimitUser { user: NamedUser, requests_per_s: Option<NonZeroU32> },
    /// Tell what all buckets of the account of a root user hold and may hold.
    ShowQuota { user: NamedUser },
    /// Give the account of a root user this quota and no other.
    SetQuota { user: NamedUser, bytes_max: Option<u64>, objects_max: Option<u64> },
}

/// What all buckets of an account hold and may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaReport {
    /// The id of the account.
    pub account: String,
    /// The bytes that they hold.
    pub bytes: u64,
    /// The versions that they hold, without delete markers.
    pub objects: u64,
    /// The bytes that they may hold; none: as many as there is room for.
    pub bytes_max: Option<u64>,
    /// The versions that they may hold.
    pub objects_max: Option<u64>,
}

/// An access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// The public half.
    pub access_key: String,
    /// Whether it may sign.
    pub active: bool,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserReport {
    /// Its name; the account's, for a root user.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The id of its account.
    pub account_id: String,
    /// The canonical id of its account.
    pub canonical_id: String,
    /// The name beside the canonical id.
    pub display_name: String,
    /// The address of its account.
    pub email: Option<String>,
    /// Its keys.
    pub keys: Vec<KeyReport>,
    /// The names of its inline policies and the ARNs of attached ones.
    pub policies: Vec<String>,
    /// How many requests a second it may send to each node.
    #[serde(default)]
    pub requests_per_s: Option<NonZeroU32>,
}

/// What was found or made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityReport {
    /// The users.
    pub users: Vec<UserReport>,
    /// The key that was made: the one time its secret is told.
    pub key: Option<KeyPair>,
    /// The quota of an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaReport>,
}
