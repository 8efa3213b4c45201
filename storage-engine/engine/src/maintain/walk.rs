//! Walking a volume stripe by stripe.
//!
//! A stripe says how long it is, so the next begins where it ends. If no column of a stripe is readable, the
//! walk goes on page by page until it meets a valid header, and reports the gap.

use std::sync::Arc;

use granary_drive::{BLOCK_ALIGNMENT_BYTES, FileHeader};

use crate::read::{Stripe, read_stripe};
use crate::volume::{VolumeMap, VolumeView};

/// One step of a walk.
pub(crate) enum Step {
    /// A stripe with at least one readable column.
    Stripe(Box<Stripe>),
    /// Bytes from `from` to `to` of every shard file in which no column is readable.
    Gap { from: u64, to: u64 },
}

/// The state of a walk over the committed part of a volume.
pub(crate) struct Walk {
    view: Arc<VolumeView>,
    at: u64,
    end: u64,
}

impl Walk {
    pub(crate) fn new(view: Arc<VolumeView>, committed_end: u64) -> Self {
        Self { view, at: FileHeader::LENGTH_BYTES, end: committed_end }
    }

    /// The next stripe or gap, or `None` at the end.
    pub(crate) async fn next(&mut self, map: &VolumeMap) -> Option<Step> {
        let from = self.at;
        while self.at < self.end {
            if let Some(stripe) = read_stripe(map, &self.view, self.at).await {
                if self.at > from {
                    return Some(Step::Gap { from, to: self.at });
                }
                self.at += stripe.span_bytes();
                return Some(Step::Stripe(Box::new(stripe)));
            }
            self.at += BLOCK_ALIGNMENT_BYTES;
        }
        (self.at > from).then_some(Step::Gap { from, to: self.at })
    }
}
