//! Blobs and the rows that refer to them.

use std::collections::BTreeMap;

use granary_types::BlobId;

use super::Batch;
use crate::model::{BlobMove, NewBlob, Outcome};
use crate::sqlite::apply::blobs::Referrer;

/// How far the references have to be counted of each blob of which the batch holds some; of every other, to the first.
///
/// A batch drops references that it holds or that it added itself, and counts those that it adds. So if a blob has one more
/// than are held, it outlives the batch, and how many more there are does not matter.
pub(super) fn countable(held: &[(BlobId, Referrer)]) -> BTreeMap<BlobId, i64> {
    let mut most = BTreeMap::new();
    for (blob, _) in held {
        let most = most.entry(*blob).or_insert(1_i64);
        *most = most.saturating_add(1);
    }
    most
}

impl Batch {
    pub(super) fn blob_exists(&self, id: BlobId) -> bool {
        self.blobs.get(&id).is_some_and(|blob| blob.extents.is_some())
    }

    /// Stores a blob unless it is there already (ids are never reused, so it is the same then).
    pub(super) fn add_blob(&mut self, new: &NewBlob) {
        let blob = self.blobs.entry(new.id).or_default();
        if blob.extents.is_some() {
            return;
        }
        blob.extents = Some(new.extents.clone());
        blob.changed = true;
        self.add_extents(&new.extents);
    }

    pub(super) fn add_reference(&mut self, id: BlobId, referrer: Referrer) {
        let presence = self.references.entry((id, referrer)).or_default();
        if !presence.wanted {
            presence.wanted = true;
            let blob = self.blobs.entry(id).or_default();
            blob.references = blob.references.saturating_add(1);
        }
    }

    fn take_reference(&mut self, id: BlobId, referrer: Referrer) -> bool {
        let presence = self.references.entry((id, referrer)).or_default();
        let held = std::mem::take(&mut presence.wanted);
        if held {
            let blob = self.blobs.entry(id).or_default();
            blob.references = blob.references.saturating_sub(1);
        }
        held
    }

    /// Hands a reference over, from a part to an object.
    pub(super) fn move_reference(&mut self, id: BlobId, from: Referrer, to: Referrer) {
        if !self.take_reference(id, from) {
            tracing::error!(blob = %id, "a part's reference to its blob was missing");
        }
        self.add_reference(id, to);
    }

    /// Drops a reference, and the blob with its last one.
    pub(super) fn drop_reference(&mut self, id: BlobId, referrer: Referrer) {
        if !self.take_reference(id, referrer) {
            tracing::error!(blob = %id, "a reference to a blob was missing");
        }
        let Some(blob) = self.blobs.get_mut(&id).filter(|blob| blob.references <= 0) else { return };
        let Some(extents) = blob.extents.take() else { return };
        blob.changed = true;
        self.drop_extents(&extents);
    }

    pub(super) fn move_blob(&mut self, moved: &BlobMove) -> Outcome {
        let Some(blob) = self.blobs.get_mut(&moved.blob) else { return Outcome::Moved };
        if blob.extents.as_ref() != Some(&moved.from) {
            return Outcome::Moved;
        }
        blob.extents = Some(moved.to.clone());
        blob.changed = true;
        self.add_extents(&moved.to);
        self.drop_extents(&moved.from);
        Outcome::Done { replaced: None, order: 0 }
    }
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
