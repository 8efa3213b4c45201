//! Versions of objects.

use std::collections::HashSet;

use granary_types::{BucketId, ObjectKey, VersionId};

use super::{Batch, KeyState, OlderState};
use crate::model::{
    DeleteObject, EraseTerms, NewObject, ObjectLock, ObjectMove, ObjectRow, Outcome, PutObject, RemoveObject,
    fits,
};
use crate::sqlite::apply::blobs::object_referrer;
use crate::sqlite::apply::commit::refused;
use crate::sqlite::apply::objects::{marker_version, next_order, parts_of};
use crate::sqlite::codec::StoredObject;

impl KeyState {
    pub(super) fn current_row(&self) -> Option<&ObjectRow> {
        self.current.as_ref().map(|stored| &stored.row)
    }

    fn older_order(&self, version: VersionId) -> Option<u64> {
        let named = |state: &OlderState| {
            state.row.as_ref().is_some_and(|stored| stored.row.object.version == version)
        };
        self.older.iter().find(|(_, state)| named(state)).map(|(order, _)| *order)
    }

    fn take_older(&mut self, order: u64) -> Option<StoredObject> {
        let state = self.older.get_mut(&order)?;
        let row = state.row.take()?;
        state.changed = true;
        self.older_count = self.older_count.saturating_sub(1);
        self.changed = true;
        Some(row)
    }

    fn push_older(&mut self, stored: StoredObject) {
        let order = stored.row.order;
        let state = self.older.entry(order).or_insert(OlderState { found: false, changed: true, row: None });
        state.changed = true;
        state.row = Some(stored);
        self.older_count = self.older_count.saturating_add(1);
    }

    /// Makes `object` the current version and returns the one it replaces.
    fn place(&mut self, object: &NewObject, lock: ObjectLock, order: u64) -> Option<ObjectRow> {
        self.changed = true;
        let replaced = match self.current.take() {
            Some(current) if current.row.object.version == object.version => Some(current.row),
            Some(current) => {
                let same = self.older_order(object.version).and_then(|order| self.take_older(order));
                self.push_older(current);
                same.map(|same| same.row)
            }
            None => None,
        };
        let row = ObjectRow { order, object: object.clone(), tag_count: 0, lock };
        self.current = Some(StoredObject { row, top_order: order });
        replaced
    }

    /// Removes a version. If it is the current one, the newest older one takes its place and remembers the highest order.
    fn remove(&mut self, version: VersionId) -> Option<ObjectRow> {
        let current = self.current.take()?;
        if current.row.object.version != version {
            self.current = Some(current);
            return self.older_order(version).and_then(|order| self.take_older(order)).map(|gone| gone.row);
        }
        self.changed = true;
        let newest = self.older.iter().rev().find(|(_, state)| state.row.is_some()).map(|(order, _)| *order);
        self.current = newest.and_then(|order| self.take_older(order));
        if let Some(uncovered) = &mut self.current {
            uncovered.top_order = current.top_order;
        }
        Some(current.row)
    }

    pub(super) fn version_mut(&mut self, version: VersionId) -> Option<(&mut StoredObject, &mut bool)> {
        if self.current.as_ref()?.row.object.version == version {
            return self.current.as_mut().map(|current| (current, &mut self.changed));
        }
        let order = self.older_order(version)?;
        let state = self.older.get_mut(&order)?;
        state.row.as_mut().map(|row| (row, &mut state.changed))
    }
}

impl Batch {
    pub(super) fn key(&mut self, bucket: BucketId, key: &ObjectKey) -> &mut KeyState {
        self.keys.entry((bucket, key.clone())).or_default()
    }

    pub(super) fn put_object(&mut self, put: &PutObject) -> Outcome {
        if !fits(self.settings(put.bucket), put.object.version) {
            return Outcome::VersioningChanged;
        }
        let state = self.key(put.bucket, &put.key);
        if let Some(outcome) = refused(&put.conditions, state.current_row()) {
            return outcome;
        }
        if state.replaces_locked(&put.object) {
            return Outcome::Locked;
        }
        let order = next_order(state.current.as_ref());
        let parts = parts_of(&put.object);
        let new: HashSet<_> = put.blobs.iter().map(|blob| blob.id).collect();
        if parts.iter().any(|part| !new.contains(&part.blob) && !self.blob_exists(part.blob)) {
            return Outcome::Moved;
        }
        let used: HashSet<_> = parts.iter().map(|part| part.blob).collect();
        for blob in put.blobs.iter().filter(|blob| used.contains(&blob.id)) {
            self.add_blob(blob);
        }
        for (index, part) in (0_u32..).zip(parts) {
            self.add_reference(part.blob, object_referrer(put.bucket, &put.key, order, index));
        }
        self.place(put.bucket, &put.key, &put.object, order)
    }

    /// Makes `object`, whose blobs are stored and referred to, the current version.
    pub(super) fn place(
        &mut self,
        bucket: BucketId,
        key: &ObjectKey,
        object: &NewObject,
        order: u64,
    ) -> Outcome {
        let lock = ObjectLock::by_default(self.settings(bucket), object);
        let replaced = self.key(bucket, key).place(object, lock, order);
        self.used.put(bucket, object);
        if let Some(location) = object.content.packed() {
            self.add_live(location.volume, u64::from(location.length_bytes));
        }
        if let Some(row) = &replaced {
            self.drop_content(bucket, key, row);
        }
        Outcome::Done { replaced: replaced.map(Box::new), order }
    }

    /// The tags and the list of a version that is gone go too; its bytes are garbage, unless something else refers to them.
    fn drop_content(&mut self, bucket: BucketId, key: &ObjectKey, row: &ObjectRow) {
        self.used.gone(bucket, &row.object);
        if let Some(location) = row.object.content.packed() {
            self.drop_live(location.volume, u64::from(location.length_bytes));
        }
        for (index, part) in (0_u32..).zip(parts_of(&row.object)) {
            self.drop_reference(part.blob, object_referrer(bucket, key, row.order, index));
        }
        self.drop_tags(bucket, key, row.object.write);
        self.drop_acl(bucket, key, row.object.write);
        if row.object.storage_class.is_archive() {
            self.drop_restore(bucket, key, row.object.write);
        }
    }

    pub(super) fn delete_object(&mut self, delete: &DeleteObject, terms: &EraseTerms) -> Outcome {
        let state = self.key(delete.bucket, &delete.key);
        if let Some(outcome) = refused(&delete.conditions, state.current_row()) {
            return outcome;
        }
        if let Some(outcome) = state.withheld(delete.version, terms) {
            return outcome;
        }
        let gone = state.remove(delete.version);
        if let Some(row) = &gone {
            self.drop_content(delete.bucket, &delete.key, row);
        }
        Outcome::Done { replaced: gone.map(Box::new), order: 0 }
    }

    /// Deletes the key for good or by a delete marker, as the bucket's versioning says.
    pub(super) fn remove_object(&mut self, remove: &RemoveObject) -> Outcome {
        let (bucket, key) = (remove.bucket, &remove.key);
        let Some(version) = marker_version(self.settings(bucket), remove.version) else {
            return self.delete_object(&remove.null(), &EraseTerms::at(remove.modified));
        };
        let state = self.key(bucket, key);
        if let Some(outcome) = refused(&remove.conditions, state.current_row()) {
            return outcome;
        }
        let marker = remove.marker(version);
        if state.replaces_locked(&marker) {
            return Outcome::Locked;
        }
        let order = next_order(state.current.as_ref());
        self.place(bucket, key, &marker, order);
        Outcome::Marked { version, order }
    }

    pub(super) fn move_object(&mut self, moved: &ObjectMove) -> Outcome {
        let state = self.key(moved.bucket, &moved.key);
        let Some((stored, changed)) = state.version_mut(moved.version) else { return Outcome::Moved };
        match stored.row.object.content.packed_mut() {
            Some(location) if *location == moved.from => *location = moved.to.clone(),
            _ => return Outcome::Moved,
        }
        *changed = true;
        self.add_live(moved.to.volume, u64::from(moved.to.length_bytes));
        self.drop_live(moved.from.volume, u64::from(moved.from.length_bytes));
        Outcome::Done { replaced: None, order: 0 }
    }
}
