//! Encryption of objects: the key ring, the data keys of objects, and the units that bytes are encrypted in.
//!
//! Each object has a random data key. It lies encrypted in the object's record ([`granary_types::Seal`]), under a key of
//! the [`KeyRing`] or one that the client brings. The object's bytes are encrypted in units of 64 KiB that can be read
//! alone ([`units`]).
//!
//! What is bound to what: a data key belongs to one object (or one upload), and each stream of bytes under it (a whole
//! object, or a part by the id of its blob) has a key of its own, derived from both. Within a stream the place of a unit
//! and whether it is the last are part of its nonce. So bytes of one object, part or place are never taken for those of
//! another, no nonce is used twice even if a part is sent again, and what is cut off is noticed. The bucket's and the
//! object's names are not bound: a copy or a rename by reference keeps the bytes and the sealed key as they are.

mod envelope;
mod error;
mod keyring;
mod secret;
pub mod units;

pub use envelope::{CustomerKey, DataKey};
pub use error::KeyError;
pub use keyring::{DEFAULT_KMS_KEY, KeyName, KeyNameError, KeyRing, KeyRow, Keys, MANAGED_KEY};
