//! The identities of a store: loaded at start, changed by comparison, and read again when another node changed them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use granary_auth::policy::Named;
use granary_auth::{
    Account, CredentialSource, Credentials, Directory, KeyUse, KnownKey, Principal, SecretKey, TokenError,
};
use granary_engine::{Engine, EngineError, IdentityChange, IdentityDocument};
use parking_lot::RwLock;

use crate::documents::{Document, ProviderDocument, VAULT_DOCUMENT, VaultDocument};
use crate::error::{Code, IamError, Result};
use crate::state::{Changes, State};
use crate::usage::{KEEP_INTERVAL, Usage};
use crate::vault::Vault;
use crate::web_identity::{self, IssuerDocuments, IssuerKeys, Verified};

/// Identities read at a time.
const PAGE: u32 = 500;
/// How often everything is read again when it changes meanwhile.
const LOAD_TRIES: u32 = 16;
/// How often a change is decided again when others were faster.
const CHANGE_TRIES: u32 = 32;
/// How often a node asks whether another one changed identities: so long may a disabled key work on.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// All identities of a store. Cheap to clone.
#[derive(Clone)]
pub struct IdentityStore(Arc<Shared>);

struct Shared {
    engine: Engine,
    root: Root,
    account: Arc<Account>,
    state: RwLock<State>,
    usage: Usage,
    /// What fetches the keys of identity providers, and those fetched.
    documents: OnceLock<Arc<dyn IssuerDocuments>>,
    issuer_keys: IssuerKeys,
    /// Changes of this node follow each other, so that they seldom have to be decided twice.
    changing: tokio::sync::Mutex<()>,
}

/// The root user of the store.
#[derive(Debug, Clone)]
pub struct Root {
    /// What it signs with; its secret opens the key that all other secrets are sealed with.
    pub credentials: Credentials,
    /// The secret before, after it was changed: what was sealed by it is sealed anew.
    pub previous_secret: Option<SecretKey>,
}

impl IdentityStore {
    /// Loads the identities. `account` is the store's own, of which root is the root user.
    ///
    /// # Errors
    /// They cannot be read, or the key of their secrets was sealed by another root secret.
    pub async fn open(engine: Engine, root: Root, account: Account) -> Result<Self> {
        let account = Arc::new(account);
        let state = RwLock::new(State::new(&account));
        let store = Self(Arc::new(Shared {
            engine,
            root,
            account,
            state,
            usage: Usage::default(),
            documents: OnceLock::new(),
            issuer_keys: IssuerKeys::default(),
            changing: tokio::sync::Mutex::default(),
        }));
        store.reload().await?;
        store.open_vault().await?;
        Ok(store)
    }

    /// Follows the changes of other nodes, and keeps when keys were used. Runs until it is dropped.
    pub async fn follow(&self) {
        let mut kept = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(error = %error, "the identities could not be asked for");
            }
            if kept.elapsed() < KEEP_INTERVAL {
                continue;
            }
            kept = tokio::time::Instant::now();
            if let Err(error) = self.keep_usage().await {
                tracing::warn!(error = %error, "when access keys were used last could not be kept");
            }
        }
    }

    /// Reads the identities again if they were changed.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn refresh(&self) -> Result<()> {
        let now = self.0.engine.identity_generation().await.map_err(reading)?;
        if now == self.0.state.read().generation { Ok(()) } else { self.reload().await }
    }

    /// The account of the store.
    #[must_use]
    pub fn own_account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// Lets tokens of identity providers be verified with what these documents say. Said once; the first stays.
    pub fn fetch_keys_with(&self, documents: Arc<dyn IssuerDocuments>) {
        let _first_stays = self.0.documents.set(documents);
    }

    /// Verifies a token of an identity provider.
    pub(crate) async fn verify_web_identity(
        &self,
        provider: &ProviderDocument,
        token: &str,
    ) -> Result<Verified> {
        let Some(documents) = self.0.documents.get() else {
            return Err(IamError::new(
                Code::NotImplemented,
                "This server fetches no keys of identity providers.",
            ));
        };
        web_identity::verify(&self.0.issuer_keys, &**documents, provider, token).await
    }

    pub(crate) fn root_access_key(&self) -> &str {
        &self.0.root.credentials.access_key
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// Looks something up.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read())
    }

    /// Makes a change. `decide` may be called several times: whenever somebody else changed something meanwhile.
    pub(crate) async fn change<T>(&self, decide: impl Fn(&State) -> Result<(Changes, T)>) -> Result<T> {
        let _turn = self.0.changing.lock().await;
        for _ in 0..CHANGE_TRIES {
            let (expected, changes, answer) = {
                let state = self.0.state.read();
                let (changes, answer) = decide(&state)?;
                (state.generation, changes, answer)
            };
            if changes.is_empty() || self.store(expected, changes).await? {
                return Ok(answer);
            }
            self.reload().await?;
        }
        Err(IamError::new(Code::ServiceUnavailable, "Too many changes at once. Please try again."))
    }

    /// Stores a change that was decided from the state `expected`, and makes it true here.
    async fn store(&self, expected: u64, changes: Changes) -> Result<bool> {
        let mut documents = Vec::with_capacity(changes.len());
        for (name, document) in &changes {
            let document = document.as_ref().map(Document::bytes).transpose()?;
            documents.push(IdentityDocument { name: name.clone(), document });
        }
        let change = IdentityChange { expected, documents };
        let stored = self.0.engine.change_identities(change).await;
        if !stored.map_err(|source| IamError::Store { doing: "changed", source })? {
            return Ok(false);
        }
        if self.apply(expected, changes) { Ok(true) } else { self.reload().await.map(|()| true) }
    }

    /// Makes a stored change true here; `false` if the state is no longer the one it was decided from.
    fn apply(&self, expected: u64, changes: Changes) -> bool {
        let mut state = self.0.state.write();
        if state.generation != expected {
            return false;
        }
        for (name, document) in changes {
            state.put(&name, document);
        }
        state.generation = expected.saturating_add(1);
        true
    }

    /// Reads everything again.
    async fn reload(&self) -> Result<()> {
        for _ in 0..LOAD_TRIES {
            let before = self.0.engine.identity_generation().await.map_err(reading)?;
            let mut loaded = self.load().await?;
            if self.0.engine.identity_generation().await.map_err(reading)? != before {
                continue;
            }
            loaded.generation = before;
            let mut state = self.0.state.write();
            if state.generation > before {
                return Ok(());
            }
            loaded.vault = match (&state.vault, loaded.sealed_vault()) {
                (Some(open), _) => Some(Arc::clone(open)),
                (None, Some(sealed)) => self.opened(sealed)?,
                (None, None) => None,
            };
            *state = loaded;
            return Ok(());
        }
        Err(IamError::new(Code::ServiceUnavailable, "The identities change too fast to be read."))
    }

    async fn load(&self) -> Result<State> {
        let mut state = State::new(&self.0.account);
        let mut after = String::new();
        loop {
            let page = self.0.engine.identities(&after, PAGE).await.map_err(reading)?;
            let Some(last) = page.last() else { return Ok(state) };
            after.clone_from(&last.name);
            for IdentityDocument { name, document } in page {
                let Some(bytes) = document else { continue };
                // What cannot be read is as if it were not there: whoever needs it is refused.
                match Document::read(&name, &bytes) {
                    Ok(document) => state.put(&name, Some(document)),
                    Err(error) => tracing::error!(%error, "an identity cannot be read"),
                }
            }
        }
    }

    fn opened(&self, sealed: &str) -> Result<Option<Arc<Vault>>> {
        Ok(Vault::unwrap(sealed, &self.0.root.credentials.secret_key)?.map(Arc::new))
    }

    /// Opens the vault if there is one, with the secret before if it must be, and then seals it anew.
    async fn open_vault(&self) -> Result<()> {
        let Some(sealed) = self.read(|state| state.sealed_vault().map(str::to_owned)) else { return Ok(()) };
        if self.read(|state| state.vault.is_some()) {
            return Ok(());
        }
        let previous = self.0.root.previous_secret.as_ref();
        let opened = previous.map(|secret| Vault::unwrap(&sealed, secret)).transpose()?.flatten();
        let vault = Arc::new(opened.ok_or_else(|| {
            IamError::Unusable(
                "the secrets of the users are sealed by another root secret; give the one before in \
                 GRANARY_PREVIOUS_ROOT_SECRET_KEY once"
                    .to_owned(),
            )
        })?);
        self.0.state.write().vault = Some(Arc::clone(&vault));
        let sealed_key = vault.wrap(&self.0.root.credentials.secret_key)?;
        self.change(|_| Ok((vec![vault_document(sealed_key.clone())], ()))).await?;
        tracing::info!("the secrets of the users are sealed by the new root secret");
        Ok(())
    }

    /// The vault, which is made when the first secret is sealed.
    pub(crate) async fn vault(&self) -> Result<Arc<Vault>> {
        if let Some(vault) = self.read(|state| state.vault.clone()) {
            return Ok(vault);
        }
        let made = Vault::generate()?;
        let sealed_key = made.wrap(&self.0.root.credentials.secret_key)?;
        self.change(|state| match state.sealed_vault() {
            Some(_) => Ok((Changes::new(), ())),
            None => Ok((vec![vault_document(sealed_key.clone())], ())),
        })
        .await?;
        // Another node may have been faster: what is stored is opened.
        let sealed = self.read(|state| state.sealed_vault().map(str::to_owned));
        let opened = sealed.map(|sealed| self.opened(&sealed)).transpose()?.flatten();
        let vault =
            opened.ok_or_else(|| IamError::Unusable("the nodes have different root secrets".to_owned()))?;
        self.0.state.write().vault = Some(Arc::clone(&vault));
        Ok(vault)
    }
}

fn vault_document(sealed_key: String) -> (String, Option<Document>) {
    (VAULT_DOCUMENT.to_owned(), Some(Document::Vault(Arc::new(VaultDocument { sealed_key }))))
}

fn reading(source: EngineError) -> IamError {
    IamError::Store { doing: "read", source }
}

impl CredentialSource for IdentityStore {
    fn secret_for(&self, access_key: &str) -> Option<KnownKey> {
        let root = &self.0.root.credentials;
        if access_key == root.access_key {
            let principal = Principal::Root { access_key: access_key.into() };
            return Some(KnownKey { secret: root.secret_key.clone(), principal });
        }
        self.read(|state| state.known_key(access_key))
    }

    fn temporary(&self, access_key: &str, token: &str, now: SystemTime) -> Result<KnownKey, TokenError> {
        self.read(|state| state.known_session(access_key, token, now, self.root_access_key()))
    }

    fn used(&self, used: &KeyUse<'_>) {
        self.read(|state| self.0.usage.note(state, used));
    }
}

impl Directory for IdentityStore {
    fn by_id(&self, id: &str) -> Option<Arc<Account>> {
        self.read(|state| state.account(id).cloned())
    }

    fn by_name(&self, name: &str) -> Option<Arc<Account>> {
        self.read(|state| {
            let mut named = state.account_documents().filter(|account| account.name == name);
            match (named.next(), named.next()) {
                (Some(account), None) => state.account(&account.id).cloned(),
                _ => None,
            }
        })
    }

    fn by_canonical_id(&self, canonical_id: &str) -> Option<Arc<Account>> {
        self.read(|state| state.accounts().find(|account| account.canonical_id == canonical_id).cloned())
    }

    fn by_email(&self, email: &str) -> Option<Arc<Account>> {
        let is_it = |account: &&Arc<Account>| {
            account.email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(email))
        };
        self.read(|state| state.accounts().find(is_it).cloned())
    }

    fn named(&self, arn: &str) -> Named {
        self.read(|state| state.named(arn))
    }

    fn arn_of(&self, id: &str) -> Option<String> {
        self.read(|state| state.arn_of(id))
    }
}
