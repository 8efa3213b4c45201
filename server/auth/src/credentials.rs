//! Access keys, secrets, and the source they are looked up in.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::AuthError;
use crate::identity::Identity;
use crate::scope::Service;

/// A secret access key. It is wiped from memory with its last clone and never shown by `Debug`.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<String>>);

impl SecretKey {
    /// Takes over `secret`.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(secret.into())))
    }

    /// The secret itself, for deriving keys. Must not be logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// An access key with its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The public half, sent with each request.
    pub access_key: String,
    /// The secret half, never sent.
    pub secret_key: SecretKey,
}

impl Credentials {
    /// Pairs an access key with its secret. Policy on their form belongs to whoever issues them.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: SecretKey::new(secret_key) }
    }
}

/// Who a request acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The request carries no authentication at all.
    Anonymous,
    /// The root user of this store, who may do everything.
    Root {
        /// The access key that signed.
        access_key: Arc<str>,
    },
    /// Anybody else whose signature was right.
    User(Arc<Identity>),
}

/// What a [`CredentialSource`] knows of one access key.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// The secret that requests with this access key are signed with.
    pub secret: SecretKey,
    /// Who they act for.
    pub principal: Principal,
}

/// A request whose signature was right, as the last use of its access key.
#[derive(Clone, Copy, Debug)]
pub struct KeyUse<'a> {
    /// The key.
    pub access_key: &'a str,
    /// The service that was asked.
    pub service: Service,
    /// The region that the request was signed for; empty for none.
    pub region: &'a str,
    /// When it was verified.
    pub at: SystemTime,
}

/// Where access keys are looked up. Called once a request, so it must be quick and must not block on I/O.
pub trait CredentialSource: Send + Sync {
    /// The secret and principal of `access_key`, or `None` when there is no such key.
    fn secret_for(&self, access_key: &str) -> Option<KnownKey>;

    /// The secret and principal of temporary credentials, which came with `token`, at the time `now`.
    ///
    /// # Errors
    /// The token was not issued here for that key, or is over. A source that issues none knows none.
    fn temporary(&self, access_key: &str, token: &str, now: SystemTime) -> Result<KnownKey, TokenError> {
        let _ = (access_key, token, now);
        Err(TokenError::Invalid)
    }

    /// Hears of every request whose signature was right. Must be quick and must not block on I/O.
    fn used(&self, used: &KeyUse<'_>) {
        let _ = used;
    }
}

/// Why temporary credentials are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token was not issued here, was changed, belongs to another access key, or whose it was is gone.
    Invalid,
    /// Its time is over.
    Expired,
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Self::InvalidToken,
            TokenError::Expired => Self::ExpiredToken,
        }
    }
}

/// The root credentials, and nobody else's.
#[derive(Debug)]
pub struct StaticCredentials {
    secret_key: SecretKey,
    access_key: Arc<str>,
}

impl StaticCredentials {
    /// A source that knows `root` alone.
    pub fn root(root: Credentials) -> Self {
        Self { access_key: root.access_key.into(), secret_key: root.secret_key }
    }
}

impl CredentialSource for StaticCredentials {
    fn secret_for(&self, access_key: &str) -> Option<KnownKey> {
        (access_key == &*self.access_key).then(|| KnownKey {
            secret: self.secret_key.clone(),
            principal: Principal::Root { access_key: Arc::clone(&self.access_key) },
        })
    }
}
