//! Keys, signatures, and the chain of signatures over a streamed body.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::credentials::SecretKey;
use crate::scope::{CredentialScope, Service};

/// SHA-256 of nothing, in hexadecimal.
const EMPTY_SHA256_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A 32-byte HMAC-SHA256 signature. Comparison takes the same time wherever the difference is.
#[derive(Clone, Copy)]
pub struct Signature([u8; 32]);

impl Signature {
    /// Reads 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Signature {}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// The key derived from a secret for one day, region and service; held as a keyed HMAC, ready to use.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

impl SigningKey {
    /// Derives the key for `day` (`yyyyMMdd`) and `region`, for the service `s3`.
    pub fn derive(secret: &SecretKey, day: &str, region: &str) -> Self {
        Self::derive_for(Service::S3, secret, day, region)
    }

    /// Derives the key for `day` (`yyyyMMdd`) and `region`, for `service`.
    pub fn derive_for(service: Service, secret: &SecretKey, day: &str, region: &str) -> Self {
        let mut key = Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
        key.extend_from_slice(b"AWS4");
        key.extend_from_slice(secret.expose().as_bytes());
        let mut mac = keyed(&key);
        for part in [day, region, service.name(), "aws4_request"] {
            mac.update(part.as_bytes());
            let next = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            mac = keyed(next.as_slice());
        }
        Self(mac)
    }

    /// Signs `text`.
    pub fn sign(&self, text: &[u8]) -> Signature {
        let mut mac = self.0.clone();
        mac.update(text);
        Signature(mac.finalize().into_bytes().into())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of every length, so the fallback is never taken; it exists to avoid a panic path.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// Hex SHA-256 of `data`, as it stands in strings to sign.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// What verifying the chunks of a streamed, signed body needs: the signature of the request head, which seeds the
/// chain, and the key, time and scope it was made with.
#[derive(Clone, Debug)]
pub struct StreamingSignature {
    previous: Signature,
    key: SigningKey,
    /// `AWS4-HMAC-SHA256-PAYLOAD`'s second and third line, the same for each chunk.
    context: String,
}

impl StreamingSignature {
    /// Starts a chain at `seed`. `timestamp` is `yyyyMMddTHHmmssZ`, `scope` is `yyyyMMdd/region/s3/aws4_request`.
    pub fn new(seed: Signature, key: SigningKey, timestamp: &str, scope: &str) -> Self {
        Self { previous: seed, key, context: format!("{timestamp}\n{scope}\n") }
    }

    /// Takes the next link of the chain: the signature that a chunk with this content must have.
    pub(crate) fn next_chunk(&mut self, content_sha256: &[u8; 32]) -> Signature {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}{}\n{EMPTY_SHA256_HEX}\n{}",
            self.context,
            self.previous.to_hex(),
            hex::encode(content_sha256)
        );
        self.previous = self.key.sign(text.as_bytes());
        self.previous
    }

    /// The signature that trailers with this canonical text (`name:value\n` each, sorted) must have.
    pub(crate) fn trailer(&self, canonical_trailers: &[u8]) -> Signature {
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}{}\n{}",
            self.context,
            self.previous.to_hex(),
            sha256_hex(canonical_trailers)
        );
        self.key.sign(text.as_bytes())
    }
}

const CACHE_SLOTS: usize = 256;

struct CachedKey {
    access_key: String,
    day: String,
    region: String,
    service: Service,
    secret: SecretKey,
    key: SigningKey,
}

/// Derived keys, remembered: deriving costs five HMACs, more than the rest of a verification.
///
/// A direct-mapped table of 256 slots: bounded, and a collision costs one derivation. Only keys that have just
/// verified a signature are put in, so that strangers cannot displace those in use. A changed secret never matches.
pub(crate) struct SigningKeyCache {
    hasher: RandomState,
    slots: Vec<Mutex<Option<CachedKey>>>,
}

impl SigningKeyCache {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            slots: std::iter::repeat_with(|| Mutex::new(None)).take(CACHE_SLOTS).collect(),
        }
    }

    fn slot(&self, scope: &CredentialScope<'_>) -> Option<&Mutex<Option<CachedKey>>> {
        let hash = self.hasher.hash_one((scope.access_key, scope.day, scope.region, scope.service));
        self.slots.get(usize::try_from(hash % CACHE_SLOTS as u64).ok()?)
    }

    pub(crate) fn get(&self, scope: &CredentialScope<'_>, secret: &SecretKey) -> Option<SigningKey> {
        let slot = self.slot(scope)?.lock();
        let cached = slot.as_ref()?;
        let same = cached.access_key == scope.access_key
            && cached.day == scope.day
            && cached.region == scope.region
            && cached.service == scope.service
            && cached.secret == *secret;
        same.then(|| cached.key.clone())
    }

    pub(crate) fn put(&self, scope: &CredentialScope<'_>, secret: &SecretKey, key: &SigningKey) {
        if let Some(slot) = self.slot(scope) {
            *slot.lock() = Some(CachedKey {
                access_key: scope.access_key.to_owned(),
                day: scope.day.to_owned(),
                region: scope.region.to_owned(),
                service: scope.service,
                secret: secret.clone(),
                key: key.clone(),
            });
        }
    }
}

impl fmt::Debug for SigningKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeyCache")
    }
}
