//! The reads that run in this process, so that no volume's files go under them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::lease::ReadLease;
use crate::error::{EngineError, Result};

/// The running reads, by when they began.
#[derive(Default)]
pub(crate) struct Running {
    reads: Mutex<BTreeMap<(Instant, u64), ()>>,
    next: AtomicU64,
    /// How long reads may go on.
    lease: ReadLease,
}

/// Counts a running read, until it is dropped.
pub(crate) struct ReadGuard {
    running: Arc<Running>,
    key: (Instant, u64),
}

impl ReadGuard {
    /// An error if the read was ended: its node could not say for too long that it lives.
    pub(crate) fn check(&self) -> Result<()> {
        if self.running.lease.covers(self.key.0, Instant::now()) {
            return Ok(());
        }
        metrics::counter!("granary_reads_ended_total").increment(1);
        Err(EngineError::Unavailable { context: "reading: this node was not heard of for too long" })
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.running.reads.lock().remove(&self.key);
    }
}

impl Running {
    /// Registers a read that begins now.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<ReadGuard> {
        let key = (Instant::now(), self.next.fetch_add(1, Ordering::Relaxed));
        self.reads.lock().insert(key, ());
        Arc::new(ReadGuard { running: Arc::clone(self), key })
    }

    /// When the oldest running read began.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.reads.lock().first_key_value().map(|((began, _), ())| *began)
    }

    /// Whether every read that runs began after `seen`.
    pub(crate) fn all_after(&self, seen: Instant) -> bool {
        self.oldest().is_none_or(|began| began > seen)
    }

    /// This node was heard of: reads may go on until then.
    pub(crate) fn heard(&self, until: Instant) {
        self.lease.renew(Instant::now(), until);
    }
}
