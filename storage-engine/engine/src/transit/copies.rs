//! The copies of shared blobs that were made, so that all who share a blob and move come to share its copy.

use std::collections::HashMap;

use granary_metadata::Outcome;
use granary_types::BlobId;
use parking_lot::Mutex;

use crate::tiers::Tier;

/// Copies that are remembered: some MiB.
const COPIES_MAX: usize = 1 << 16;

/// A blob, and its copy.
pub(super) type Copied = (BlobId, BlobId);

/// The copies that versions refer to since a batch began to move.
#[derive(Default)]
pub(super) struct Copies {
    known: Mutex<HashMap<(Tier, BlobId), BlobId>>,
    /// One version copies what it shares at a time: the next finds what this one made.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Copies {
    /// The copy of a blob in a tier.
    pub(super) fn of(&self, tier: Tier, blob: BlobId) -> Option<BlobId> {
        self.known.lock().get(&(tier, blob)).copied()
    }

    /// Notes what became of a commit that names these copies. After one that was refused it is asked anew whether they are there.
    pub(super) fn learn(&self, tier: Tier, copied: &[Copied], outcome: &Outcome) {
        if !matches!(outcome, Outcome::Done { .. }) {
            return;
        }
        let mut known = self.known.lock();
        for (from, to) in copied {
            if known.len() < COPIES_MAX {
                known.insert((tier, *from), *to);
            }
        }
    }

    /// Forgets the copy of a blob, which is gone with all who referred to it, or not in the tier any more: the next makes another.
    pub(super) fn forget(&self, tier: Tier, blob: BlobId) {
        self.known.lock().remove(&(tier, blob));
    }
}

#[cfg(test)]
#[path = "copies_tests.rs"]
mod tests;
