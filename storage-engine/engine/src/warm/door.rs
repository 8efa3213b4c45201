//! Who is at the door: what was read once is remembered, and no more is made of it.
//!
//! One scan over a corpus reads everything once. If that made a row for each, it would cost the metadata as much as writing
//! the corpus did, and say nothing. So the first read of a version leaves no more than a hash of its name here; the second,
//! within about the window that reads count for, is let in.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::mem::take;

use granary_types::UnixMillis;

/// Hashes of one generation: some megabytes.
const REMEMBERED_MAX: usize = 450_000;

/// Remembers what was read within the last window, and what in the half window before, roughly.
pub(super) struct Door {
    hashes: RandomState,
    half_window_ms: i64,
    /// When the younger generation began.
    since: UnixMillis,
    younger: Generation,
    elder: Generation,
}

/// What was read in half a window. When it is too much, a part of it that any read would choose alike: versions that are
/// remembered by a scan are remembered by the next one too.
#[derive(Default)]
struct Generation {
    hashes: HashSet<u64>,
    /// Only hashes without these bits.
    mask: u64,
}

impl Generation {
    fn remember(&mut self, hash: u64, max: usize) {
        while self.hashes.len() >= max && hash & self.mask == 0 {
            self.mask = (self.mask << 1) | 1;
            let mask = self.mask;
            self.hashes.retain(|hash| hash & mask == 0);
        }
        if hash & self.mask == 0 {
            self.hashes.insert(hash);
        }
    }
}

impl Door {
    /// Remembers what was read within about so long.
    pub(super) fn new(window_ms: u64) -> Self {
        Self {
            hashes: RandomState::new(),
            half_window_ms: i64::try_from(window_ms / 2).unwrap_or(i64::MAX).max(1),
            since: UnixMillis(i64::MIN),
            younger: Generation::default(),
            elder: Generation::default(),
        }
    }

    /// Whether it was here before; it has been from now on.
    pub(super) fn was_here(&mut self, name: &impl Hash, now: UnixMillis) -> bool {
        let age_ms = now.0.saturating_sub(self.since.0);
        if age_ms >= self.half_window_ms {
            let younger = take(&mut self.younger);
            let is_recent = age_ms < self.half_window_ms.saturating_mul(2);
            self.elder = if is_recent { younger } else { Generation::default() };
            self.since = now;
        }
        let hash = self.hashes.hash_one(name);
        if self.younger.hashes.contains(&hash) {
            return true;
        }
        self.younger.remember(hash, REMEMBERED_MAX);
        self.elder.hashes.contains(&hash)
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
