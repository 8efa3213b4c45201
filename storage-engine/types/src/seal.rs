//! How an object's bytes are encrypted, as its record tells it. No key is in here that is not itself encrypted.

use serde::{Deserialize, Serialize};

use crate::MasterKeyId;

/// How the stored bytes are made of an object's bytes. Kept with each object, so that a later way can stand beside
/// this one; variants are only added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cipher {
    /// Units of 64 KiB (the last may be shorter), each encrypted by AES-256-GCM and followed by its tag of 16 bytes.
    Aes256Gcm64KiB,
}

/// A data key, encrypted under a key that is derived from another one and `salt`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// Random, so that no derived key is used twice.
    pub salt: [u8; 16],
    /// The encrypted data key and its tag: 48 bytes.
    pub sealed: Vec<u8>,
}

/// Whether S3 may take a key for the whole bucket instead of asking the key service for each object. Kept and shown;
/// a local key ring needs no such saving.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BucketKeys {
    /// A key for each object.
    #[default]
    Disabled,
    /// A key for the bucket.
    Enabled,
}

/// What a data key is encrypted with. Variants are only added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SealedWith {
    /// The store's own key for this purpose (SSE-S3).
    Managed {
        /// Which version of it.
        master: MasterKeyId,
    },
    /// A named key of the key ring (SSE-KMS).
    Kms {
        /// Which version of it.
        master: MasterKeyId,
        /// The key's name.
        key: String,
        /// As asked for.
        bucket_keys: BucketKeys,
        /// The encryption context as the client sent it (base64 of a JSON object).
        context: Option<String>,
    },
    /// A key that the client brings along each time (SSE-C) and that is kept nowhere.
    Customer,
}

/// How the bytes of an object, or of the parts of an upload, are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seal {
    /// How the stored bytes are made.
    pub cipher: Cipher,
    /// The object's data key.
    pub envelope: Envelope,
    /// What that is encrypted with.
    pub with: SealedWith,
}
