//! Walking a volume stripe by stripe.
//!
//! A stripe says how long it is, so the next begins where it ends. If no column of a stripe is readable, the
//! walk goes on page by page until it meets a valid header, and reports the gap.
//!
//! Who needs all columns has them read ahead in long pieces ([`super::ahead`]), from the second stripe on: who only wants to
//! look what a volume begins with reads no more than that.

use std::sync::Arc;

use granary_drive::{BLOCK_ALIGNMENT_BYTES, FileHeader};

use super::ahead::{Ahead, Look};
use super::window::piece_bytes;
use crate::error::{EngineError, Result};
use crate::read::{Found, Stripe, gather_stripe, read_stripe};
use crate::volume::{VolumeMap, VolumeView};

/// One step of a walk.
#[derive(Debug)]
pub(crate) enum Step {
    /// A stripe with at least one readable column.
    Stripe(Box<Stripe>),
    /// Bytes from `from` to `to` of every shard file in which no column is readable.
    Gap { from: u64, to: u64 },
}

/// How much of each stripe a walk has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    /// All columns: what is missing is then lost.
    All,
    /// As many as tell all of it: nodes may be away.
    Enough,
}

/// The state of a walk over the committed part of a volume.
pub(crate) struct Walk {
    view: Arc<VolumeView>,
    at: u64,
    end: u64,
    /// Where the last stripe ended; 0 before the first.
    stripe_end: u64,
    needed: Needed,
    /// What is read of each column at once.
    piece_bytes: u64,
    ahead: Option<Ahead>,
    /// The stripe behind a gap that was just told.
    behind_gap: Option<Box<Stripe>>,
}

impl Walk {
    pub(crate) fn new(view: Arc<VolumeView>, committed_end: u64) -> Self {
        Self::over(view, (FileHeader::LENGTH_BYTES, committed_end), Needed::All)
    }

    /// A walk over what lies between two places where stripes begin, whoever is away, as long as each stripe can be read.
    pub(crate) fn between(view: Arc<VolumeView>, from: u64, end: u64) -> Self {
        Self::over(view, (from.max(FileHeader::LENGTH_BYTES), end), Needed::Enough)
    }

    fn over(view: Arc<VolumeView>, (from, end): (u64, u64), needed: Needed) -> Self {
        let piece_bytes = piece_bytes(view.drives.len());
        Self { view, at: from, end, stripe_end: 0, needed, piece_bytes, ahead: None, behind_gap: None }
    }

    /// Where it is.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next stripe or gap, or `None` at the end.
    ///
    /// # Errors
    /// When a column could not be read for a reason that may pass: nothing may be concluded from what is missing.
    pub(crate) async fn next(&mut self, map: &Arc<VolumeMap>) -> Result<Option<Step>> {
        let uncertain =
            || EngineError::Unavailable { context: "walking a volume: a drive cannot be read now" };
        if let Some(stripe) = self.behind_gap.take() {
            return Ok(Some(self.pass(stripe)));
        }
        let from = self.at;
        while self.at < self.end {
            match self.read(map).await {
                Found::Stripe(stripe) if stripe.uncertain => return Err(uncertain()),
                Found::Stripe(stripe) if self.at > from => {
                    self.behind_gap = Some(stripe);
                    return Ok(Some(Step::Gap { from, to: self.at }));
                }
                Found::Stripe(stripe) => return Ok(Some(self.pass(stripe))),
                Found::Nothing => self.at += BLOCK_ALIGNMENT_BYTES,
                Found::Unknown(_) => return Err(uncertain()),
            }
        }
        Ok((self.at > from).then_some(Step::Gap { from, to: self.at }))
    }

    fn pass(&mut self, stripe: Box<Stripe>) -> Step {
        self.at += stripe.span_bytes();
        self.stripe_end = self.at;
        Step::Stripe(stripe)
    }

    async fn read(&mut self, map: &Arc<VolumeMap>) -> Found {
        match self.needed {
            Needed::All => self.read_all(map).await,
            Needed::Enough => self.read_enough(map).await,
        }
    }

    async fn read_all(&mut self, map: &Arc<VolumeMap>) -> Found {
        // Once columns had to be asked, they are until a stripe is met: nothing is read ahead anew for each page of a gap.
        if self.ahead.is_none() && self.at == self.stripe_end {
            let span = (self.at, self.end);
            self.ahead = Some(Ahead::begin(map, &self.view, span, self.piece_bytes));
        }
        // What was taken out of it is not there a second time: it is kept only if the walk goes on from here.
        if let Some(mut ahead) = self.ahead.take() {
            let found = match ahead.look(self.at).await {
                Some(Look::Stripe(stripe)) => Some(stripe.complete(map, &self.view).await),
                Some(Look::Nothing) => Some(Found::Nothing),
                None => None,
            };
            if let Some(found) = found {
                let is_uncertain = matches!(&found, Found::Stripe(stripe) if stripe.uncertain);
                self.ahead = (!is_uncertain).then_some(ahead);
                return found;
            }
        }
        read_stripe(map, &self.view, self.at).await
    }

    async fn read_enough(&self, map: &VolumeMap) -> Found {
        let profile = self.view.codec.profile();
        match gather_stripe(map, &self.view, self.at).await {
            Found::Stripe(mut stripe) => {
                let written = stripe.header.columns_written.count_ones() as usize;
                let readable = stripe.blocks.iter().flatten().count();
                // Columns that were not written are known to be zero.
                let is_enough = readable + profile.columns().saturating_sub(written) >= profile.data();
                stripe.uncertain &= !is_enough;
                Found::Stripe(stripe)
            }
            Found::Unknown(silent) if !self.view.may_hide(silent, map.lost(&self.view).await) => {
                Found::Nothing
            }
            other => other,
        }
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
