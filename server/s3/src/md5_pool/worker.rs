//! One hashing thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use granary_simd::md5::{Kernel, Lane};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::queue::{Queue, Taken};

/// What the thread and its bodies share.
#[derive(Default)]
pub(super) struct Worker {
    state: Mutex<State>,
    wake: Condvar,
    /// A copy of the queue's length, to choose a thread by without its lock.
    open_bodies: AtomicUsize,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("open_bodies", &self.open_bodies()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// The thread waits, and nobody has woken it yet.
    asleep: bool,
    stopping: bool,
    /// The thread has ended.
    gone: bool,
}

impl Worker {
    pub(super) fn start(kernel: Kernel) -> io::Result<Arc<Self>> {
        let worker = Arc::new(Self::default());
        let of_thread = Gone(Arc::clone(&worker));
        thread::Builder::new().name("granary-md5".to_owned()).spawn(move || of_thread.0.run(kernel))?;
        Ok(worker)
    }

    pub(super) fn open_bodies(&self) -> usize {
        self.open_bodies.load(Ordering::Relaxed)
    }

    /// Lets the thread end when its last body has.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        self.wake(&mut state);
    }

    /// Works on the queue; wakes the thread if `work` says so. `None` if the thread is gone.
    pub(super) fn with_queue<T>(&self, work: impl FnOnce(&mut Queue) -> (T, Wake)) -> Option<T> {
        let mut state = self.state.lock();
        if state.gone {
            return None;
        }
        let (result, wake) = work(&mut state.queue);
        self.open_bodies.store(state.queue.len(), Ordering::Relaxed);
        let last_one_left = state.stopping && state.queue.len() == 0;
        if wake == Wake::Thread || last_one_left {
            self.wake(&mut state);
        }
        Some(result)
    }

    fn wake(&self, state: &mut MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            self.wake.notify_one();
        }
    }

    fn run(&self, kernel: Kernel) {
        let mut state = self.state.lock();
        loop {
            while !state.queue.is_worth_a_round() {
                if state.stopping && state.queue.len() == 0 {
                    return;
                }
                state.asleep = true;
                self.wake.wait(&mut state);
                state.asleep = false;
            }
            let mut round = state.queue.take_round();
            MutexGuard::unlocked(&mut state, || hash(kernel, &mut round));
            for Taken { id, md5, .. } in round {
                state.queue.put_back(id, md5);
            }
            self.open_bodies.store(state.queue.len(), Ordering::Relaxed);
        }
    }
}

/// Whether to wake the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Thread,
    Nobody,
}

impl Wake {
    pub(super) fn thread_if(worth_it: bool) -> Self {
        if worth_it { Self::Thread } else { Self::Nobody }
    }
}

/// Lives as long as the thread. If that panics, bodies are told, rather than left waiting.
struct Gone(Arc<Worker>);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        state.queue.clear();
    }
}

fn hash(kernel: Kernel, round: &mut [Taken]) {
    let (hashes, pieces): (Vec<_>, Vec<Vec<&[u8]>>) = round
        .iter_mut()
        .map(|taken| (&mut taken.md5, taken.pieces.iter().map(Bytes::as_ref).collect()))
        .unzip();
    let lanes = hashes.into_iter().zip(&pieces).map(|(md5, pieces)| Lane { md5, pieces });
    kernel.update(&mut lanes.collect::<Vec<_>>());
    for taken in round {
        // The buffers go back before the lock is taken again.
        taken.pieces.clear();
    }
}
