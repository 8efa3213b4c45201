//! A bounded queue from async callers to threads, with two lanes.
//!
//! A caller waits for room without blocking its runtime; a thread waits for work and takes all of it at once. That
//! is the group commit without a timer: what arrives while a batch is being made durable forms the next.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::sync::{Condvar, Mutex};

/// The queue was closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed;

/// Which of the two lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Short work, taken many at once.
    Short,
    /// Long work, taken one at a time after the short work.
    Long,
}

struct State<T> {
    short: VecDeque<T>,
    long: VecDeque<T>,
    closed: bool,
}

/// The queue.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    room: Semaphore,
}

impl<T> Queue<T> {
    /// A queue for at most `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State { short: VecDeque::new(), long: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new(), room: Semaphore::new(capacity) }
    }

    /// Waits for room and puts `entry` in. A caller that is dropped while it waits has put nothing in.
    pub(super) async fn push(&self, lane: Lane, entry: T) -> Result<(), Closed> {
        self.room.acquire().await.map_err(|_| Closed)?.forget();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Closed);
        }
        match lane {
            Lane::Short => state.short.push_back(entry),
            Lane::Long => state.long.push_back(entry),
        }
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Puts `entry` in if there is room now.
    pub(super) fn try_push(&self, lane: Lane, entry: T) {
        let Ok(permit) = self.room.try_acquire() else { return };
        permit.forget();
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        match lane {
            Lane::Short => state.short.push_back(entry),
            Lane::Long => state.long.push_back(entry),
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Waits for work, `patience` at most, and takes short entries until their weights reach `budget`, and one long
    /// entry. `None` once the queue is closed and drained.
    pub(super) fn take(
        &self,
        budget: usize,
        patience: Duration,
        weight: impl Fn(&T) -> usize,
    ) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        while state.short.is_empty() && state.long.is_empty() {
            if state.closed {
                return None;
            }
            if self.ready.wait_for(&mut state, patience).timed_out() {
                break;
            }
        }
        let mut taken = Vec::with_capacity(state.short.len().min(budget).saturating_add(1));
        let mut spent = 0_usize;
        while spent < budget {
            let Some(entry) = state.short.pop_front() else { break };
            spent = spent.saturating_add(weight(&entry));
            taken.push(entry);
        }
        taken.extend(state.long.pop_front());
        drop(state);
        self.room.add_permits(taken.len());
        Some(taken)
    }

    /// Refuses new entries; what is in is still taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.ready.notify_all();
    }
}
