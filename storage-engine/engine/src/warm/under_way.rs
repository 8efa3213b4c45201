//! The room of copies that are under way.
//!
//! What a copy takes is in the account of its kind once the copy counts, which is at its end: one of a large object may be hours
//! away. Until then its room is held here, or several that are made beside each other would each be given the same room.
//!
//! Copies that other nodes make are not known of. What is written of them is missing from what is free, of which the limit is
//! reckoned; what is not comes to one batch of each node at most ([`super::copy`]), or to one object if that is larger, for which
//! a tenth of the SSDs stays free. What is over the limit when they count goes in the next round of the node that leads.

use std::sync::Arc;

use parking_lot::Mutex;

use super::WarmOptions;
use super::room::{Claims, Ssds};

/// The copies that this process makes at this moment.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<Sums>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    cache: Sum,
    kept: Sum,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    /// What the copies will take.
    bytes: u64,
    /// What of that is written.
    written_bytes: u64,
}

impl Sums {
    fn of(&mut self, claims: Claims) -> &mut Sum {
        match claims {
            Claims::Cache | Claims::CacheBefore(_) | Claims::Fill { .. } => &mut self.cache,
            Claims::Kept => &mut self.kept,
        }
    }
}

/// What the cache takes, and how much it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheAccount {
    /// What copies take that count.
    pub(super) cached_bytes: u64,
    /// With those that are under way.
    pub(super) taken_bytes: u64,
    pub(super) limit_bytes: u64,
}

impl CacheAccount {
    /// What there would be if all copies that count made room. Those that are under way cannot.
    pub(super) fn attainable_bytes(self) -> u64 {
        self.limit_bytes.saturating_sub(self.taken_bytes.saturating_sub(self.cached_bytes))
    }

    /// What must make room for copies that come to `bytes`, of which the first to be made takes so much: nothing if that would
    /// not be enough for it.
    pub(super) fn eviction_bytes(self, bytes: u64, first_bytes: u64) -> u64 {
        if first_bytes > self.attainable_bytes() {
            return 0;
        }
        self.taken_bytes.saturating_add(bytes).saturating_sub(self.limit_bytes)
    }
}

impl UnderWay {
    /// The account of a cache whose copies that count come to so many bytes.
    pub(super) fn account(&self, cached_bytes: u64, ssds: Ssds, options: &WarmOptions) -> CacheAccount {
        let Sums { cache, kept } = *self.0.lock();
        // What is kept and not written yet takes of what is free now.
        let free_bytes = ssds.free_bytes.saturating_sub(kept.bytes.saturating_sub(kept.written_bytes));
        let ssds = Ssds { free_bytes, ..ssds };
        CacheAccount {
            cached_bytes,
            taken_bytes: cached_bytes.saturating_add(cache.bytes),
            limit_bytes: ssds.limit_bytes(options, cached_bytes.saturating_add(cache.written_bytes)),
        }
    }

    /// Holds room for a copy.
    pub(super) fn hold(self: &Arc<Self>, claims: Claims, bytes: u64) -> HeldRoom {
        let held = Sum { bytes, written_bytes: 0 };
        self.0.lock().of(claims).bytes += bytes;
        HeldRoom { under_way: Arc::clone(self), claims, held: Mutex::new(held) }
    }
}

/// The room of one copy, given back when this is dropped.
#[derive(Debug)]
pub(super) struct HeldRoom {
    under_way: Arc<UnderWay>,
    claims: Claims,
    held: Mutex<Sum>,
}

impl HeldRoom {
    /// So many bytes more of the copy are there.
    pub(super) fn note_written(&self, bytes: u64) {
        let mut held = self.held.lock();
        let bytes = bytes.min(held.bytes.saturating_sub(held.written_bytes));
        held.written_bytes += bytes;
        self.under_way.0.lock().of(self.claims).written_bytes += bytes;
    }

    /// The copy counts, or does at any moment: it is in the account of its kind. For that moment it may be in none, which only
    /// lets the cache be too large for as long; in both, others would be dropped for it.
    pub(super) fn let_go(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        let mut sums = self.under_way.0.lock();
        let sum = sums.of(self.claims);
        sum.bytes = sum.bytes.saturating_sub(held.bytes);
        sum.written_bytes = sum.written_bytes.saturating_sub(held.written_bytes);
    }
}

impl Drop for HeldRoom {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
#[path = "under_way_tests.rs"]
mod tests;
