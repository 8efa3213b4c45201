//! Threads of their own for work that nobody waits for: moves, compaction, heals, scrubs, copies to other drives.
//!
//! Such work hashes and encodes megabytes at a time. On the threads that serve clients it keeps these from whatever else is due,
//! and pausing now and then does not help who comes in between. The kernel does better: these threads have a lower priority, so
//! that they get what processor time clients leave, and a tenth of what a client's thread gets where they leave none, so that room is
//! still given back and lost shards are still rebuilt.
//! Connections to other nodes are no part of it: they belong to the threads that serve clients, whoever opens them. A thread begins
//! with the priority of the one that starts it: what starts threads that clients will wait for runs [`Upkeep::outside`].

use std::future::Future;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::{EngineError, Result};

/// What is added to the nice value that the process began with, and the highest there is.
const NICER: i32 = 10;
const NICEST: i32 = 19;
/// As many stripes are hashed or encoded at once.
const WORKERS_MAX: usize = 4;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Upkeep {
    handle: Handle,
    /// Of the threads that serve clients.
    serving: Handle,
    /// `None` when they were ended.
    runtime: Mutex<Option<Runtime>>,
}

impl Upkeep {
    /// Starts the threads. Must be called within the runtime that serves clients.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub(crate) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let nice =
            rustix::process::getpriority_process(None).map(|nice| nice.saturating_add(NICER).min(NICEST));
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.min(WORKERS_MAX))
            .thread_name("upkeep")
            .on_thread_start(move || give_way(nice))
            .enable_all()
            .build()
            .map_err(|error| {
                tracing::error!(%error, "no threads for work in the background");
                EngineError::Internal("no threads for work in the background")
            })?;
        let (handle, serving) = (runtime.handle().clone(), Handle::current());
        Ok(Self { handle, serving, runtime: Mutex::new(Some(runtime)) })
    }

    /// Runs work on these threads.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(work)
    }

    /// Runs work on the threads that serve clients, whoever asks for it.
    pub(crate) fn spawn_serving<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.serving.spawn(work)
    }

    /// Runs what blocks on a thread of usual priority.
    ///
    /// # Errors
    /// When it panicked.
    pub(crate) async fn outside<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // The thread must not be started by one of ours.
        let started = self.spawn_serving(async move { tokio::task::spawn_blocking(work).await });
        match started.await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(EngineError::Internal("work outside of the upkeep panicked")),
        }
    }

    /// Ends all work on these threads where it waits next, and the threads; waits for nothing. What is spawned later is not run.
    pub(crate) fn stop(&self) {
        let runtime = self.runtime.lock().take();
        // Whoever drops the last of the store may be one of these threads.
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Lowers the priority of the calling thread; it stays as it is where that is not allowed.
fn give_way(nice: rustix::io::Result<i32>) {
    if let Err(error) = nice.and_then(|nice| rustix::process::setpriority_process(None, nice)) {
        tracing::debug!(%error, "work in the background has the priority of requests");
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
