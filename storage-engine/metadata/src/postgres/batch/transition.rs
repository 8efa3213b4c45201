//! Another storage class for a version.

use super::Batch;
use crate::model::{Outcome, Transition};
use crate::sqlite::apply::transition::retier;

impl Batch {
    pub(super) fn transition_object(&mut self, transition: &Transition) -> Outcome {
        let is_there = |blob: &crate::model::BlobMove| {
            self.blobs.get(&blob.blob).is_some_and(|known| known.extents.as_ref() == Some(&blob.from))
        };
        if !transition.moves.iter().all(is_there) {
            return Outcome::Moved;
        }
        let state = self.key(transition.bucket, &transition.key);
        let Some((stored, changed)) = state.version_mut(transition.version) else { return Outcome::Moved };
        let left = match retier(&mut stored.row, transition) {
            Ok(left) => left,
            Err(outcome) => return outcome,
        };
        *changed = true;
        if let Some((from, to)) = left.zip(transition.place.as_ref()) {
            self.add_live(to.volume, u64::from(to.length_bytes));
            self.drop_live(from.volume, u64::from(from.length_bytes));
        }
        for moved in &transition.moves {
            self.move_blob(moved);
        }
        if transition.from.is_archive() {
            self.drop_restore(transition.bucket, &transition.key, transition.write);
        }
        Outcome::Done { replaced: None, order: 0 }
    }
}
