//! Another storage class for a version.

use super::Batch;
use crate::model::{BlobApart, Outcome, Transition};
use crate::sqlite::apply::blobs::object_referrer;
use crate::sqlite::apply::transition::{Swap, changes_row, copies_needed, ends_restore, retier, swap, swaps};

impl Batch {
    pub(super) fn transition_object(&mut self, transition: &Transition, apart: &[BlobApart]) -> Outcome {
        let is_there = |blob: &crate::model::BlobMove| {
            self.blobs.get(&blob.blob).is_some_and(|known| known.extents.as_ref() == Some(&blob.from))
        };
        if !transition.moves.iter().all(is_there) || !copies_needed(apart).all(|copy| self.blob_exists(copy))
        {
            return Outcome::Moved;
        }
        let (bucket, key) = (transition.bucket, &transition.key);
        let state = self.key(bucket, key);
        let Some((stored, changed)) = state.version_mut(transition.version) else { return Outcome::Moved };
        let swaps = match swaps(&stored.row.object.content, apart) {
            Ok(swaps) => swaps,
            Err(outcome) => return outcome,
        };
        let left = match retier(&mut stored.row, transition) {
            Ok(left) => left,
            Err(outcome) => return outcome,
        };
        swap(&mut stored.row.object.content, &swaps);
        let order = stored.row.order;
        *changed |= changes_row(transition, apart);
        if let Some((from, to)) = left.zip(transition.place.as_ref()) {
            self.add_live(to.volume, u64::from(to.length_bytes));
            self.drop_live(from.volume, u64::from(from.length_bytes));
        }
        for moved in transition.moves.iter().filter(|moved| !moved.stays()) {
            self.move_blob(moved);
        }
        for blob in apart {
            self.add_blob(&blob.to);
        }
        let referrer = |index| object_referrer(bucket, key, order, index);
        for Swap { index, to, .. } in &swaps {
            self.add_reference(*to, referrer(*index));
        }
        for Swap { index, from, .. } in &swaps {
            self.drop_reference(*from, referrer(*index));
        }
        if ends_restore(transition) {
            self.drop_restore(bucket, key, transition.write);
            self.end_restored(bucket, key, transition.write);
        }
        Outcome::Done { replaced: None, order: 0 }
    }
}
