//! The MD5 of bodies, computed beside the tasks that receive them.
//!
//! MD5 is by far the dearest pass over a body, and a single one cannot be made faster; but many together can (see
//! [`granary_simd::md5`]). So bodies hand their bytes, uncopied, to a hashing thread, which puts the next blocks of
//! up to 16 bodies into the lanes of one vector. Even for a lone body the thread hashes while the task goes on.
//!
//! A thread that took each piece as it comes would mostly find one body at a time. It waits instead until every body
//! that is open has [`READY_BYTES`], or some body has [`URGENT_BYTES`] or has ended: a slow client holds nobody up,
//! and no timer is needed. A body that runs ahead of the thread waits when [`QUEUE_BYTES_MAX`] are queued, so its
//! client is slowed down. Short bodies are left to the engine, which hashes those that it packs together in the same way; what
//! it does not pack is hashed by its own task: the way to the thread and back costs more.

mod body;
mod queue;
#[cfg(test)]
#[path = "md5_pool_tests.rs"]
mod tests;
mod worker;

use std::io;
use std::sync::Arc;

use granary_simd::md5::{Kernel, LANES_MAX};

pub(crate) use body::{BodyMd5, Md5Lost};
use worker::Worker;

/// Bodies up to this long are not hashed on a thread. Measured: at 32 KiB, two bodies cost the same either way, and
/// eight or more cost a sixth on the thread.
const SHORT_BYTES_MAX: u64 = 32 * 1024;

/// What is left of a body at its end is hashed by its own task if it is no more than this…
const LEFT_BYTES_MAX: usize = 4 * 1024;

/// … or this, if no other body is open to share the thread's work with.
const LEFT_ALONE_BYTES_MAX: usize = 128 * 1024;

/// So much of every open body makes a round of hashing worth while.
const READY_BYTES: usize = 64 * 1024;

/// So much of one body is hashed even if the others have nothing.
const URGENT_BYTES: usize = 512 * 1024;

/// What a body may have queued before it has to wait (and one piece more).
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// The same in pieces, because a client can send tiny ones.
const QUEUE_PIECES_MAX: usize = 256;

/// What is hashed of each body in one round at most, so that one that has ended is soon served.
const ROUND_BYTES_MAX: usize = 256 * 1024;

/// 16 lanes hash several gigabytes a second, more than four cores receive.
const CORES_PER_THREAD: usize = 4;
const THREADS_MAX: usize = 4;

/// The hashing threads. They end when the pool and all its bodies are gone.
#[derive(Debug)]
pub(crate) struct Md5Pool {
    workers: Vec<Arc<Worker>>,
}

impl Md5Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        Self::with_threads((cores / CORES_PER_THREAD).clamp(1, THREADS_MAX), Kernel::detect())
    }

    fn with_threads(threads: usize, kernel: Kernel) -> io::Result<Self> {
        let mut pool = Self { workers: Vec::new() };
        for _ in 0..threads {
            pool.workers.push(Worker::start(kernel)?);
        }
        Ok(pool)
    }

    /// A body of `length_bytes`.
    ///
    /// # Errors
    /// [`Md5Lost`].
    pub(crate) fn body(&self, length_bytes: u64) -> Result<BodyMd5, Md5Lost> {
        if length_bytes <= SHORT_BYTES_MAX {
            return Ok(BodyMd5::at_end());
        }
        // A thread's lanes are filled before another thread is woken: fuller lanes cost no more.
        let with_room = self.workers.iter().find(|worker| worker.open_bodies() < LANES_MAX);
        let chosen = with_room.or_else(|| self.workers.iter().min_by_key(|worker| worker.open_bodies()));
        BodyMd5::on_thread(Arc::clone(chosen.ok_or(Md5Lost)?))
    }
}

impl Drop for Md5Pool {
    fn drop(&mut self) {
        self.workers.iter().for_each(|worker| worker.stop());
    }
}
