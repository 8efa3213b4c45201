//! What can go wrong with keys. No message holds a key.

use granary_types::MasterKeyId;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The ring has no key of that name.
    #[error("the key ring has no key named {0:?}")]
    NoSuchKey(String),
    /// The ring has no such version of a key, so what was encrypted under it cannot be read.
    #[error("the key ring lacks version {0}, under which this was encrypted")]
    NoSuchVersion(MasterKeyId),
    /// The server was started without a key ring.
    #[error("this server has no key ring")]
    NoKeyRing,
    /// The key does not open this data key: it is another one, or the record is damaged.
    #[error("the key does not fit")]
    DoesNotFit,
    /// A unit does not verify under its key.
    #[error("an encrypted unit does not verify")]
    Unit,
    /// The key ring's text cannot be understood.
    #[error("the key ring cannot be read: {0}")]
    Malformed(&'static str),
    /// Two key rings that contradict each other.
    #[error("two copies of the key ring have different versions {number} of key {name:?}")]
    Conflict {
        /// The key.
        name: String,
        /// The version's number.
        number: u32,
    },
    /// The name is taken.
    #[error("the key ring has a key named {0:?} already")]
    KeyExists(String),
    /// More keys or versions than a ring may have.
    #[error("the key ring is full")]
    Full,
    /// The system gives no random numbers.
    #[error("the system's random numbers")]
    Random(#[source] std::io::Error),
    /// The library refused; a bug.
    #[error("the cipher refused its input")]
    Cipher,
}
