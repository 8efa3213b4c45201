//! Bodies whose progress is seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::poll_fn;
use h2::SendStream;

/// A body that is longer is handed to the connection in pieces of this length: each that is taken is progress.
const PIECE_LENGTH_BYTES: usize = 128 * 1024;

/// When something last moved.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    moved_ms: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), moved_ms: AtomicU64::new(0) }
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
    buffers: Vec<Bytes>,
    length_bytes: usize,
}

impl Pieces {
    pub(super) fn new(buffers: Vec<Bytes>) -> Self {
        let length_bytes = buffers.iter().map(Bytes::len).sum();
        Self { buffers, length_bytes }
    }

    /// The BLAKE3 of all of it.
    pub(super) fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for buffer in &self.buffers {
            hasher.update(buffer);
        }
        hasher.finalize()
    }

    pub(super) fn length_bytes(&self) -> usize {
        self.length_bytes
    }

    /// Hands the body to its stream. A short one goes at once, so that it leaves with the head of its request in one write; each
    /// piece of a longer one waits until the stream has room.
    ///
    /// # Errors
    /// When the stream or its connection ended.
    pub(super) async fn send(
        self,
        stream: &mut SendStream<Bytes>,
        progress: &Progress,
    ) -> Result<(), h2::Error> {
        let waits = self.length_bytes > PIECE_LENGTH_BYTES;
        let mut left_bytes = self.length_bytes;
        for mut buffer in self.buffers {
            while !buffer.is_empty() {
                let piece = buffer.split_to(buffer.len().min(PIECE_LENGTH_BYTES));
                left_bytes -= piece.len();
                if waits {
                    room(stream).await?;
                    progress.note();
                }
                stream.send_data(piece, left_bytes == 0)?;
            }
        }
        Ok(())
    }
}

/// Waits until the stream takes something. Of the windows no more is claimed than a byte: what is sent asks for the rest, and
/// streams that wait must not keep from each other what they do not use.
async fn room(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Err(h2::Reason::STREAM_CLOSED.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
