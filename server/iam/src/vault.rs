//! Secrets at rest: AES-256-GCM under a random key of the store, which is sealed in turn by a key derived from the root
//! secret. So every node that has the root secret can open them, and a copy of the database alone opens nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use granary_auth::SecretKey;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::error::{IamError, Result};

const KEY_BYTES: usize = 32;
const SALT: &[u8] = b"granary identities 1";

/// What a sealed text is for: it opens for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    /// The secret of this access key.
    Secret(&'a str),
    /// A session token.
    Token,
}

impl Purpose<'_> {
    fn bound(self) -> Vec<u8> {
        match self {
            Self::Secret(access_key) => [b"secret ", access_key.as_bytes()].concat(),
            Self::Token => b"token".to_vec(),
        }
    }
}

/// The keys that seal. They are never shown and never leave memory unsealed.
pub(crate) struct Vault {
    master: Zeroizing<[u8; KEY_BYTES]>,
    secrets: LessSafeKey,
    tokens: LessSafeKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(redacted)")
    }
}

impl Vault {
    /// A vault with a key of its own.
    pub(crate) fn generate() -> Result<Self> {
        let mut master = Zeroizing::new([0; KEY_BYTES]);
        fill(master.as_mut_slice())?;
        Self::of(master)
    }

    fn of(master: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self> {
        let (secrets, tokens) = (derive(&*master, b"secrets")?, derive(&*master, b"tokens")?);
        Ok(Self { master, secrets, tokens })
    }

    /// The vault's key, sealed by the root secret.
    pub(crate) fn wrap(&self, root: &SecretKey) -> Result<String> {
        seal(&derive(root.expose().as_bytes(), b"vault")?, b"vault", &*self.master)
    }

    /// The vault whose key was sealed by this root secret; `None` if it was by another.
    pub(crate) fn unwrap(sealed: &str, root: &SecretKey) -> Result<Option<Self>> {
        let Some(opened) = open(&derive(root.expose().as_bytes(), b"vault")?, b"vault", sealed) else {
            return Ok(None);
        };
        let mut master = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(unusable());
        }
        master.copy_from_slice(&opened);
        Self::of(master).map(Some)
    }

    /// Seals a text.
    pub(crate) fn seal(&self, purpose: Purpose<'_>, text: &[u8]) -> Result<String> {
        seal(self.key(purpose), &purpose.bound(), text)
    }

    /// Opens what [`Vault::seal`] sealed for the same purpose, unchanged.
    pub(crate) fn open(&self, purpose: Purpose<'_>, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        open(self.key(purpose), &purpose.bound(), sealed)
    }

    fn key(&self, purpose: Purpose<'_>) -> &LessSafeKey {
        match purpose {
            Purpose::Secret(_) => &self.secrets,
            Purpose::Token => &self.tokens,
        }
    }
}

/// Random bytes.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| IamError::Unusable(format!("the system's random numbers: {error}")))
}

fn unusable() -> IamError {
    IamError::Unusable("the key that secrets are sealed with cannot be used".to_owned())
}

fn derive(secret: &[u8], info: &[u8]) -> Result<LessSafeKey> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let derived = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let info = [info];
    let okm = derived.expand(&info, &AES_256_GCM).map_err(|_| unusable())?;
    okm.fill(key.as_mut_slice()).map_err(|_| unusable())?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| unusable())
}

/// Random nonces are safe for 2^32 texts of a key; a store makes far fewer.
fn seal(key: &LessSafeKey, bound: &[u8], text: &[u8]) -> Result<String> {
    let mut nonce = [0; NONCE_LEN];
    fill(&mut nonce)?;
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut sealed)
        .map_err(|_| unusable())?;
    Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

fn open(key: &LessSafeKey, bound: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = key.open_in_place(nonce, Aad::from(bound), text.as_mut_slice()).ok()?.len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
