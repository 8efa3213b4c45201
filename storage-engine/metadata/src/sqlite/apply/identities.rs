//! Identities.

use super::Batch;
use crate::model::{IdentityChange, IdentityDocument};
use crate::sqlite::codec::{encode, row_hash};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    /// Makes the change if it was decided from the present state.
    pub(super) fn change_identities(&mut self, change: &IdentityChange) -> Result<bool, Failure> {
        let counted = self
            .connection
            .prepare_cached(
                "UPDATE identity_state SET generation = generation + 1 WHERE one = 1 AND generation = ?1",
            )?
            .execute([change.expected.cast_signed()])?;
        if counted == 0 {
            return Ok(false);
        }
        for document in &change.documents {
            self.store_identity(document)?;
        }
        Ok(true)
    }

    pub(super) fn store_identity(&self, put: &IdentityDocument) -> Result<(), Failure> {
        let name = put.name.as_bytes();
        match &put.document {
            Some(document) => {
                let record = encode(document)?;
                let hash = row_hash("identities", &[name], &record);
                self.connection
                    .prepare_cached("REPLACE INTO identities (name, row_hash, record) VALUES (?1, ?2, ?3)")?
                    .execute((name, hash, record))?;
            }
            None => {
                self.connection.prepare_cached("DELETE FROM identities WHERE name = ?1")?.execute([name])?;
            }
        }
        Ok(())
    }
}
