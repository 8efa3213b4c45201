//! Bodies whose progress is seen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body is handed to the connection in pieces of this length: each that is taken is progress.
const PIECE_LENGTH_BYTES: usize = 128 * 1024;

/// When something last moved.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    moved_ms: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), moved_ms: AtomicU64::new(0) })
    }

    pub(super) fn note(&self) {
        let at = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(at, Ordering::Relaxed);
    }

    fn quiet(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)))
    }

    /// Waits for `run`, but not longer than `deadline` without progress.
    pub(super) async fn watch<T>(&self, deadline: Duration, run: impl Future<Output = T>) -> Option<T> {
        let mut run = std::pin::pin!(run);
        loop {
            let left = deadline.checked_sub(self.quiet()).filter(|left| !left.is_zero())?;
            tokio::select! {
                done = &mut run => return Some(done),
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

/// The body of a request: buffers in order, sent as they are.
#[derive(Debug)]
pub(super) struct Pieces {
    buffers: VecDeque<Bytes>,
    left_bytes: u64,
    progress: Arc<Progress>,
}

impl Pieces {
    pub(super) fn new(buffers: Vec<Bytes>, progress: Arc<Progress>) -> Self {
        let left_bytes = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        Self { buffers: buffers.into(), left_bytes, progress }
    }

    /// The BLAKE3 of all of it.
    pub(super) fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for buffer in &self.buffers {
            hasher.update(buffer);
        }
        hasher.finalize()
    }

    pub(super) fn length_bytes(&self) -> u64 {
        self.left_bytes
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.note();
        while self.buffers.front().is_some_and(Bytes::is_empty) {
            self.buffers.pop_front();
        }
        let Some(front) = self.buffers.front_mut() else { return Poll::Ready(None) };
        let piece = front.split_to(front.len().min(PIECE_LENGTH_BYTES));
        self.left_bytes = self.left_bytes.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
