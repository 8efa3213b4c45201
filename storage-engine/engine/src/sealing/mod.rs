//! Encryption of objects: which key a write gets, and which one a read needs.
//!
//! A body that is to be encrypted is wrapped ([`body`]) on its way to the drives, which store what comes out like any
//! other bytes; nothing below knows of it. Where nothing is encrypted, nothing is wrapped. What the client sent is
//! what lengths, checksums and tags are of.

mod body;
mod defaults;
mod upload;

use granary_keys::units::StreamId;
use granary_keys::{CustomerKey, DataKey, KeyError, KeyRing};
use granary_types::{BucketKeys, Etag, Seal, SealedWith};

use crate::api::Digests;
use crate::engine::Engine;
use crate::error::{EngineError, Result};

pub(crate) use body::SealedBody;
pub(crate) use defaults::EncryptionCache;
pub use defaults::{BucketEncryption, CustomerKeyUse, DefaultEncryption};
pub(crate) use upload::{keep_upload_seal, take_upload_seal, upload_seal};

/// How an object is to be encrypted.
#[derive(Debug, Clone, Default)]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// By a key of the store's own.
    Managed,
    /// By a named key of the key ring.
    Kms {
        /// Its name, as the client gave it.
        key: String,
        /// Kept and shown.
        bucket_keys: BucketKeys,
        /// The encryption context as the client sent it; kept with the object, and what its data key is bound to.
        context: Option<String>,
    },
    /// By a key that the client brings along each time.
    Customer(CustomerKey),
}

/// How an object is encrypted, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncryptionInfo {
    /// By a key of the store's own.
    Managed,
    /// By a named key of the key ring.
    Kms {
        /// The key's name.
        key: String,
        /// As asked for.
        bucket_keys: BucketKeys,
        /// As asked for.
        context: Option<String>,
    },
    /// By a key that the client brings along.
    Customer,
}

impl From<&Seal> for EncryptionInfo {
    fn from(seal: &Seal) -> Self {
        match &seal.with {
            SealedWith::Managed { .. } => Self::Managed,
            SealedWith::Kms { key, bucket_keys, context, .. } => {
                Self::Kms { key: key.clone(), bucket_keys: *bucket_keys, context: context.clone() }
            }
            SealedWith::Customer => Self::Customer,
        }
    }
}

/// A new data key, and how it is kept; `None` where nothing is to be encrypted.
pub(crate) fn new_seal(keys: &KeyRing, encryption: &Encryption) -> Result<Option<(Seal, DataKey)>> {
    Ok(Some(match encryption {
        Encryption::None => return Ok(None),
        Encryption::Managed => keys.seal_managed()?,
        Encryption::Kms { key, bucket_keys, context } => keys.seal_kms(key, *bucket_keys, context.clone())?,
        Encryption::Customer(key) => key.seal()?,
    }))
}

/// Refuses a customer's key where none is needed, and none where one is.
pub(crate) fn check_customer_key(seal: Option<&Seal>, customer: Option<&CustomerKey>) -> Result<()> {
    match (seal.is_some_and(|seal| seal.with == SealedWith::Customer), customer) {
        (true, None) => Err(EngineError::CustomerKeyNeeded),
        (false, Some(_)) => Err(EngineError::CustomerKeyUnfit),
        _ => Ok(()),
    }
}

/// The data key of something encrypted.
pub(crate) fn data_key(keys: &KeyRing, seal: &Seal, customer: Option<&CustomerKey>) -> Result<DataKey> {
    check_customer_key(Some(seal), customer)?;
    match customer {
        Some(customer) => customer.open(seal).map_err(|error| match error {
            KeyError::DoesNotFit => EngineError::WrongCustomerKey,
            other => other.into(),
        }),
        None => Ok(keys.open(seal)?),
    }
}

/// What a body is encrypted with: its data key, and which stream of that it is.
pub(crate) type Sealing<'k> = Option<(&'k DataKey, StreamId)>;

/// The tag of what was received. That of an object whose tag must not be its MD5, which would tell something of its bytes,
/// is made of its checksum and its data key: the same part sent twice has the same tag.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>
pub(crate) fn shown_etag(
    sealed: Option<(&Seal, &DataKey)>,
    digests: &Digests,
    length_bytes: u64,
) -> Result<Etag> {
    match sealed {
        Some((Seal { with: SealedWith::Kms { .. } | SealedWith::Customer, .. }, key)) => {
            let mut of = length_bytes.to_le_bytes().to_vec();
            match &digests.checksum {
                Some(checksum) => of.extend_from_slice(checksum.value.as_bytes()),
                None => {
                    let random = granary_types::WriteId::random();
                    let random =
                        random.map_err(|source| EngineError::Io { context: "drawing a tag", source })?;
                    of.extend_from_slice(random.as_bytes());
                }
            }
            Ok(Etag::new(hex::encode(key.fingerprint(&of)?)))
        }
        _ => Ok(digests.etag.clone()),
    }
}

impl Engine {
    /// The keys that objects are encrypted under.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.inner.options.keys
    }
}
