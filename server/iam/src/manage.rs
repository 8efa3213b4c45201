//! What the operator does with accounts, users and keys: the root user of the store, through the admin API.

use std::num::NonZeroU32;
use std::sync::Arc;

use granary_auth::policy::{Policy, PolicyKind};

use crate::documents::{
    AccountDocument, AccountQuota, Document, Grants, Head, KeyDocument, KeyStatus, Kind, UserDocument,
    account_document,
};
use crate::error::{Code, IamError, Result};
use crate::names::{self, IdKind};
use crate::state::{Changes, State};
use crate::store::IdentityStore;
use crate::vault::Purpose;

/// A user to be made.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Its name; that of the account, if it gets one of its own.
    pub name: String,
    /// The account it is a user of; none: it gets one of its own, as its root user.
    pub account: Option<String>,
    /// The key; one is made if there is none.
    pub key: Option<NewKey>,
    /// What the account is to be.
    pub details: AccountDetails,
}

/// What a new account is to be, where it matters.
#[derive(Debug, Clone, Default)]
pub struct AccountDetails {
    /// The account id.
    pub id: Option<String>,
    /// The canonical id.
    pub canonical_id: Option<String>,
    /// The name beside it.
    pub display_name: Option<String>,
    /// The address.
    pub email: Option<String>,
}

/// A key that somebody chose.
#[derive(Clone)]
pub struct NewKey {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// A user as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Its account.
    pub account: Arc<granary_auth::Account>,
    /// Its name; the account's, for a root user.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its keys, without their secrets.
    pub keys: Vec<(String, KeyStatus)>,
    /// The names of its inline policies, and the ARNs of those attached to it.
    pub policies: Vec<String>,
    /// How many requests a second it may send to each node.
    pub requests_per_s: Option<NonZeroU32>,
}

/// Whose keys and policies are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName {
    /// The account; none: the root user of the account of that name.
    pub account: Option<String>,
    /// The name.
    pub name: String,
}

/// How many keys a user may have: the operator may give more than users can make for themselves.
const KEYS_MAX: usize = 16;

/// The document of a user, or of the account whose root user is meant.
pub(crate) enum Owner {
    Account(AccountDocument),
    User(UserDocument),
}

impl Owner {
    pub(crate) fn find(state: &State, user: &UserName) -> Result<Self> {
        let Some(account) = &user.account else {
            let mut named = state.account_documents().filter(|account| account.name == user.name);
            return match (named.next(), named.next()) {
                (Some(account), None) => Ok(Self::Account((**account).clone())),
                _ => Err(IamError::no_such("account", &user.name)),
            };
        };
        state.user(account, &user.name).map(|user| Self::User((**user).clone()))
    }

    fn keys(&mut self) -> &mut Vec<KeyDocument> {
        match self {
            Self::Account(account) => &mut account.keys,
            Self::User(user) => &mut user.keys,
        }
    }

    pub(crate) fn changes(self) -> Changes {
        let change = match self {
            Self::Account(account) => {
                (account_document(&account.id), Some(Document::Account(Arc::new(account))))
            }
            Self::User(user) => {
                let name = Kind::User.document_name(&user.head.account, &user.head.name);
                (name, Some(Document::User(Arc::new(user))))
            }
        };
        vec![change]
    }
}

impl IdentityStore {
    /// Makes a user, with a key. Returns it with the secret.
    ///
    /// # Errors
    /// Names, ids or keys that are taken or not allowed.
    pub async fn add_user(&self, new: &NewUser) -> Result<(UserView, NewKey)> {
        names::check_name(Kind::User, &new.name)?;
        let (chosen, key) = self.new_key(new.key.as_ref()).await?;
        let view = match &new.account {
            Some(account) => {
                let id = names::new_id(IdKind::User)?;
                self.change(|state| {
                    self.check_free(state, &key.id)?;
                    let user = new_user(state, account, &new.name, &id, &key)?;
                    let view = user_view(state, &user)?;
                    Ok((Owner::User(user).changes(), view))
                })
                .await?
            }
            None => {
                let account = new_account(new, key)?;
                self.change(|state| {
                    self.check_free(state, &chosen.access_key)?;
                    check_account(state, &account)?;
                    Ok((Owner::Account(account.clone()).changes(), account_view(&account)))
                })
                .await?
            }
        };
        Ok((view, chosen))
    }

    /// Removes a user, or an account that has nothing in it but its root user. Buckets of the account stay.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn remove_user(&self, user: &UserName) -> Result<()> {
        self.change(|state| {
            let name = match Owner::find(state, user)? {
                Owner::User(user) => Kind::User.document_name(&user.head.account, &user.head.name),
                Owner::Account(account) => {
                    let id = &account.id;
                    let is_used = state.users(id).next().is_some()
                        || state.groups(id).next().is_some()
                        || state.roles(id).next().is_some()
                        || state.policies(id).next().is_some();
                    if is_used {
                        let message = "Cannot delete the account, must delete its users, groups, roles and policies first.";
                        return Err(IamError::new(Code::DeleteConflict, message));
                    }
                    account_document(id)
                }
            };
            Ok((vec![(name, None)], ()))
        })
        .await
    }

    /// The root users of all accounts, or all users of one.
    ///
    /// # Errors
    /// A document that cannot be used.
    pub fn list_users(&self, account: Option<&str>) -> Result<Vec<UserView>> {
        self.read(|state| match account {
            None => Ok(state.account_documents().map(|account| account_view(account)).collect()),
            Some(account) => state.users(account).map(|user| user_view(state, user)).collect(),
        })
    }

    /// One user.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn find_user(&self, user: &UserName) -> Result<UserView> {
        self.read(|state| match Owner::find(state, user)? {
            Owner::Account(account) => Ok(account_view(&account)),
            Owner::User(user) => user_view(state, &user),
        })
    }

    /// Gives a user another key. Returns it with the secret.
    ///
    /// # Errors
    /// `NoSuchEntity`, `EntityAlreadyExists`, `LimitExceeded`.
    pub async fn add_key(&self, user: &UserName, key: Option<&NewKey>) -> Result<NewKey> {
        let (chosen, key) = self.new_key(key).await?;
        self.change(|state| {
            self.check_free(state, &key.id)?;
            let mut owner = Owner::find(state, user)?;
            if owner.keys().len() >= KEYS_MAX {
                return Err(IamError::limit("AccessKeysPerUser", KEYS_MAX));
            }
            owner.keys().push(key.clone());
            Ok((owner.changes(), ()))
        })
        .await?;
        Ok(chosen)
    }

    /// Enables, disables or (with `None`) removes a key, whosever it is.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_key(&self, access_key: &str, status: Option<KeyStatus>) -> Result<()> {
        self.change(|state| {
            let mut owner = match state.owner_of_key(access_key) {
                Some(Document::Account(account)) => Owner::Account((**account).clone()),
                Some(Document::User(user)) => Owner::User((**user).clone()),
                _ => return Err(IamError::no_such("Access Key", access_key)),
            };
            match status {
                None => owner.keys().retain(|key| key.id != access_key),
                Some(status) => {
                    for key in owner.keys().iter_mut().filter(|key| key.id == access_key) {
                        key.status = status;
                    }
                }
            }
            Ok((owner.changes(), ()))
        })
        .await
    }

    /// Sets how many requests a second a user may send to each node, those of its sessions included; `None`: as many as it
    /// likes.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_rate(&self, user: &UserName, requests_per_s: Option<NonZeroU32>) -> Result<()> {
        self.change(|state| {
            let mut owner = Owner::find(state, user)?;
            match &mut owner {
                Owner::Account(account) => account.requests_per_s = requests_per_s,
                Owner::User(user) => user.requests_per_s = requests_per_s,
            }
            Ok((owner.changes(), ()))
        })
        .await
    }

    /// Sets or (with `None`) removes an inline policy of an IAM user.
    ///
    /// # Errors
    /// `NoSuchEntity`, `MalformedPolicyDocument`.
    pub async fn set_policy(&self, user: &UserName, name: &str, text: Option<&str>) -> Result<()> {
        names::check_name(Kind::Policy, name)?;
        if let Some(text) = text {
            Policy::parse(text.as_bytes(), PolicyKind::Identity)?;
        }
        self.change_grants(user, |_, grants| {
            match text {
                Some(text) => drop(grants.inline.insert(name.to_owned(), text.to_owned())),
                None => {
                    let removed = grants.inline.remove(name);
                    removed.ok_or_else(|| IamError::no_such("user policy", name))?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Attaches a managed policy to an IAM user, or detaches it.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn attach_policy(&self, user: &UserName, arn: &str, attach: bool) -> Result<()> {
        self.change_grants(user, |state, grants| {
            let before = grants.attached.len();
            grants.attached.retain(|one| one != arn);
            if attach {
                state.policy_text(user.account.as_deref().unwrap_or_default(), arn)?;
                grants.attached.push(arn.to_owned());
            } else if grants.attached.len() == before {
                return Err(IamError::no_such("policy", arn));
            }
            Ok(())
        })
        .await
    }

    async fn change_grants(
        &self,
        user: &UserName,
        change: impl Fn(&State, &mut Grants) -> Result<()>,
    ) -> Result<()> {
        self.change(|state| match Owner::find(state, user)? {
            Owner::Account(_) => Err(IamError::invalid(
                "the root user of an account has no policies; name its account for a user",
            )),
            Owner::User(mut user) => {
                change(state, &mut user.grants)?;
                Ok((Owner::User(user).changes(), ()))
            }
        })
        .await
    }

    /// A key, chosen or made, and the document of it.
    pub(crate) async fn new_key(&self, chosen: Option<&NewKey>) -> Result<(NewKey, KeyDocument)> {
        let key = match chosen {
            Some(chosen) => {
                names::check_access_key(&chosen.access_key)?;
                names::check_secret(&chosen.secret)?;
                chosen.clone()
            }
            None => NewKey {
                access_key: names::new_id(IdKind::AccessKey)?,
                secret: zeroize::Zeroizing::new(names::new_secret()?),
            },
        };
        let sealed = self.vault().await?.seal(Purpose::Secret(&key.access_key), key.secret.as_bytes())?;
        let document = KeyDocument {
            id: key.access_key.clone(),
            sealed_secret: sealed,
            status: KeyStatus::Active,
            created_ms: names::now_ms(),
        };
        Ok((key, document))
    }

    /// An access key is one user's only.
    pub(crate) fn check_free(&self, state: &State, access_key: &str) -> Result<()> {
        if access_key == self.root_access_key() || state.owner_of_key(access_key).is_some() {
            let message = format!("The access key {access_key} already exists.");
            return Err(IamError::new(Code::EntityAlreadyExists, message));
        }
        Ok(())
    }
}

fn new_user(state: &State, account: &str, name: &str, id: &str, key: &KeyDocument) -> Result<UserDocument> {
    state.account(account).ok_or_else(|| IamError::no_such("account", account))?;
    if state.user(account, name).is_ok() {
        let message = format!("User with name {name} already exists.");
        return Err(IamError::new(Code::EntityAlreadyExists, message));
    }
    Ok(UserDocument {
        head: Head {
            account: account.to_owned(),
            name: name.to_owned(),
            path: "/".to_owned(),
            id: id.to_owned(),
            created_ms: key.created_ms,
        },
        keys: vec![key.clone()],
        grants: Grants::default(),
        groups: Vec::new(),
        boundary: None,
        tags: Vec::new(),
        requests_per_s: None,
    })
}

fn new_account(new: &NewUser, key: KeyDocument) -> Result<AccountDocument> {
    let details = &new.details;
    let digits = |id: &String| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    if details.id.as_ref().is_some_and(|id| !digits(id)) {
        return Err(IamError::invalid("an account id has 12 digits"));
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if details.canonical_id.as_ref().is_some_and(|id| id.len() != 64 || !id.bytes().all(hex)) {
        return Err(IamError::invalid("a canonical id has 64 hexadecimal digits"));
    }
    let display_name = details.display_name.clone().unwrap_or_else(|| new.name.clone());
    let is_shown = |text: &str| text.len() <= 128 && !text.chars().any(char::is_control);
    if !is_shown(&display_name) || !details.email.as_deref().is_none_or(is_shown) {
        return Err(IamError::invalid(
            "a display name or email has at most 128 characters and no control characters",
        ));
    }
    Ok(AccountDocument {
        quota: AccountQuota::default(),
        id: details.id.clone().map_or_else(names::new_account_id, Ok)?,
        canonical_id: details.canonical_id.clone().map_or_else(names::new_canonical_id, Ok)?,
        name: new.name.clone(),
        display_name,
        email: details.email.clone(),
        created_ms: key.created_ms,
        keys: vec![key],
        requests_per_s: None,
    })
}

fn check_account(state: &State, account: &AccountDocument) -> Result<()> {
    let same_email = |email: Option<&str>| email.is_some() && email == account.email.as_deref();
    let is_taken = state.accounts().any(|other| {
        other.id == account.id
            || other.canonical_id == account.canonical_id
            || same_email(other.email.as_deref())
    });
    let is_named = state.account_documents().any(|other| other.name == account.name);
    if is_taken || is_named {
        let message = "An account with that name, id, canonical id or email already exists.";
        return Err(IamError::new(Code::EntityAlreadyExists, message));
    }
    Ok(())
}

fn account_view(account: &AccountDocument) -> UserView {
    UserView {
        account: Arc::new(granary_auth::Account {
            id: account.id.clone(),
            canonical_id: account.canonical_id.clone(),
            display_name: account.display_name.clone(),
            email: account.email.clone(),
        }),
        name: account.name.clone(),
        arn: format!("arn:aws:iam::{}:root", account.id),
        keys: statuses(&account.keys),
        policies: Vec::new(),
        requests_per_s: account.requests_per_s,
    }
}

fn user_view(state: &State, user: &UserDocument) -> Result<UserView> {
    let id = &user.head.account;
    let account = state.account(id).ok_or_else(|| IamError::no_such("account", id))?;
    Ok(UserView {
        account: Arc::clone(account),
        name: user.head.name.clone(),
        arn: user.head.arn(Kind::User),
        keys: statuses(&user.keys),
        policies: user.grants.inline.keys().chain(&user.grants.attached).cloned().collect(),
        requests_per_s: user.requests_per_s,
    })
}

fn statuses(keys: &[KeyDocument]) -> Vec<(String, KeyStatus)> {
    keys.iter().map(|key| (key.id.clone(), key.status)).collect()
}
