//! The encryption that a bucket gives to objects whose writer asks for none.

use std::sync::Arc;

use granary_types::BucketName;
use serde::{Deserialize, Serialize};

use crate::configurations::OneConfiguration;
use crate::engine::Engine;
use crate::error::{EngineError, Result};

/// The name of it among the configurations of a bucket.
const ENCRYPTION: &str = "encryption/";

/// What is known of buckets that were looked up before.
pub(crate) type EncryptionCache = OneConfiguration<BucketEncryption>;

/// What encrypts objects that ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultEncryption {
    /// A key of the store's own.
    Managed,
    /// A named key, or the default one.
    Kms {
        /// Its name as the client gave it; whether there is such a key is asked when it is used.
        key: Option<String>,
    },
}

/// Whether clients may write with keys of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerKeyUse {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// They may.
    Allowed,
    /// They may not. What is there can still be read.
    Blocked,
}

/// The encryption configuration of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketEncryption {
    /// For objects that ask for nothing.
    pub default: Option<DefaultEncryption>,
    /// For objects under a named key that say nothing of it.
    pub bucket_keys: Option<granary_types::BucketKeys>,
    /// Keys of the clients' own.
    pub customer_keys: CustomerKeyUse,
}

impl Engine {
    /// The encryption configuration of a bucket, as the metadata has it now.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn bucket_encryption(&self, bucket: &BucketName) -> Result<Option<BucketEncryption>> {
        self.bucket_document(bucket, ENCRYPTION).await?.as_deref().map(decode).transpose()
    }

    /// Gives a bucket another encryption configuration, or none. Objects that are there stay as they are.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn set_bucket_encryption(
        &self,
        bucket: &BucketName,
        encryption: Option<&BucketEncryption>,
    ) -> Result<()> {
        let encoded = encryption.map(serde_json::to_vec).transpose();
        let encoded = encoded.map_err(|_| EngineError::Internal("encoding the encryption of a bucket"))?;
        self.put_bucket_document(bucket, ENCRYPTION, encoded).await?;
        self.inner.encryption.forget_all();
        Ok(())
    }

    /// As [`Engine::bucket_encryption`], remembered. What other nodes changed counts within a second.
    ///
    /// # Errors
    /// [`EngineError::NoSuchBucket`].
    pub async fn known_bucket_encryption(
        &self,
        bucket: &BucketName,
    ) -> Result<Option<Arc<BucketEncryption>>> {
        self.cached(bucket, &self.inner.encryption, self.bucket_encryption(bucket)).await
    }
}

fn decode(document: &[u8]) -> Result<BucketEncryption> {
    serde_json::from_slice(document).map_err(|error| {
        tracing::error!(%error, "the encryption of a bucket cannot be read");
        EngineError::Internal("the encryption of a bucket cannot be read")
    })
}
