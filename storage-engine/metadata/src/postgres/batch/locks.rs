//! Object lock: what it withholds, and how it is changed.

use granary_types::VersionId;

use super::{Batch, KeyState};
use crate::model::{Bypass, EraseTerms, ExpireObject, Locking, NewObject, Outcome, Standing};

impl KeyState {
    /// Whether `object` would replace a version that is locked.
    pub(super) fn replaces_locked(&mut self, object: &NewObject) -> bool {
        let same = self.version_mut(object.version);
        same.is_some_and(|(same, _)| same.row.lock.holds(object.modified, Bypass::Nothing))
    }

    /// Why the version named must stay; `None` if it can go, or is not there.
    pub(super) fn withheld(&mut self, version: VersionId, terms: &EraseTerms) -> Option<Outcome> {
        let is_current = self.current_row().is_some_and(|row| row.object.version == version);
        let is_sole = is_current && self.older_count == 0;
        let named = self.version_mut(version).map(|(named, _)| &named.row);
        if let Some(expected) = terms.expected {
            let stands = match expected.standing {
                Standing::Noncurrent => !is_current,
                Standing::Sole => is_sole,
            };
            if !stands || named.is_none_or(|named| named.object.write != expected.write) {
                return Some(Outcome::Moved);
            }
        }
        named.is_some_and(|named| named.lock.holds(terms.at, terms.bypass)).then_some(Outcome::Locked)
    }
}

impl Batch {
    pub(super) fn lock_object(&mut self, locking: &Locking) -> Outcome {
        let Locking { bucket, key, version, write, change } = locking;
        let named = self.key(*bucket, key).version_mut(*version);
        let Some((stored, changed)) = named.filter(|(stored, _)| stored.row.object.write == *write) else {
            return Outcome::NoSuchKey;
        };
        let Some(lock) = change.apply(stored.row.lock) else { return Outcome::Locked };
        stored.row.lock = lock;
        *changed = true;
        Outcome::Done { replaced: None, order: 0 }
    }

    pub(super) fn expire_object(&mut self, expire: &ExpireObject) -> Outcome {
        let ExpireObject { expected, remove } = expire;
        let current = self.key(remove.bucket, &remove.key).current_row();
        if current.is_none_or(|current| current.object.write != *expected) {
            return Outcome::Moved;
        }
        self.remove_object(remove)
    }
}
