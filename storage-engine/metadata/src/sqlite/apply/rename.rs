//! Renames: a put and the removal of what it was made of, as one.

use super::Batch;
use super::commit::refused;
use super::objects::{load_current, marker_version};
use crate::model::{EraseTerms, ExpireObject, Outcome, RenameObject};
use crate::sqlite::failure::Failure;

impl Batch<'_> {
    pub(super) fn rename_object(&mut self, rename: &RenameObject) -> Result<Outcome, Failure> {
        if let Some(refusal) = self.keeps_source(&rename.source)? {
            return Ok(refusal);
        }
        match self.put_object(&rename.put)? {
            done @ Outcome::Done { .. } => {
                self.expire_object(&rename.source)?;
                Ok(done)
            }
            refusal => Ok(refusal),
        }
    }

    /// Why the old key must stay as it is; `None` if its removal will succeed.
    fn keeps_source(&mut self, source: &ExpireObject) -> Result<Option<Outcome>, Failure> {
        let ExpireObject { expected, remove } = source;
        let Some(settings) = self.bucket_settings(remove.bucket)? else {
            return Ok(Some(Outcome::NoSuchBucket));
        };
        let current = load_current(self.connection, remove.bucket, &remove.key)?;
        let row = current.as_ref().map(|stored| &stored.row);
        if row.is_none_or(|row| row.object.write != *expected) {
            return Ok(Some(Outcome::Moved));
        }
        if let Some(outcome) = refused(&remove.conditions, row) {
            return Ok(Some(outcome));
        }
        let Some(version) = marker_version(settings, remove.version) else {
            let terms = EraseTerms::at(remove.modified);
            return self.withheld(remove.bucket, &remove.key, current.as_ref(), true, &terms);
        };
        let marker = remove.marker(version);
        let locked = self.replaces_locked(remove.bucket, &remove.key, current.as_ref(), &marker)?;
        Ok(locked.then_some(Outcome::Locked))
    }
}
