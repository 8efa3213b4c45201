//! Who may use the store. The engine keeps the documents and does not look into them.

use granary_metadata::{IdentityChange, IdentityDocument};

use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// Makes a change of identities; `false` if others were made since the state it was decided from.
    ///
    /// # Errors
    /// [`crate::EngineError::Metadata`]; of a change whose outcome is unknown, the state must be read again.
    pub async fn change_identities(&self, change: IdentityChange) -> Result<bool> {
        Ok(self.inner.store.change_identities(change).await?)
    }

    /// Identities with names after `after`, in the order of their names, at most `limit`.
    ///
    /// # Errors
    /// [`crate::EngineError::Metadata`].
    pub async fn identities(&self, after: &str, limit: u32) -> Result<Vec<IdentityDocument>> {
        Ok(self.inner.store.identities(after, limit).await?)
    }

    /// Counts the changes of identities.
    ///
    /// # Errors
    /// [`crate::EngineError::Metadata`].
    pub async fn identity_generation(&self) -> Result<u64> {
        Ok(self.inner.store.identity_generation().await?)
    }
}
