//! Keeping moves below clients' traffic.
//!
//! All moves of a node share one rate. What is moved is counted when it was written, and takes its time at that rate, one piece
//! behind the other: a clock that runs ahead of the real one by what the moves owe. Sleeps are coarse (timers go by
//! milliseconds), so nobody sleeps for less than [`DEBT_SLEPT_MIN`], and whoever slept too long is that much less in debt
//! afterwards.
//!
//! Beside clients the moves of a node rest for as long as they worked, and together: while one works, the time that the others
//! have to rest goes on. Less rest makes them no faster there, as clients' threads go first.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::engine::Inner;

/// The longest rest for one piece.
const REST_MAX: Duration = Duration::from_secs(2);
/// What is owed is slept off once it is as much.
const DEBT_SLEPT_MIN: Duration = Duration::from_millis(20);
/// Moves too short to owe as much themselves sleep when all together owe this.
const DEBT_OF_ALL_MAX: Duration = Duration::from_millis(100);
/// How far moves may be behind their rate and catch up: what sleeps take too long, not what there was nothing to move for.
const CREDIT_MAX: Duration = Duration::from_millis(50);

/// The rate of all moves of a node.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// At most so many bytes in a second, whoever else is at work.
    rate_bytes: u64,
    /// When all that was moved would have been, at that rate.
    due: Mutex<Option<Instant>>,
    /// When all that was done beside clients has had its rest.
    rested: Mutex<Option<Instant>>,
}

impl Pacer {
    pub(crate) fn new(rate_bytes: u64) -> Self {
        Self { rate_bytes: rate_bytes.max(1), due: Mutex::new(None), rested: Mutex::new(None) }
    }

    /// Rests as long as a piece that was begun at `began` asks for.
    async fn pace(&self, turn: &mut Turn, began: Instant, length_bytes: u64, is_busy: bool) {
        let owed = self.count(turn, length_bytes);
        let polite = if is_busy { self.rest(began) } else { Duration::ZERO };
        let rest = owed.max(polite);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// What is left until a piece that was begun at `began` has had its rest, behind those of other moves. One that hung on a drive
    /// keeps nobody for long.
    fn rest(&self, began: Instant) -> Duration {
        let (now, took) = (Instant::now(), began.elapsed());
        let mut rested = self.rested.lock();
        let behind = rested.map_or(now, |others| now.max(others + took.min(REST_MAX)));
        let ends = behind + took.min(REST_MAX);
        *rested = Some(ends);
        ends.saturating_duration_since(now)
    }

    /// Counts what was moved. Returns what is to be slept off now, if it is so much: until this piece, and what all moves counted
    /// before it, have had their time.
    fn count(&self, turn: &mut Turn, length_bytes: u64) -> Duration {
        // What is only read costs nothing, and waits for nobody else's debt.
        if length_bytes == 0 {
            return Duration::ZERO;
        }
        let nanos = u128::from(length_bytes) * 1_000_000_000 / u128::from(self.rate_bytes);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        let earliest = now.checked_sub(CREDIT_MAX).unwrap_or(now);
        let mut due = self.due.lock();
        let base = due.map_or(earliest, |due| due.max(earliest));
        let behind = base.checked_add(takes).unwrap_or(base);
        *due = Some(behind);
        drop(due);
        turn.unslept = turn.unslept.saturating_add(takes);
        let owed = behind.saturating_duration_since(now);
        if owed < DEBT_SLEPT_MIN || (turn.unslept < DEBT_SLEPT_MIN && owed < DEBT_OF_ALL_MAX) {
            return Duration::ZERO;
        }
        turn.unslept = Duration::ZERO;
        owed
    }
}

/// What one of several moves has counted since it slept last: who has just slept is not sent to sleep again by what others
/// counted meanwhile, or they would have most of the rate.
#[derive(Debug, Default)]
struct Turn {
    unslept: Duration,
}

/// The pace of one move.
pub(crate) struct Throttle {
    inner: Arc<Inner>,
    turn: Turn,
}

impl Throttle {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        Self { inner: Arc::clone(inner), turn: Turn::default() }
    }

    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    /// Rests as long as a piece that was begun at `began` asks for. Bytes are counted where they are written; what is read to
    /// compare it has a length of 0, and is followed by a rest only if clients are at work.
    pub(crate) async fn pace(&mut self, began: Instant, length_bytes: u64) {
        let (pacer, is_busy) = (&self.inner.move_pace, self.inner.is_busy());
        pacer.pace(&mut self.turn, began, length_bytes, is_busy).await;
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
