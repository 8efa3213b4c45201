//! No request is taken twice.
//!
//! The nonce of a request is the random id of its connection's session and a number that counts up in it. For every
//! session the highest number and a bitmap of those shortly below are kept, so that memory does not grow with the rate.
//! A session is forgotten when all its requests are too old to be taken anyway.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::limits::STREAMS_MAX;
use super::wire::{LifeId, SessionId};

/// How far the clocks of two nodes may differ, and how old a request may be.
pub(super) const CLOCK_TOLERANCE_MS: u64 = 60_000;
const SESSIONS_MAX: usize = 8192;
/// Requests of one connection overtake each other only while they are in flight together.
const WINDOW: u64 = 4096;
const _: () = assert!(WINDOW > STREAMS_MAX as u64);
const WORDS: usize = (WINDOW / 64) as usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replay {
    Fresh,
    /// It was taken before, or is so far behind that nobody knows.
    Repeated,
    /// More sessions than can be remembered.
    TooMany,
}

#[derive(Debug, Default)]
pub(super) struct ReplayGuard {
    sessions: Mutex<HashMap<(LifeId, SessionId), Window>>,
}

#[derive(Debug)]
struct Window {
    top: u64,
    seen: [u64; WORDS],
    newest_ms: u64,
}

impl ReplayGuard {
    /// Takes a request that was authenticated and is within the tolerance.
    pub(super) fn take(
        &self,
        session: (LifeId, SessionId),
        number: u64,
        timestamp_ms: u64,
        now_ms: u64,
    ) -> Replay {
        let mut sessions = self.sessions.lock();
        if !sessions.contains_key(&session) && sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, window| window.newest_ms.saturating_add(CLOCK_TOLERANCE_MS) >= now_ms);
            if sessions.len() >= SESSIONS_MAX {
                return Replay::TooMany;
            }
        }
        let fresh = || Window { top: 0, seen: [0; WORDS], newest_ms: timestamp_ms };
        let window = sessions.entry(session).or_insert_with(fresh);
        window.newest_ms = window.newest_ms.max(timestamp_ms);
        if window.take(number) { Replay::Fresh } else { Replay::Repeated }
    }
}

impl Window {
    fn take(&mut self, number: u64) -> bool {
        if number > self.top {
            if number - self.top >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                (self.top + 1..=number).for_each(|skipped| self.set(skipped, false));
            }
            self.top = number;
        } else if self.top - number >= WINDOW || self.is_set(number) {
            return false;
        }
        self.set(number, true);
        true
    }

    fn place(number: u64) -> (usize, u64) {
        let bit = number % WINDOW;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, mask) = Self::place(number);
        self.seen.get(word).is_some_and(|bits| bits & mask != 0)
    }

    fn set(&mut self, number: u64, value: bool) {
        let (word, mask) = Self::place(number);
        if let Some(bits) = self.seen.get_mut(word) {
            *bits = if value { *bits | mask } else { *bits & !mask };
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
