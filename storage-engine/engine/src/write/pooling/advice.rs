//! Whether a node hands its small objects over. Pure: what time it is comes from outside.
//!
//! A hand-over costs a request between nodes, and spares a group: a flush of each column and a transaction. It is worth that if
//! others write too, and not if one node alone has enough for long groups, or all have so much that the packer of one would be
//! what they wait for. And groups must be worth sparing: where drives and database are quick, several packers at once serve
//! clients sooner than one does. Each hand-over tells what its sender has in flight; each answer tells what the others of the pool
//! have, as far as the head has heard, and how long its group took. Whoever learns that it is not worth it packs for itself and asks again with one request a little later.

use std::collections::HashMap;
use std::time::Duration;

use granary_types::NodeId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A node with so many requests in flight makes groups that are long enough.
const OWN_REQUESTS_ENOUGH: u32 = 16;
/// With fewer of others in flight, groups would hardly be longer.
const OTHERS_REQUESTS_MIN: u32 = 2;
/// What is in flight is about two groups. Those that are longer than half of this gain nothing more.
const POOL_REQUESTS_MAX: u32 = 128;
const POOL_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Where the head's groups take less than this, nobody is short of what longer ones would spare.
const GROUP_TIME_MIN: Duration = Duration::from_micros(2_500);
/// How long a node packs for itself before it asks again.
pub(super) const APART: Duration = Duration::from_millis(100);
/// For so long an answer counts: after that one request asks first.
const TOGETHER: Duration = Duration::from_secs(1);
/// What a node told of itself counts for so long.
const HEARD: Duration = Duration::from_millis(500);
/// An answer comes, or is given up, before.
const ASKING_MAX: Duration = Duration::from_mins(1);
/// Nodes that are remembered; a pool has fewer.
const SENDERS_MAX: usize = 64;

/// What is in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) requests: u32,
    pub(super) bytes: u64,
}

impl Load {
    pub(super) fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

/// Where a request is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Here,
    AtHead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    Apart {
        until: Instant,
    },
    /// One request is on its way to ask. What becomes of it is told, sooner than `until`.
    Asking {
        until: Instant,
    },
    Together {
        until: Instant,
    },
}

/// What a node does, by what it was told last.
#[derive(Debug)]
pub(super) struct Advice {
    stance: Stance,
}

impl Advice {
    pub(super) fn new(now: Instant) -> Self {
        Self { stance: Stance::Apart { until: now } }
    }

    /// Where the next request goes. One that goes to the head alone is told of by [`Advice::learn`] or [`Advice::fail`].
    pub(super) fn choose(&mut self, now: Instant, own: Load) -> Choice {
        if own.requests >= OWN_REQUESTS_ENOUGH {
            return Choice::Here;
        }
        match self.stance {
            Stance::Together { until } if now < until => Choice::AtHead,
            Stance::Apart { until } if now < until => Choice::Here,
            Stance::Asking { until } if now < until => Choice::Here,
            Stance::Apart { .. } | Stance::Together { .. } | Stance::Asking { .. } => {
                self.stance = Stance::Asking { until: now + ASKING_MAX };
                Choice::AtHead
            }
        }
    }

    /// An answer came, of a head whose group took so long.
    pub(super) fn learn(&mut self, now: Instant, own: Load, (others, took): (Load, Duration)) {
        self.stance = match took >= GROUP_TIME_MIN && is_worth(own, others) {
            true => Stance::Together { until: now + TOGETHER },
            false => Stance::Apart { until: now + APART },
        };
    }

    /// None came, or there is nobody to ask.
    pub(super) fn fail(&mut self, now: Instant, pause: Duration) {
        self.stance = Stance::Apart { until: now + pause };
    }

    /// Whether requests are handed over, for the metrics.
    pub(super) fn is_together(&self) -> bool {
        matches!(self.stance, Stance::Together { .. })
    }
}

fn is_worth(own: Load, others: Load) -> bool {
    let all = own.plus(others);
    others.requests >= OTHERS_REQUESTS_MIN
        && others.requests.saturating_mul(2) >= own.requests
        && all.requests < POOL_REQUESTS_MAX
        && all.bytes < POOL_BYTES_MAX
}

/// What the nodes that hand over have told of themselves.
#[derive(Debug, Default)]
pub(super) struct Heard {
    loads: HashMap<NodeId, (Load, Instant)>,
}

impl Heard {
    pub(super) fn hear(&mut self, sender: NodeId, load: Load, now: Instant) {
        if self.loads.len() >= SENDERS_MAX {
            self.loads.retain(|_, (_, at)| now.duration_since(*at) < HEARD);
        }
        if self.loads.len() < SENDERS_MAX || self.loads.contains_key(&sender) {
            self.loads.insert(sender, (load, now));
        }
    }

    /// What all but one have in flight.
    pub(super) fn others(&self, sender: NodeId, now: Instant) -> Load {
        let fresh =
            self.loads.iter().filter(|(id, (_, at))| **id != sender && now.duration_since(*at) < HEARD);
        fresh.fold(Load::default(), |sum, (_, (load, _))| sum.plus(*load))
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
