//! Where a volume ends whose writer was killed.
//!
//! A stripe is acknowledged when all its columns are flushed, and all that lies before it as well. So one that was acknowledged
//! lies within the file of each column that it was written to, and nothing behind one that was not was acknowledged.
//! What cannot be read behind the known end, and is missing because more files than may be lost end before it, is torn: it was
//! being written. The volume ends there, though other columns may have landed already: as a part of what is committed it would
//! be lost for ever.
//!
//! Files may have been cut since, by damage that is more than a volume bears, and healed as far as that can be. What is
//! behind is sound on all its columns then. Where nothing is remembered of a volume it may be of long ago, and is kept.

use std::collections::HashMap;

use granary_drive::BLOCK_HEADER_LENGTH_BYTES;
use granary_types::BlobId;

use super::blobs::Segment;
use super::scan::{Contents, FoundVolume};
use crate::read::Stripe;

/// The place where a volume is torn, once it was passed.
#[derive(Default)]
pub(super) struct Tear(Option<Torn>);

/// What was read before, and what was met from there on.
struct Torn {
    at: u64,
    volume: FoundVolume,
    records: usize,
    segments: usize,
    open: HashMap<BlobId, Segment>,
    stripes: u64,
    unreadable: u64,
    is_refuted: bool,
}

impl Torn {
    fn begin(contents: &Contents, open: &HashMap<BlobId, Segment>, at: u64) -> Self {
        Self {
            at,
            volume: contents.volume.clone(),
            records: contents.records.len(),
            segments: contents.segments.len(),
            open: open.clone(),
            stripes: 0,
            unreadable: 0,
            is_refuted: false,
        }
    }
}

impl Tear {
    /// A gap is passed that begins there and ends at a stripe.
    pub(super) fn pass_gap(&mut self, contents: &Contents, open: &HashMap<BlobId, Segment>, from: u64) {
        if self.0.is_none() && contents.volume.tears_in_gap(from) {
            self.0 = Some(Torn::begin(contents, open, from));
        }
        if let Some(torn) = &mut self.0 {
            torn.stripes = torn.stripes.saturating_add(1);
        }
    }

    /// A stripe is passed, of which all data is there or not.
    pub(super) fn pass(
        &mut self,
        contents: &Contents,
        open: &HashMap<BlobId, Segment>,
        stripe: &Stripe,
        is_whole: bool,
    ) {
        if self.0.is_none() && !is_whole && contents.volume.tears_at(stripe) {
            self.0 = Some(Torn::begin(contents, open, stripe.header.stripe_offset));
        }
        if let Some(torn) = &mut self.0 {
            torn.stripes = torn.stripes.saturating_add(1);
            torn.unreadable = torn.unreadable.saturating_add(u64::from(!is_whole));
            torn.is_refuted |= contents.volume.known_end == 0 && stripe.lost().next().is_none();
        }
    }

    /// Takes back what was read behind the place where the volume is torn.
    pub(super) fn cut(self, contents: &mut Contents, open: &mut HashMap<BlobId, Segment>) {
        let Some(torn) = self.0 else { return };
        let (volume, at, stripes) = (contents.volume.id, torn.at, torn.stripes);
        if torn.is_refuted {
            tracing::error!(%volume, at, stripes = torn.unreadable, "files end before what may have been acknowledged");
            let lost = &mut contents.volume.lost_stripes;
            *lost = lost.saturating_add(torn.unreadable);
            return;
        }
        tracing::warn!(%volume, at, stripes, "a volume is torn: what was being written to it is left out");
        // It tells who wrote last, also if nothing of that counts.
        let epoch = contents.volume.epoch;
        contents.volume = FoundVolume { epoch, torn_stripes: stripes, ..torn.volume };
        contents.records.truncate(torn.records);
        contents.stripes.truncate(torn.records);
        contents.segments.truncate(torn.segments);
        *open = torn.open;
    }
}

impl FoundVolume {
    /// Whether a stripe that cannot be read was never on all its columns.
    fn tears_at(&self, stripe: &Stripe) -> bool {
        let header = &stripe.header;
        let length_bytes = (BLOCK_HEADER_LENGTH_BYTES as u64).saturating_add(header.body_length_bytes.into());
        let end = header.stripe_offset.saturating_add(length_bytes);
        let columns = (0_u8..).zip(&self.lengths).filter(|(column, _)| stripe.is_written(*column));
        let short = columns.filter(|(_, length)| length.is_some_and(|length| length < end)).count();
        header.stripe_offset >= self.known_end && short > usize::from(self.profile.1)
    }

    /// Whether what begins at `from`, where no column has anything, was never on all its columns: every stripe has one more than
    /// there is parity.
    fn tears_in_gap(&self, from: u64) -> bool {
        let reaching = self.lengths.iter().filter(|length| length.is_none_or(|length| length > from)).count();
        from >= self.known_end && reaching <= usize::from(self.profile.1)
    }
}

#[cfg(test)]
#[path = "torn_tests.rs"]
mod tests;
