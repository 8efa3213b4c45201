//! How long running reads may go on.
//!
//! Other nodes wait with the removal of freed files for the reads that this node told them of. They forget a node that has
//! said nothing for long enough, and with it its reads. So a node that cannot say that it lives ends its own reads before
//! that, by its own clock and counted from before it last asked: nothing is delivered once the time is over, also not by a
//! process that was stopped in between, and a read that was ended does not begin again when the node is heard of again.

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time up to which reads may be delivered; on one machine there is no end to it.
#[derive(Default)]
pub(crate) struct ReadLease {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    until: Option<Instant>,
    /// Reads that began before this were ended.
    ended_before: Option<Instant>,
}

impl ReadLease {
    /// The node was heard of: reads may go on until then, except those that were ended before.
    pub(crate) fn renew(&self, now: Instant, until: Instant) {
        let mut state = self.state.lock();
        if state.until.is_some_and(|until| now >= until) {
            state.ended_before = Some(now);
        }
        state.until = Some(until);
    }

    /// Whether a read that began then may be delivered now.
    pub(crate) fn covers(&self, began: Instant, now: Instant) -> bool {
        let state = self.state.lock();
        state.until.is_none_or(|until| now < until) && state.ended_before.is_none_or(|ended| began >= ended)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_read_that_outlived_its_lease_stays_ended() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let lease = ReadLease::default();
        assert!(lease.covers(start, at(1_000_000)), "on one machine there is no lease");
        lease.renew(at(0), at(10));
        assert!(lease.covers(start, at(9)));
        lease.renew(at(5), at(15));
        assert!(lease.covers(start, at(14)));
        assert!(!lease.covers(start, at(15)));
        assert!(!lease.covers(at(14), at(20)), "nothing is delivered while the node is not heard of");
        lease.renew(at(21), at(31));
        assert!(!lease.covers(at(14), at(22)), "it was ended");
        assert!(lease.covers(at(21), at(22)));
    }
}
