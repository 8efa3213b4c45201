//! Waits a little for clients that were just answered.
//!
//! Clients that write one object after the other come back soon after their answers. A group that is made at once then has
//! only what queued during the last one, and the next group the others: two halves in turn, each with the cost of a
//! whole group. Where that cost is high (drives of other nodes, a database), a small part of it is well spent on waiting for as many as
//! the last group had. A client that is alone is never waited for, and where clients do not come back, they are soon not waited for any more.

use std::time::{Duration, Instant};

/// Of the time that the last group took, this part may be spent on waiting.
const PATIENCE_DIVISOR: u32 = 8;
/// Shorter waits are none: the clock of the runtime ticks in milliseconds, and a quick group is not worth it.
const PATIENCE_MIN: Duration = Duration::from_millis(1);
const PATIENCE_MAX: Duration = Duration::from_millis(4);
/// After waits in vain so many groups are made at once, doubled for each that follows, up to two to the power of this.
const MISSES_MAX: u32 = 6;

/// What is known of the clients that come back.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Of the group that is under way: when it was made, and of how many requests.
    under_way: Option<(Instant, usize)>,
    /// Waits that brought too few, since one that brought enough.
    misses: u32,
    /// How many groups are still made at once.
    at_once: u32,
}

/// Who is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// How many requests the group has when all are back.
    pub(super) length: usize,
    /// After this nobody is waited for.
    pub(super) until: Instant,
}

impl Gathering {
    /// A group of so many requests of clients was made.
    pub(super) fn began(&mut self, length: usize, now: Instant) {
        self.under_way = Some((now, length));
    }

    /// The group is answered, and so many requests wait: who is worth waiting for?
    pub(super) fn ended(&mut self, queued: usize, now: Instant) -> Option<Awaited> {
        let (began, length) = self.under_way.take()?;
        let patience = (now.saturating_duration_since(began) / PATIENCE_DIVISOR).min(PATIENCE_MAX);
        // With nobody queued, one alone comes back first.
        let is_worth_it = patience >= PATIENCE_MIN && queued + length > 1;
        if !is_worth_it {
            return None;
        }
        if self.at_once > 0 {
            self.at_once -= 1;
            return None;
        }
        Some(Awaited { length: queued + length, until: now + patience })
    }

    /// What the wait has brought: the group had `before` requests and has `after`.
    pub(super) fn waited(&mut self, awaited: Awaited, before: usize, after: usize) {
        debug_assert!(before <= after, "requests do not leave a group");
        let missing = awaited.length.saturating_sub(after);
        if missing <= after - before {
            self.misses = 0;
        } else {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            self.at_once = 1 << self.misses;
        }
    }
}

#[cfg(test)]
#[path = "gathering_tests.rs"]
mod tests;
