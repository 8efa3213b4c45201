//! How fast something is.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What was done longer ago says little about how fast it goes now.
const WINDOW: Duration = Duration::from_mins(5);
/// Sightings that are kept apart; what comes closer together is one.
const STEP: Duration = Duration::from_secs(1);

/// Bytes, and when they were done.
#[derive(Default)]
pub(super) struct Rate(Mutex<VecDeque<(Instant, u64)>>);

impl Rate {
    pub(super) fn add(&self, length_bytes: u64) {
        let (mut seen, now) = (self.0.lock(), Instant::now());
        match seen.back_mut().filter(|(at, _)| now.duration_since(*at) < STEP) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(length_bytes),
            None => seen.push_back((now, length_bytes)),
        }
        while seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            seen.pop_front();
        }
    }

    /// Bytes in a second; 0 if nothing was done lately. How long the first of them took is not known: they are left out.
    pub(super) fn bytes_per_second(&self) -> u64 {
        let (seen, now) = (self.0.lock(), Instant::now());
        let recent = || seen.iter().filter(|(at, _)| now.duration_since(*at) <= WINDOW);
        let Some((first, _)) = recent().next() else { return 0 };
        let bytes: u64 = recent().skip(1).map(|(_, bytes)| *bytes).sum();
        let took_ms = now.duration_since(*first).as_millis().max(1);
        u64::try_from(u128::from(bytes) * 1_000 / took_ms).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
