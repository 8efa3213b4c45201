//! All identities, in memory: what requests are checked against, and what changes are decided from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granary_auth::{Account, KnownKey};
use parking_lot::Mutex;

use crate::aws_managed;
use crate::documents::{
    AccountDocument, Document, GroupDocument, Head, Kind, PolicyDocument, ProviderDocument, RoleDocument,
    USES, UseDocument, UserDocument, VAULT_DOCUMENT, account_document, providers_of, use_document,
};
use crate::error::{Code, IamError, Result};
use crate::vault::Vault;

/// What is stored and removed by a change.
pub(crate) type Changes = Vec<(String, Option<Document>)>;

/// The identities after some change.
pub(crate) struct State {
    pub(crate) generation: u64,
    documents: BTreeMap<String, Document>,
    /// The document that each access key is in.
    keys: HashMap<String, String>,
    /// The document of the user or role that each unique id is of.
    ids: HashMap<String, String>,
    accounts: HashMap<String, Arc<Account>>,
    /// Opens the secrets; none before the first was sealed.
    pub(crate) vault: Option<Arc<Vault>>,
    /// What was found of keys and tokens. It is of this state: whatever changes the state empties it.
    pub(crate) known: Mutex<HashMap<String, Found>>,
}

/// What was found of an access key.
#[derive(Clone)]
pub(crate) enum Found {
    /// A long-term key.
    Key(KnownKey),
    /// A temporary one, with the whole token and its end in seconds since the Unix epoch.
    Session { token: Arc<str>, expires_s: i64, key: KnownKey },
}

impl State {
    /// The state that those documents make. `own` is the account of the store, which has no document.
    pub(crate) fn new(own: &Arc<Account>) -> Self {
        Self {
            generation: 0,
            documents: BTreeMap::new(),
            keys: HashMap::new(),
            ids: HashMap::new(),
            accounts: HashMap::from([(own.id.clone(), Arc::clone(own))]),
            vault: None,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// Puts a document in the place of the one of that name, or removes it.
    pub(crate) fn put(&mut self, name: &str, document: Option<Document>) {
        // Nothing is decided by when a key was used.
        if !name.starts_with(USES) {
            self.known.get_mut().clear();
        }
        if let Some(before) = self.documents.remove(name) {
            for key in keys_of(&before) {
                self.keys.remove(key);
            }
            if let Some(head) = head_of(&before) {
                self.ids.remove(&head.id);
            }
            if let Document::Account(account) = before {
                self.accounts.remove(&account.id);
            }
        }
        let Some(document) = document else { return };
        for key in keys_of(&document) {
            self.keys.insert(key.to_owned(), name.to_owned());
        }
        if let Some(head) = head_of(&document) {
            self.ids.insert(head.id.clone(), name.to_owned());
        }
        if let Document::Account(account) = &document {
            self.accounts.insert(account.id.clone(), Arc::new(public(account)));
        }
        self.documents.insert(name.to_owned(), document);
    }

    pub(crate) fn sealed_vault(&self) -> Option<&str> {
        match self.documents.get(VAULT_DOCUMENT) {
            Some(Document::Vault(vault)) => Some(&vault.sealed_key),
            _ => None,
        }
    }

    /// The document that holds this access key.
    pub(crate) fn owner_of_key(&self, access_key: &str) -> Option<&Document> {
        self.documents.get(self.keys.get(access_key)?)
    }

    /// The user or role of this unique id.
    pub(crate) fn with_id(&self, id: &str) -> Option<&Document> {
        self.documents.get(self.ids.get(id)?)
    }

    /// The last use of a key that was kept.
    pub(crate) fn use_of(&self, access_key: &str) -> Option<&Arc<UseDocument>> {
        match self.documents.get(&use_document(access_key)) {
            Some(Document::Use(used)) => Some(used),
            _ => None,
        }
    }

    /// The last uses of all keys that were kept.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &Arc<UseDocument>> {
        self.all(USES).filter_map(|document| match document {
            Document::Use(used) => Some(used),
            _ => None,
        })
    }

    /// The account of that id, the store's own too.
    pub(crate) fn account(&self, id: &str) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// The documents of all accounts but the store's own.
    pub(crate) fn account_documents(&self) -> impl Iterator<Item = &Arc<AccountDocument>> {
        self.all("account/").filter_map(|document| match document {
            Document::Account(account) => Some(account),
            _ => None,
        })
    }

    pub(crate) fn account_document(&self, id: &str) -> Option<&Arc<AccountDocument>> {
        match self.documents.get(&account_document(id)) {
            Some(Document::Account(account)) => Some(account),
            _ => None,
        }
    }

    fn all<'s>(&'s self, prefix: &str) -> impl Iterator<Item = &'s Document> + use<'s> {
        let prefix = prefix.to_owned();
        self.documents
            .range(prefix.clone()..)
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(_, document)| document)
    }

    pub(crate) fn user(&self, account: &str, name: &str) -> Result<&Arc<UserDocument>> {
        match self.documents.get(&Kind::User.document_name(account, name)) {
            Some(Document::User(user)) => Ok(user),
            _ => Err(IamError::no_such("user", name)),
        }
    }

    pub(crate) fn group(&self, account: &str, name: &str) -> Result<&Arc<GroupDocument>> {
        match self.documents.get(&Kind::Group.document_name(account, name)) {
            Some(Document::Group(group)) => Ok(group),
            _ => Err(IamError::no_such("group", name)),
        }
    }

    pub(crate) fn role(&self, account: &str, name: &str) -> Result<&Arc<RoleDocument>> {
        match self.documents.get(&Kind::Role.document_name(account, name)) {
            Some(Document::Role(role)) => Ok(role),
            _ => Err(IamError::no_such("role", name)),
        }
    }

    pub(crate) fn policy(&self, account: &str, name: &str) -> Option<&Arc<PolicyDocument>> {
        match self.documents.get(&Kind::Policy.document_name(account, name)) {
            Some(Document::Policy(policy)) => Some(policy),
            _ => None,
        }
    }

    /// The customer's policy of that ARN, which must be of the account.
    pub(crate) fn policy_of(&self, account: &str, arn: &str) -> Result<&Arc<PolicyDocument>> {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let found = self.policy(account, name).filter(|policy| policy.head.arn(Kind::Policy) == arn);
        found.ok_or_else(|| {
            IamError::new(Code::NoSuchEntity, format!("Policy {arn} does not exist or is not attachable."))
        })
    }

    /// The text of the policy of that ARN: one of the account's own, or of those AWS has.
    pub(crate) fn policy_text(&self, account: &str, arn: &str) -> Result<&str> {
        if let Some(managed) = aws_managed::find(arn) {
            return Ok(managed.text);
        }
        self.policy_of(account, arn)?
            .text()
            .ok_or_else(|| IamError::Unusable(format!("policy {arn} has no default version")))
    }

    /// The users of an account, in the order of their names whatever their case.
    pub(crate) fn users(&self, account: &str) -> impl Iterator<Item = &Arc<UserDocument>> {
        self.all(&Kind::User.prefix(account)).filter_map(|document| match document {
            Document::User(user) => Some(user),
            _ => None,
        })
    }

    pub(crate) fn groups(&self, account: &str) -> impl Iterator<Item = &Arc<GroupDocument>> {
        self.all(&Kind::Group.prefix(account)).filter_map(|document| match document {
            Document::Group(group) => Some(group),
            _ => None,
        })
    }

    pub(crate) fn roles(&self, account: &str) -> impl Iterator<Item = &Arc<RoleDocument>> {
        self.all(&Kind::Role.prefix(account)).filter_map(|document| match document {
            Document::Role(role) => Some(role),
            _ => None,
        })
    }

    pub(crate) fn policies(&self, account: &str) -> impl Iterator<Item = &Arc<PolicyDocument>> {
        self.all(&Kind::Policy.prefix(account)).filter_map(|document| match document {
            Document::Policy(policy) => Some(policy),
            _ => None,
        })
    }

    pub(crate) fn providers(&self, account: &str) -> impl Iterator<Item = &Arc<ProviderDocument>> {
        self.all(&providers_of(account)).filter_map(|document| match document {
            Document::Provider(provider) => Some(provider),
            _ => None,
        })
    }

    /// The identity provider of that ARN, which must be of the account.
    pub(crate) fn provider_of(&self, account: &str, arn: &str) -> Result<&Arc<ProviderDocument>> {
        let found = self.providers(account).find(|provider| provider.arn() == arn);
        found.ok_or_else(|| {
            IamError::new(Code::NoSuchEntity, format!("OpenIDConnect Provider not found for arn {arn}"))
        })
    }

    /// The identity provider of an account with that issuer.
    pub(crate) fn provider_with(&self, account: &str, issuer: &str) -> Option<&Arc<ProviderDocument>> {
        self.providers(account).find(|provider| provider.url == issuer)
    }

    /// Whether what began a session is there still: an identity provider, of any account.
    pub(crate) fn has_provider(&self, arn: &str) -> bool {
        let account = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split(':').next());
        account.is_some_and(|account| self.provider_of(account, arn).is_ok())
    }

    /// How many users, groups and roles of the account a policy is attached to, and how many it bounds.
    pub(crate) fn uses_of(&self, account: &str, arn: &str) -> (usize, usize) {
        let has = |attached: &[String]| usize::from(attached.iter().any(|one| one == arn));
        let bounds = |boundary: &Option<String>| usize::from(boundary.as_deref() == Some(arn));
        let mut uses = (0_usize, 0_usize);
        for user in self.users(account) {
            uses = (uses.0 + has(&user.grants.attached), uses.1 + bounds(&user.boundary));
        }
        for role in self.roles(account) {
            uses = (uses.0 + has(&role.grants.attached), uses.1 + bounds(&role.boundary));
        }
        for group in self.groups(account) {
            uses.0 += has(&group.grants.attached);
        }
        uses
    }
}

/// What others see of an account.
fn public(account: &AccountDocument) -> Account {
    Account {
        id: account.id.clone(),
        canonical_id: account.canonical_id.clone(),
        display_name: account.display_name.clone(),
        email: account.email.clone(),
    }
}

fn keys_of(document: &Document) -> impl Iterator<Item = &str> {
    let keys = match document {
        Document::Account(account) => account.keys.as_slice(),
        Document::User(user) => user.keys.as_slice(),
        _ => &[],
    };
    keys.iter().map(|key| key.id.as_str())
}

/// The head of what policies name by its unique id.
fn head_of(document: &Document) -> Option<&Head> {
    match document {
        Document::User(user) => Some(&user.head),
        Document::Role(role) => Some(&role.head),
        _ => None,
    }
}
