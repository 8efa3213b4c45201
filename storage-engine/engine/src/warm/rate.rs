//! How fast something is, while it is done.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What was done longer ago says little about how fast it goes now.
const WINDOW: Duration = Duration::from_mins(5);
/// Pieces of work that are kept apart; what ends closer together is one.
const STEP: Duration = Duration::from_secs(1);

/// Pieces of work that were done lately. What lies between them, when there was nothing to do, does not count.
#[derive(Default)]
pub(super) struct Rate(Mutex<VecDeque<Piece>>);

struct Piece {
    ended: Instant,
    took: Duration,
    length_bytes: u64,
}

impl Rate {
    /// Notes work that ends now: so many bytes since `began`.
    pub(super) fn add(&self, length_bytes: u64, began: Instant) {
        let (mut seen, now) = (self.0.lock(), Instant::now());
        let took = now.duration_since(began);
        match seen.back_mut().filter(|last| now.duration_since(last.ended) < STEP) {
            Some(last) => {
                last.took += took;
                last.length_bytes = last.length_bytes.saturating_add(length_bytes);
            }
            None => seen.push_back(Piece { ended: now, took, length_bytes }),
        }
        while seen.front().is_some_and(|first| now.duration_since(first.ended) > WINDOW) {
            seen.pop_front();
        }
    }

    /// Bytes in a second of work; 0 if nothing was done lately.
    pub(super) fn bytes_per_second(&self) -> u64 {
        let (seen, now) = (self.0.lock(), Instant::now());
        let (mut bytes, mut took) = (0_u128, Duration::ZERO);
        for piece in seen.iter().filter(|piece| now.duration_since(piece.ended) <= WINDOW) {
            bytes += u128::from(piece.length_bytes);
            took += piece.took;
        }
        u64::try_from(bytes * 1_000 / took.as_millis().max(1)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
