//! The MD5 of one body.

use std::sync::Arc;

use bytes::Bytes;
use granary_simd::md5::{Kernel, Lane, Md5 as LaneMd5};
use md5::{Digest as _, Md5};
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

use super::queue::BodyId;
use super::worker::{Wake, Worker};

/// A hashing thread has ended, so that the digest cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the hashing thread has ended")]
pub(crate) struct Md5Lost;

/// A running MD5. Dropped before its end, it gives its lane up at once.
#[derive(Debug)]
pub(crate) struct BodyMd5(Place);

#[derive(Debug)]
enum Place {
    OwnTask(Box<Md5>),
    /// Hashed at its end, if nobody else does it.
    AtEnd(Vec<Bytes>),
    Thread(OnThread),
}

impl BodyMd5 {
    /// Hashes where it is called.
    pub(crate) fn own_task() -> Self {
        Self(Place::OwnTask(Box::default()))
    }

    /// Keeps a short body, and hashes it at its end, where it is called.
    pub(super) fn at_end() -> Self {
        Self(Place::AtEnd(Vec::new()))
    }

    /// Whether nothing is hashed yet, so that another can do it with no work lost.
    pub(crate) fn is_not_begun(&self) -> bool {
        matches!(self.0, Place::AtEnd(_))
    }

    /// Hashes on a thread.
    pub(super) fn on_thread(worker: Arc<Worker>) -> Result<Self, Md5Lost> {
        let (id, room) = worker.with_queue(|queue| (queue.open(), Wake::Nobody)).ok_or(Md5Lost)?;
        Ok(Self(Place::Thread(OnThread { worker, id, room })))
    }

    /// Adds the next bytes; waits if the thread is far behind. Not to be called again after it was cancelled: whether
    /// the bytes were added is then unknown.
    ///
    /// # Errors
    /// [`Md5Lost`].
    pub(crate) async fn update(&mut self, piece: &Bytes) -> Result<(), Md5Lost> {
        match &mut self.0 {
            Place::OwnTask(md5) => {
                md5.update(piece);
                Ok(())
            }
            Place::AtEnd(pieces) => {
                pieces.push(piece.clone());
                Ok(())
            }
            Place::Thread(body) => body.push(piece.clone()).await,
        }
    }

    /// The digest.
    ///
    /// # Errors
    /// [`Md5Lost`].
    pub(crate) async fn finish(self) -> Result<[u8; 16], Md5Lost> {
        match self.0 {
            Place::OwnTask(md5) => Ok(md5.finalize().into()),
            Place::AtEnd(pieces) => {
                let mut md5 = Md5::default();
                pieces.iter().for_each(|piece| md5.update(piece));
                Ok(md5.finalize().into())
            }
            Place::Thread(body) => body.finish().await,
        }
    }
}

#[derive(Debug)]
struct OnThread {
    worker: Arc<Worker>,
    id: BodyId,
    room: Arc<Notify>,
}

impl OnThread {
    async fn push(&self, piece: Bytes) -> Result<(), Md5Lost> {
        let pushed = self.worker.with_queue(|queue| {
            let worth_it = queue.push(self.id, piece);
            (queue.has_room(self.id), Wake::thread_if(worth_it))
        });
        let mut has_room = pushed.flatten().ok_or(Md5Lost)?;
        while !has_room {
            self.room.notified().await;
            let asked = self.worker.with_queue(|queue| (queue.has_room(self.id), Wake::Nobody));
            has_room = asked.flatten().ok_or(Md5Lost)?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<[u8; 16], Md5Lost> {
        let (answer, answered) = oneshot::channel();
        let short = self.worker.with_queue(|queue| match queue.take_short(self.id) {
            // The others need not wait for this body any more.
            Some(short) => (Some(short), Wake::thread_if(queue.is_worth_a_round())),
            None => {
                queue.end(self.id, answer);
                (None, Wake::Thread)
            }
        });
        match short.ok_or(Md5Lost)? {
            Some((mut md5, pieces)) => {
                let pieces: Vec<&[u8]> = pieces.iter().map(Bytes::as_ref).collect();
                Kernel::detect().update(&mut [Lane { md5: &mut md5, pieces: &pieces }]);
                Ok(LaneMd5::finish(md5))
            }
            None => answered.await.map_err(|_| Md5Lost),
        }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        // A thread that is gone has forgotten the body already.
        let _ = self.worker.with_queue(|queue| ((), Wake::thread_if(queue.close(self.id))));
    }
}
