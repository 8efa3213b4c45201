//! Renames: a put and the removal of what it was made of, as one.

use super::Batch;
use crate::model::{EraseTerms, ExpireObject, Outcome, RenameObject};
use crate::sqlite::apply::commit::refused;
use crate::sqlite::apply::objects::marker_version;

impl Batch {
    pub(super) fn rename_object(&mut self, rename: &RenameObject) -> Outcome {
        if let Some(refusal) = self.keeps_source(&rename.source) {
            return refusal;
        }
        match self.put_object(&rename.put) {
            done @ Outcome::Done { .. } => {
                self.expire_object(&rename.source);
                done
            }
            refusal => refusal,
        }
    }

    /// Why the old key must stay as it is; `None` if its removal will succeed.
    fn keeps_source(&mut self, source: &ExpireObject) -> Option<Outcome> {
        let ExpireObject { expected, remove } = source;
        let marker = marker_version(self.settings(remove.bucket), remove.version);
        let state = self.key(remove.bucket, &remove.key);
        let Some(version) = state.current_row().filter(|row| row.object.write == *expected) else {
            return Some(Outcome::Moved);
        };
        let version = version.object.version;
        if let Some(outcome) = refused(&remove.conditions, state.current_row()) {
            return Some(outcome);
        }
        match marker {
            None => state.withheld(version, &EraseTerms::at(remove.modified)),
            Some(marker) => state.replaces_locked(&remove.marker(marker)).then_some(Outcome::Locked),
        }
    }
}
