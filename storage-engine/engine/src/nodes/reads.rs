//! When did the oldest running read of another node begin?
//!
//! A node measures the age of its oldest read before each beat, and beats anew only when it was answered; until then it sends
//! the same beat again, which counts once. When its counter went up by two since a look, the last measurement was made
//! after that look, so the read began no earlier than that look less the age. No clocks are compared.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const LOOKS_MAX: usize = 8;

/// The last looks at a node's counter.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadAges {
    looks: VecDeque<(Instant, u64)>,
    /// No running read began before this.
    since: Option<Instant>,
}

impl ReadAges {
    /// What a look showed.
    pub(super) fn look(&mut self, at: Instant, beats: u64, oldest_read: Duration) {
        let measured_after = self.looks.iter().rev().find(|(_, seen)| seen.saturating_add(2) <= beats);
        if let Some((after, _)) = measured_after {
            self.since = after.checked_sub(oldest_read);
        }
        if self.looks.back().is_none_or(|(_, seen)| *seen != beats) {
            self.looks.push_back((at, beats));
        } else if let Some(last) = self.looks.back_mut() {
            last.0 = at;
        }
        while self.looks.len() > LOOKS_MAX {
            self.looks.pop_front();
        }
    }

    /// Whether all reads that run there began after `at`.
    pub(super) fn all_after(&self, at: Instant) -> bool {
        self.since.is_some_and(|since| since > at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_ruled_out_only_by_a_measurement_made_later() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let none = Duration::ZERO;
        let mut ages = ReadAges::default();
        ages.look(at(0), 10, none);
        assert!(!ages.all_after(begin));
        ages.look(at(1), 11, none);
        assert!(!ages.all_after(at(0)), "this beat may have been measured before the look");
        ages.look(at(2), 12, none);
        assert!(!ages.all_after(at(0)), "not later than the look");
        ages.look(at(3), 13, none);
        assert!(ages.all_after(at(0)));
        // A read that has run for two seconds began before.
        ages.look(at(4), 14, Duration::from_secs(3));
        assert!(!ages.all_after(at(0)));
        // A node that stands still tells nothing new.
        ages.look(at(60), 14, none);
        assert!(!ages.all_after(at(3)));
    }
}
