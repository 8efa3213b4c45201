//! Leases that are taken for one piece of work and let go after it: a volume that is healed, moved or compacted, a task.
//!
//! The holder raises the counter of the lease's row every second and counts on it for [`HELD`] after it asked. Another node
//! takes it when the row was the same at two looks that are [`LEASE`] apart: its last beat was before the first of them, so
//! its holder counted on it no more long before the second, whatever was away in between.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use granary_metadata::LeaseRow;
use granary_types::{Epoch, VolumeId};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{BEAT_INTERVAL, HELD, LEASE, Nodes};
use crate::engine::Inner;
use crate::error::{EngineError, Result};

/// Leases of others that are remembered; beyond, the watching begins anew.
const SEEN_MAX: usize = 1000;
/// How often a lease that another node holds is asked for again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What is known of the leases for pieces of work.
#[derive(Default)]
pub(super) struct Claims {
    held: HashSet<String>,
    seen: HashMap<String, (LeaseRow, Instant)>,
}

/// The right to do a piece of work that one node does at a time. Dropped, it is let go.
pub(crate) enum Claim {
    /// There is only one process.
    Alone,
    /// Against other nodes.
    Leased(Leased),
}

/// A lease that is held.
pub(crate) struct Leased {
    held: Arc<Held>,
    renewing: tokio::task::JoinHandle<()>,
}

struct Held {
    nodes: Arc<Nodes>,
    name: String,
    epoch: Epoch,
    until: Mutex<Instant>,
}

impl Claim {
    /// Whether the work is still this node's.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Leased(leased) => Instant::now() < *leased.held.until.lock(),
        }
    }

    /// An error if the work is not this node's any more.
    pub(crate) fn check(&self) -> Result<()> {
        let lost = EngineError::Unavailable { context: "background work: its lease was lost" };
        if self.is_held() { Ok(()) } else { Err(lost) }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.renewing.abort();
        let held = Arc::clone(&self.held);
        // The threads of the work may be what is ended. With those that serve clients the process is ending: the lease lapses.
        self.held.nodes.serving.spawn(async move {
            let nodes = &held.nodes;
            if let Err(error) = nodes.membership.release_lease(&held.name, nodes.id, held.epoch).await {
                tracing::debug!(lease = held.name, %error, "a lease could not be let go; it lapses");
            }
            nodes.claims.lock().held.remove(&held.name);
        });
    }
}

async fn renew(held: Arc<Held>) {
    loop {
        tokio::time::sleep(BEAT_INTERVAL).await;
        let asked = Instant::now();
        match held.nodes.membership.renew_lease(&held.name, held.nodes.id, held.epoch).await {
            Ok(true) => *held.until.lock() = asked + HELD,
            Ok(false) => {
                *held.until.lock() = asked;
                return;
            }
            Err(error) => tracing::debug!(lease = held.name, %error, "a lease cannot be renewed"),
        }
    }
}

impl Nodes {
    /// Takes a lease, if nobody holds it.
    pub(super) async fn claim(self: &Arc<Self>, name: &str) -> Result<Option<Claim>> {
        if !self.claims.lock().held.insert(name.to_owned()) {
            return Ok(None);
        }
        let taken = self.take(name).await;
        let Ok(Some((epoch, until))) = taken else {
            self.claims.lock().held.remove(name);
            return taken.map(|_| None);
        };
        let held = Arc::new(Held {
            nodes: Arc::clone(self),
            name: name.to_owned(),
            epoch,
            until: Mutex::new(until),
        });
        // Not on the threads of the work, which have little time where clients leave none: the lease of a holder that lives would
        // end.
        let renewing = self.serving.spawn(renew(Arc::clone(&held)));
        Ok(Some(Claim::Leased(Leased { held, renewing })))
    }

    async fn take(&self, name: &str) -> Result<Option<(Epoch, Instant)>> {
        let row = self.membership.lease(name).await?;
        let asked = Instant::now();
        // This process holds no such lease: a row that names it is of a former life, or was not let go.
        if row.is_some_and(|row| row.holder != self.id) && !self.has_lapsed(name, row, asked) {
            return Ok(None);
        }
        let epoch = self.membership.take_lease(name, self.id, row).await?;
        self.claims.lock().seen.remove(name);
        Ok(epoch.map(|epoch| (epoch, asked + HELD)))
    }

    /// Whether the row of a lease stood still for long enough.
    fn has_lapsed(&self, name: &str, row: Option<LeaseRow>, now: Instant) -> bool {
        let Some(row) = row else { return true };
        let mut claims = self.claims.lock();
        if claims.seen.len() >= SEEN_MAX {
            claims.seen.clear();
        }
        let (seen, since) = claims.seen.entry(name.to_owned()).or_insert((row, now));
        if *seen != row {
            (*seen, *since) = (row, now);
        }
        now.duration_since(*since) >= LEASE
    }
}

impl Inner {
    /// Takes the lease for a piece of work; `None` if another node, or this one already, is at it.
    pub(crate) async fn claim(&self, name: &str) -> Result<Option<Claim>> {
        match &self.nodes {
            None => Ok(Some(Claim::Alone)),
            Some(nodes) => nodes.claim(name).await,
        }
    }

    /// As [`Inner::claim`], and waits for it up to `patience`.
    pub(crate) async fn claim_within(&self, name: &str, patience: Duration) -> Result<Option<Claim>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(claim) = self.claim(name).await? {
                return Ok(Some(claim));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

/// The lease of the work that changes where a volume's columns are, or rewrites it.
pub(crate) fn volume_lease(volume: VolumeId) -> String {
    format!("volume/{volume}")
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
