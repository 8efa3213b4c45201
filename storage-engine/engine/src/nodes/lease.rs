//! Background work that one node does for all: freeing, compacting, sealing what dead nodes left open.
//!
//! The lease is a row with a counter that its holder raises. Another node takes it when the counter stood still for
//! [`LEASE`] while it was looked at; the holder itself stops earlier, by its own monotonic clock, counted from before it asked.
//! What the work changes is decided by comparisons in the metadata all the same, so a holder that was stopped in the middle
//! and goes on later can waste effort and nothing else.

use granary_metadata::LeaseRow;
use granary_types::{Epoch, NodeId};
use tokio::time::Instant;

use super::{BLIND_AFTER, HELD, LEASE, Nodes};
use crate::error::Result;

const NAME: &str = "maintenance";

/// What is known of the lease.
#[derive(Debug, Default)]
pub(super) struct Lease {
    held: Option<(Epoch, Instant)>,
    seen: Option<(LeaseRow, Instant)>,
    looked: Option<Instant>,
}

impl Nodes {
    /// Whether the background work of all nodes is this node's, now.
    pub(crate) fn leads(&self) -> bool {
        self.lease.lock().held.is_some_and(|(_, until)| Instant::now() < until)
    }

    /// Who has the background work of all nodes, or had it last.
    pub(crate) async fn leader(&self) -> Result<Option<NodeId>> {
        Ok(self.membership.lease(NAME).await?.map(|row| row.holder))
    }

    /// Renews the lease, or takes it if nobody holds it any more.
    pub(super) async fn tend_lease(&self) -> Result<()> {
        let asked = Instant::now();
        let held = self.lease.lock().held;
        if let Some((epoch, _)) = held {
            let renewed = self.membership.renew_lease(NAME, self.id, epoch).await?;
            self.lease.lock().held = renewed.then_some((epoch, asked + HELD));
            return Ok(());
        }
        let row = self.membership.lease(NAME).await?;
        if !self.stood_still(row, asked) {
            return Ok(());
        }
        if let Some(epoch) = self.membership.take_lease(NAME, self.id, row).await? {
            tracing::info!(epoch = epoch.0, "the background work is this node's");
            self.lease.lock().held = Some((epoch, asked + HELD));
        }
        Ok(())
    }

    /// Whether nobody holds the lease, as far as this node has looked.
    fn stood_still(&self, row: Option<LeaseRow>, now: Instant) -> bool {
        let mut lease = self.lease.lock();
        let was_blind = lease.looked.replace(now).is_some_and(|at| now.duration_since(at) > BLIND_AFTER);
        let Some(row) = row else { return true };
        let since = match lease.seen {
            Some((seen, since)) if seen == row && !was_blind => since,
            _ => now,
        };
        lease.seen = Some((row, since));
        now.duration_since(since) >= LEASE
    }
}
