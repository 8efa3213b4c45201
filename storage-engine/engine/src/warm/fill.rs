//! The cache fills by itself: what of the hottest versions on disks gets copies in a round.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::copy::{Made, Pace, Wish, make_copies};
use super::room::Claims;
use crate::engine::Inner;
use crate::error::Result;

/// A round fills this part of the cache at most, so that a change of what is read wears the SSDs no faster than it has to.
const ROUND_PART: u64 = 10;
/// What is larger than this part of the cache would drive out too much for one object.
const LARGEST_PART: u64 = 8;

/// What is to fill the cache.
pub(super) struct Fills {
    left_bytes: u64,
    largest_bytes: u64,
    /// By their reads in whole numbers: how hot the least hot of them is, and they.
    wishes: BTreeMap<u64, (u64, Vec<Wish>)>,
}

impl Fills {
    /// For a cache that may hold so many bytes.
    pub(super) fn new(limit_bytes: u64) -> Self {
        let (left_bytes, largest_bytes) = (limit_bytes / ROUND_PART, limit_bytes / LARGEST_PART);
        Self { left_bytes, largest_bytes, wishes: BTreeMap::new() }
    }

    /// Whether so many bytes more are taken in this round.
    pub(super) fn takes(&self, length_bytes: u64) -> bool {
        // The largest are more than a round may be, and are one of their own.
        length_bytes <= self.left_bytes || (self.wishes.is_empty() && length_bytes <= self.largest_bytes)
    }

    /// With a version that is so hot.
    pub(super) fn add(&mut self, milli_reads: u64, wish: Wish) {
        self.left_bytes = self.left_bytes.saturating_sub(wish.row.object.length_bytes);
        let reads = milli_reads.saturating_add(500) / 1_000;
        let (least, wishes) = self.wishes.entry(reads).or_insert((milli_reads, Vec::new()));
        *least = milli_reads.min(*least);
        wishes.push(wish);
    }

    /// Copies them, the hottest first, until there is nothing left that is colder and could make room.
    pub(super) async fn fill(self, inner: &Arc<Inner>) -> Result<()> {
        for (milli_reads, wishes) in self.wishes.into_values().rev() {
            let mut is_full = false;
            let mut tell = |made: Made| is_full |= matches!(made, Made::NoRoom(_));
            make_copies(inner, wishes, (Pace::Polite, Claims::Fill { milli_reads }), &mut tell).await?;
            if is_full {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
