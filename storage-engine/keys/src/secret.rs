//! A key of 256 bits that shows itself nowhere and is overwritten when it is dropped.

use std::fmt;

use ring::hkdf;
use zeroize::Zeroize;

use crate::error::KeyError;

pub(crate) const KEY_BYTES: usize = 32;

#[derive(Clone)]
pub(crate) struct Key256([u8; KEY_BYTES]);

impl Drop for Key256 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key256(…)")
    }
}

struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl Key256 {
    pub(crate) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key with these bytes, if they are as many as a key has.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn random() -> Result<Self, KeyError> {
        let mut key = Self([0; KEY_BYTES]);
        getrandom::fill(&mut key.0).map_err(|error| KeyError::Random(std::io::Error::other(error)))?;
        Ok(key)
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Another key that `salt` and `purpose` make of this one (HKDF-SHA256).
    pub(crate) fn derive(&self, salt: &[u8], purpose: &[u8]) -> Result<Self, KeyError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.0);
        let mut derived = Self([0; KEY_BYTES]);
        extracted
            .expand(&[purpose], Length)
            .and_then(|okm| okm.fill(&mut derived.0))
            .map_err(|_| KeyError::Cipher)?;
        Ok(derived)
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::Random(std::io::Error::other(error)))?;
    Ok(bytes)
}
