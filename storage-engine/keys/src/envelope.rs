//! Data keys, and how they are kept: encrypted.

use std::fmt;

use granary_types::{BucketKeys, Cipher, Envelope, MasterKeyId, Seal, SealedWith};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::keyring::KeyRing;
use crate::secret::{KEY_BYTES, Key256, random};

const WRAP: &[u8] = b"granary: data key, version 1";
const FINGERPRINT: &[u8] = b"granary: fingerprint, version 1";
/// Each key that wraps is derived from a fresh salt and used once, so that its nonce may be constant.
const NONCE: [u8; 12] = [0; 12];

/// The key of one object's bytes. Overwritten when it is dropped.
#[derive(Clone)]
pub struct DataKey(pub(crate) Key256);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// What tells that something is the same under this key, and nothing of what it is.
    ///
    /// # Errors
    /// [`KeyError::Cipher`].
    pub fn fingerprint(&self, of: &[u8]) -> Result<[u8; 16], KeyError> {
        let derived = self.0.derive(of, FINGERPRINT)?;
        let mut fingerprint = [0; 16];
        fingerprint.iter_mut().zip(derived.bytes()).for_each(|(to, from)| *to = *from);
        Ok(fingerprint)
    }
}

/// A key that a client brings along and that is kept nowhere. Overwritten when it is dropped.
#[derive(Clone)]
pub struct CustomerKey(Key256);

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(…)")
    }
}

impl CustomerKey {
    /// The key with these bytes; `None` unless they are 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Key256::from_slice(bytes).map(Self)
    }

    /// A new data key, and how it is kept under this key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self) -> Result<(Seal, DataKey), KeyError> {
        seal(&self.0, SealedWith::Customer)
    }

    /// The data key of `seal`.
    ///
    /// # Errors
    /// [`KeyError::DoesNotFit`] for another customer's key: the envelope's tag is compared in constant time.
    pub fn open(&self, seal: &Seal) -> Result<DataKey, KeyError> {
        match seal.with {
            SealedWith::Customer => open(&self.0, seal),
            _ => Err(KeyError::DoesNotFit),
        }
    }
}

impl KeyRing {
    /// A new data key under the store's own key.
    ///
    /// # Errors
    /// [`KeyError::NoKeyRing`].
    pub fn seal_managed(&self) -> Result<(Seal, DataKey), KeyError> {
        let (master, key) = self.managed()?;
        seal(&key, SealedWith::Managed { master })
    }

    /// A new data key under the key of that name, whose active version is used.
    ///
    /// # Errors
    /// [`KeyError::NoKeyRing`], [`KeyError::NoSuchKey`].
    pub fn seal_kms(
        &self,
        key: &str,
        bucket_keys: BucketKeys,
        context: Option<String>,
    ) -> Result<(Seal, DataKey), KeyError> {
        let (name, master, secret) = self.active(key)?;
        seal(&secret, SealedWith::Kms { master, key: name, bucket_keys, context })
    }

    /// The data key of `seal`.
    ///
    /// # Errors
    /// [`KeyError::NoSuchVersion`] if the ring lost the key, [`KeyError::DoesNotFit`] if the record is damaged or wants
    /// a customer's key.
    pub fn open(&self, sealed: &Seal) -> Result<DataKey, KeyError> {
        match sealed.with {
            SealedWith::Managed { master } | SealedWith::Kms { master, .. } => {
                open(&self.version(master)?, sealed)
            }
            SealedWith::Customer => Err(KeyError::DoesNotFit),
        }
    }
}

fn seal(wrapping: &Key256, with: SealedWith) -> Result<(Seal, DataKey), KeyError> {
    let data = DataKey(Key256::random()?);
    let salt = random::<16>()?;
    let mut sealed = Zeroizing::new(data.0.bytes().to_vec());
    let aad = Aad::from(bound(&with));
    let tag = cipher(&wrapping.derive(&salt, WRAP)?)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(NONCE), aad, sealed.as_mut_slice())
        .map_err(|_| KeyError::Cipher)?;
    // Encrypted by now; what the wrapper overwrites when it is dropped is a copy.
    let mut kept = sealed.to_vec();
    kept.extend_from_slice(tag.as_ref());
    Ok((Seal { cipher: Cipher::Aes256Gcm64KiB, envelope: Envelope { salt, sealed: kept }, with }, data))
}

fn open(wrapping: &Key256, seal: &Seal) -> Result<DataKey, KeyError> {
    let mut bytes = Zeroizing::new(seal.envelope.sealed.clone());
    let aad = Aad::from(bound(&seal.with));
    let opened = cipher(&wrapping.derive(&seal.envelope.salt, WRAP)?)?
        .open_in_place(Nonce::assume_unique_for_key(NONCE), aad, bytes.as_mut_slice())
        .map_err(|_| KeyError::DoesNotFit)?;
    Key256::from_slice(opened).map(DataKey).ok_or(KeyError::DoesNotFit)
}

pub(crate) fn cipher(key: &Key256) -> Result<LessSafeKey, KeyError> {
    debug_assert_eq!(AES_256_GCM.key_len(), KEY_BYTES);
    UnboundKey::new(&AES_256_GCM, key.bytes()).map(LessSafeKey::new).map_err(|_| KeyError::Cipher)
}

/// What a sealed data key is bound to: the kind of encryption, the key's name and version, and the encryption context. Whoever
/// changes any of them in the record finds that the key does not fit.
fn bound(with: &SealedWith) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    let id = |master: &MasterKeyId| *master.as_bytes();
    match with {
        SealedWith::Managed { master } => {
            add(b"managed");
            add(&id(master));
        }
        SealedWith::Kms { master, key, bucket_keys, context } => {
            add(b"kms");
            add(&id(master));
            add(key.as_bytes());
            add(match bucket_keys {
                BucketKeys::Disabled => b"-",
                BucketKeys::Enabled => b"b",
            });
            add(context.as_deref().unwrap_or_default().as_bytes());
        }
        SealedWith::Customer => add(b"customer"),
    }
    bytes
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
