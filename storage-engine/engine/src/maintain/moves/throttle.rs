//! Keeping moves below clients' traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::Inner;

/// While clients read or write through this node, a move works for one part of the time and rests for so many.
const REST_PARTS: u32 = 3;
/// The longest rest after one piece.
const REST_MAX: Duration = Duration::from_secs(2);

/// The pace of moves.
pub(crate) struct Throttle {
    inner: Arc<Inner>,
    /// At most so many bytes in a second, whoever else is at work.
    rate_bytes: u64,
}

impl Throttle {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        Self { inner: Arc::clone(inner), rate_bytes: inner.options.move_rate_bytes.max(1) }
    }

    /// The pace of one of several moves that go on at the same time.
    pub(crate) fn one_of(inner: &Arc<Inner>, count: usize) -> Self {
        let whole = Self::new(inner);
        Self { rate_bytes: (whole.rate_bytes / (count as u64).max(1)).max(1), ..whole }
    }

    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    /// Rests as long as a piece that was begun at `began` asks for.
    pub(crate) async fn pace(&mut self, began: Instant, length_bytes: u64) {
        let took = began.elapsed();
        let least_ms = u128::from(length_bytes) * 1000 / u128::from(self.rate_bytes);
        let least = Duration::from_millis(u64::try_from(least_ms).unwrap_or(u64::MAX)).saturating_sub(took);
        let polite = if self.inner.is_busy() { took * REST_PARTS } else { Duration::ZERO };
        let rest = least.max(polite.min(REST_MAX));
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
}
