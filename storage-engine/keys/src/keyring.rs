//! The key ring: named master keys, each with its versions.
//!
//! A key is rotated by a new version, which new objects use; older versions stay for the objects that were written under
//! them. Nothing here removes a version: what it encrypted would be lost.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granary_types::{MasterKeyId, UnixMillis};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::KeyError;
use crate::secret::{KEY_BYTES, Key256, random};

/// The key for objects whose encryption names none (SSE-S3). Clients cannot name it.
pub const MANAGED_KEY: &str = "sse-s3";
/// The key for SSE-KMS without a key's name, named as AWS names its own.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html>
pub const DEFAULT_KMS_KEY: &str = "aws/s3";

const FORMAT: u32 = 1;
const NAME_BYTES_MAX: usize = 128;
const KEYS_MAX: usize = 1_000;
/// Of all keys together: a ring is a few megabytes at most.
const VERSIONS_MAX: usize = 20_000;

/// A name that no key may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is 1 to 128 letters, digits or any of - _ / .")]
pub struct KeyNameError;

/// The name of a key: 1 to 128 letters, digits or any of `- _ / .`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte));
        if plain && (1..=NAME_BYTES_MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyNameError)
        }
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone)]
struct Version {
    id: MasterKeyId,
    created: UnixMillis,
    secret: Key256,
}

impl Version {
    fn new(created: UnixMillis) -> Result<Self, KeyError> {
        Ok(Self { id: MasterKeyId::from_bytes(random()?), created, secret: Key256::random()? })
    }

    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.bytes() == other.secret.bytes()
    }
}

/// One version of a key as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The key's name.
    pub name: String,
    /// Counted from 1; the last one is in use.
    pub number: u32,
    /// What objects name it by.
    pub id: MasterKeyId,
    /// When it was made.
    pub created: UnixMillis,
}

/// The keys themselves. The last version of each is the active one.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, Vec<Version>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows()).finish()
    }
}

impl Keys {
    /// A new ring: the store's own key and the default key of SSE-KMS.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(now: UnixMillis) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for name in [MANAGED_KEY, DEFAULT_KMS_KEY] {
            keys.0.insert(name.to_owned(), vec![Version::new(now)?]);
        }
        Ok(keys)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`KeyError::KeyExists`], [`KeyError::Full`].
    pub fn add(&mut self, name: &KeyName, now: UnixMillis) -> Result<(), KeyError> {
        if self.0.contains_key(name.as_str()) {
            return Err(KeyError::KeyExists(name.to_string()));
        }
        if self.0.len() >= KEYS_MAX || self.is_full() {
            return Err(KeyError::Full);
        }
        self.0.insert(name.to_string(), vec![Version::new(now)?]);
        Ok(())
    }

    /// Gives a key a new version, which is active from now on.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`], [`KeyError::Full`].
    pub fn rotate(&mut self, name: &KeyName, now: UnixMillis) -> Result<(), KeyError> {
        if self.is_full() {
            return Err(KeyError::Full);
        }
        let versions = self.0.get_mut(name.as_str()).ok_or_else(|| KeyError::NoSuchKey(name.to_string()))?;
        versions.push(Version::new(now)?);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.0.values().map(Vec::len).sum::<usize>() >= VERSIONS_MAX
    }

    /// Every version of every key, by name and number.
    #[must_use]
    pub fn rows(&self) -> Vec<KeyRow> {
        let rows = self.0.iter().flat_map(|(name, versions)| {
            (1..).zip(versions).map(|(number, version)| KeyRow {
                name: name.clone(),
                number,
                id: version.id,
                created: version.created,
            })
        });
        rows.collect()
    }

    /// Takes what another copy of the ring has more than this one.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] when they differ in a version that both have.
    pub fn merge(&mut self, other: Self) -> Result<(), KeyError> {
        for (name, theirs) in other.0 {
            let ours = self.0.entry(name.clone()).or_default();
            let differing = (1..).zip(ours.iter().zip(&theirs)).find(|(_, (our, their))| !our.is(their));
            if let Some((number, _)) = differing {
                return Err(KeyError::Conflict { name, number });
            }
            ours.extend(theirs.into_iter().skip(ours.len()));
        }
        Ok(())
    }

    /// The ring as it is kept. It holds the keys: overwrite it after use.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it cannot be encoded, which is a bug.
    pub fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let version = |version: &Version| KeptVersion {
            id: version.id.to_string(),
            created_ms: version.created.0,
            secret: BASE64.encode(version.secret.bytes()),
        };
        let keys = self.0.iter();
        let keys = keys.map(|(name, versions)| KeptKey {
            name: name.clone(),
            versions: versions.iter().map(version).collect(),
        });
        let kept = Kept { format: FORMAT, keys: keys.collect() };
        serde_json::to_vec_pretty(&kept).map(Zeroizing::new).map_err(|_| KeyError::Malformed("encoding it"))
    }

    /// The ring of a text that [`Keys::to_text`] made.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]; it tells nothing of the text.
    pub fn from_text(text: &[u8]) -> Result<Self, KeyError> {
        let kept: Kept = serde_json::from_slice(text)
            .map_err(|_| KeyError::Malformed("it is no key ring, or one of a later release"))?;
        if kept.format != FORMAT {
            return Err(KeyError::Malformed("its format is of a later release"));
        }
        let mut keys = Self::default();
        for key in kept.keys {
            let name: KeyName = key.name.parse().map_err(|_| KeyError::Malformed("a key's name"))?;
            let versions: Vec<Version> =
                key.versions.iter().map(KeptVersion::version).collect::<Result<_, _>>()?;
            if versions.is_empty() || keys.0.insert(name.into(), versions).is_some() {
                return Err(KeyError::Malformed("a key without a version, or twice the same key"));
            }
        }
        Ok(keys)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    keys: Vec<KeptKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptKey {
    name: String,
    versions: Vec<KeptVersion>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptVersion {
    id: String,
    created_ms: i64,
    secret: String,
}

impl Drop for KeptVersion {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl KeptVersion {
    fn version(&self) -> Result<Version, KeyError> {
        let malformed = || KeyError::Malformed("a version of a key");
        let id = self.id.parse().map_err(|_| KeyError::Malformed("the id of a version"))?;
        let mut secret = [0; KEY_BYTES];
        let decoded = BASE64.decode(self.secret.as_bytes()).map(Zeroizing::new).map_err(|_| malformed())?;
        if decoded.len() != secret.len() {
            return Err(malformed());
        }
        secret.copy_from_slice(&decoded);
        let version = Version { id, created: UnixMillis(self.created_ms), secret: Key256::new(secret) };
        secret.zeroize();
        Ok(version)
    }
}

#[derive(Default)]
struct Loaded {
    keys: Keys,
    by_id: BTreeMap<MasterKeyId, Key256>,
}

impl Loaded {
    fn of(keys: Keys) -> Self {
        let by_id = keys.0.values().flatten().map(|version| (version.id, version.secret.clone())).collect();
        Self { keys, by_id }
    }
}

/// The key ring of a running server. Cheap to clone; all clones see a ring that is loaded anew.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<RwLock<Option<Loaded>>>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

impl KeyRing {
    /// A ring with these keys. The default is none at all: then only customers' keys can be used.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(Some(Loaded::of(keys)))))
    }

    /// Puts other keys in place of those it has.
    pub fn replace(&self, keys: Keys) {
        *self.0.write() = Some(Loaded::of(keys));
    }

    /// The name that the ring has for a key that a client names: by name, by `alias/` and a name, or by the ARN of either.
    ///
    /// # Errors
    /// [`KeyError::NoKeyRing`], [`KeyError::NoSuchKey`].
    pub fn resolve(&self, reference: &str) -> Result<String, KeyError> {
        self.active(reference).map(|(name, ..)| name)
    }

    pub(crate) fn active(&self, reference: &str) -> Result<(String, MasterKeyId, Key256), KeyError> {
        let name = match reference.strip_prefix("arn:") {
            // arn:partition:kms:region:account:key/name, or alias/name.
            Some(rest) => rest.splitn(5, ':').nth(4).unwrap_or(reference),
            None => reference,
        };
        let name = name.strip_prefix("alias/").or_else(|| name.strip_prefix("key/")).unwrap_or(name);
        if name == MANAGED_KEY {
            return Err(KeyError::NoSuchKey(reference.to_owned()));
        }
        let (id, secret) = self.newest(name).map_err(|error| match error {
            KeyError::NoSuchKey(_) => KeyError::NoSuchKey(reference.to_owned()),
            other => other,
        })?;
        Ok((name.to_owned(), id, secret))
    }

    pub(crate) fn managed(&self) -> Result<(MasterKeyId, Key256), KeyError> {
        self.newest(MANAGED_KEY)
    }

    fn newest(&self, name: &str) -> Result<(MasterKeyId, Key256), KeyError> {
        let loaded = self.0.read();
        let loaded = loaded.as_ref().ok_or(KeyError::NoKeyRing)?;
        let newest = loaded.keys.0.get(name).and_then(|versions| versions.last());
        let newest = newest.ok_or_else(|| KeyError::NoSuchKey(name.to_owned()))?;
        Ok((newest.id, newest.secret.clone()))
    }

    pub(crate) fn version(&self, id: MasterKeyId) -> Result<Key256, KeyError> {
        let loaded = self.0.read();
        let loaded = loaded.as_ref().ok_or(KeyError::NoKeyRing)?;
        loaded.by_id.get(&id).cloned().ok_or(KeyError::NoSuchVersion(id))
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
