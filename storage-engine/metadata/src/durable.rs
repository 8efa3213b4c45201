//! Telling the metadata that the bytes a commit refers to are durable.
//!
//! The bytes of a group of objects and the statements about them take about as long. So a store may apply a commit
//! while the drives still flush, as long as it makes nothing of it durable or visible before it is told.

use std::time::Duration;

use crate::error::{MetadataError, Result};

/// A promise about the bytes of one commit, and what the store waits for.
#[must_use]
pub fn durable() -> (Promise, Durable) {
    let (told, waits) = oneshot::channel();
    (Promise(told), Durable(Waits::Thread(waits)))
}

/// Held by who writes the bytes. Dropping it says that they did not become durable.
#[derive(Debug)]
pub struct Promise(oneshot::Sender<()>);

impl Promise {
    /// The bytes are durable.
    pub fn keep(self) {
        // A store that went away does not care.
        let _gone = self.0.send(());
    }
}

/// Held by the store.
#[derive(Debug)]
pub struct Durable(Waits);

/// What waits: the ends for threads and for tasks are different, and there is no way back.
#[derive(Debug)]
enum Waits {
    Thread(oneshot::Receiver<()>),
    Task(oneshot::AsyncReceiver<()>),
}

impl Waits {
    fn of_task(self) -> oneshot::AsyncReceiver<()> {
        match self {
            Self::Thread(waits) => waits.into_future(),
            Self::Task(waits) => waits,
        }
    }
}

/// What a store knows of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was kept.
    Kept,
    /// It was broken.
    Broken,
    /// Neither, until now.
    Open,
}

impl Durable {
    /// Waits until the promise is kept.
    ///
    /// # Errors
    /// [`MetadataError::NotDurable`] if it is broken.
    pub async fn kept(self) -> Result<()> {
        self.0.of_task().await.map_err(|_| MetadataError::NotDurable)
    }

    /// Waits for as long as `patience` at most. Gives itself back if nothing is known then; from then on it is for tasks.
    pub(crate) async fn kept_within(self, patience: Duration) -> std::result::Result<Result<()>, Self> {
        let mut waits = self.0.of_task();
        match tokio::time::timeout(patience, &mut waits).await {
            Ok(told) => Ok(told.map_err(|_| MetadataError::NotDurable)),
            Err(_) => Err(Self(Waits::Task(waits))),
        }
    }

    /// Blocks the thread for as long as `patience` at most.
    pub(crate) fn wait(&self, patience: Duration) -> Known {
        let Waits::Thread(waits) = &self.0 else { return Known::Open };
        match waits.recv_timeout(patience) {
            Ok(()) => Known::Kept,
            Err(oneshot::RecvTimeoutError::Timeout) => Known::Open,
            Err(oneshot::RecvTimeoutError::Disconnected) => Known::Broken,
        }
    }
}
