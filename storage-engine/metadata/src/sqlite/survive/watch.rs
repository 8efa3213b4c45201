//! Long work on a drive that may hang instead of failing.
//!
//! The work runs in a thread of its own and says again and again that it gets on. Who waits for it waits as long as it
//! does, however long that takes, and gives it up when it has not got on for the deadline. A thread that was given up
//! ends at its next step, should its drive ever let it take one; until then it holds its home in use.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::log::InUse;

/// How many looks at a thread there are in its deadline.
const LOOKS: u32 = 8;

/// Tells of a thread that it gets on.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<State>);

#[derive(Debug, Default)]
struct State {
    beats: AtomicU64,
    given_up: AtomicBool,
}

impl Pulse {
    /// Tells that the work gets on.
    ///
    /// # Errors
    /// When nobody waits for it any more.
    pub(super) fn beat(&self) -> io::Result<()> {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
        if self.0.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the work was given up"));
        }
        Ok(())
    }

    fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }
}

/// Where watched work is.
pub(super) enum Ended<T> {
    /// It gets on.
    NotYet,
    /// It has ended so.
    So(T),
    /// It has not got on for the deadline, or its thread panicked: it is left behind.
    Never(io::Error),
}

/// Work in a thread. Dropping it gives the work up.
pub(super) struct Watched<T> {
    result: Receiver<T>,
    pulse: Pulse,
    deadline: Duration,
    /// The pulse when it was last seen to beat, and when that was.
    seen: (u64, Instant),
}

impl<T: Send + 'static> Watched<T> {
    /// Starts the work; the home is in use until it has ended.
    pub(super) fn begin(
        name: &str,
        deadline: Duration,
        in_use: InUse,
        work: impl FnOnce(&Pulse) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (answer, result) = sync_channel(1);
        let pulse = Pulse::default();
        let beating = pulse.clone();
        let run = move || {
            let done = work(&beating);
            // Who gets the answer may ask at once whether the home is idle.
            drop(in_use);
            let _ = answer.send(done);
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { result, pulse, deadline, seen: (0, Instant::now()) })
    }

    /// Looks where it is, without waiting.
    pub(super) fn look(&mut self) -> Ended<T> {
        match self.result.try_recv() {
            Ok(done) => Ended::So(done),
            Err(TryRecvError::Disconnected) => Ended::Never(io::Error::other("a thread panicked")),
            Err(TryRecvError::Empty) => self.measure(),
        }
    }

    fn measure(&mut self) -> Ended<T> {
        let beats = self.pulse.beats();
        if beats != self.seen.0 {
            self.seen = (beats, Instant::now());
        }
        if self.seen.1.elapsed() < self.deadline {
            return Ended::NotYet;
        }
        Ended::Never(io::Error::new(io::ErrorKind::TimedOut, "the drive did not get on in time"))
    }

    /// Waits for its end, for as long as it gets on.
    pub(super) fn wait(mut self) -> io::Result<T> {
        loop {
            match self.result.recv_timeout(self.deadline / LOOKS) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("a thread panicked")),
                Err(RecvTimeoutError::Timeout) => {
                    if let Ended::Never(error) = self.measure() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Waits for its end, but no longer than `longest` in all.
    pub(super) fn wait_at_most(self, longest: Duration) {
        let _ = self.result.recv_timeout(longest);
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.pulse.0.given_up.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
