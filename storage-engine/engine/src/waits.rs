//! How long a request waited for the drives and for the metadata, told to whoever serves it.

use std::cell::Cell;
use std::ops::Add;
use std::time::Duration;

tokio::task_local! {
    static WAITED: Cell<Waits>;
}

/// What a request waited for with what it wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// From its last byte until all were durable on the drives.
    pub flush: Duration,
    /// Until the metadata was committed.
    pub metadata: Duration,
}

impl Waits {
    /// Runs a request, and tells what it waited for; what is done for it by other tasks does not count. Of a large future
    /// give its pin: it is moved three times.
    pub async fn during<F: Future>(request: F) -> (F::Output, Self) {
        let request = async {
            let output = request.await;
            (output, WAITED.with(Cell::get))
        };
        WAITED.scope(Cell::default(), request).await
    }

    /// Counts for the request that this task serves, if it serves one.
    pub(crate) fn note(self) {
        let _outside = WAITED.try_with(|waited| waited.set(waited.get() + self));
    }
}

impl Add for Waits {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { flush: self.flush + more.flush, metadata: self.metadata + more.metadata }
    }
}

#[cfg(test)]
#[path = "waits_tests.rs"]
mod tests;
