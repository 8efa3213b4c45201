//! The writer thread: the only one that changes the database.
//!
//! It takes every change that waits, applies them in one transaction, makes the transaction durable and answers.
//! What arrives meanwhile forms the next batch.

use std::sync::Arc;

use granary_types::crash_point;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::apply::Batch;
use super::failure::{Failure, unavailable};
use super::op::{Op, Reply};
use super::schema::{self, Position};
use super::shared::{Request, Shared};
use crate::error::{MetadataError, Result};

/// Writes that one transaction takes at most.
const WRITES_PER_BATCH: usize = 2_048;

/// A change that waits for its answer.
pub(super) struct Pending {
    op: Op,
    answer: oneshot::Sender<Result<Reply>>,
}

/// The writer's state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) position: Position,
}

/// The answers of a batch, in its order.
type Answers = Vec<Result<Reply>>;

/// Why a batch failed.
struct BatchFailure {
    failure: Failure,
    /// The operation that met it, if it was one.
    culprit: Option<usize>,
}

impl From<Failure> for BatchFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, culprit: None }
    }
}

impl From<rusqlite::Error> for BatchFailure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::from(error).into()
    }
}

impl Writer {
    /// Runs until the queue is closed and drained.
    pub(super) fn run(mut self) {
        loop {
            let requests = self.shared.writes.take(WRITES_PER_BATCH, Request::weight);
            if requests.is_empty() {
                break;
            }
            let mut pending = Vec::with_capacity(requests.len());
            for request in requests {
                match request {
                    Request::Apply { op, answer } => pending.push(Pending { op, answer }),
                    Request::Suspect { epoch, reason } => tracing::error!(epoch, reason, "damaged"),
                }
            }
            self.process(pending);
        }
    }

    fn process(&mut self, mut pending: Vec<Pending>) {
        while !pending.is_empty() {
            match self.try_batch(&pending) {
                Ok(answers) => {
                    crash_point("metadata.after_commit_before_answer");
                    for (request, answer) in pending.drain(..).zip(answers) {
                        // A caller that went away does not care.
                        let _ = request.answer.send(answer);
                    }
                }
                Err(BatchFailure { failure, culprit: Some(index) }) if index < pending.len() => {
                    // A rotten row of one request must not fail its neighbours.
                    let request = pending.remove(index);
                    let _ = request.answer.send(Err(failure.into_error("applying a change")));
                }
                Err(BatchFailure { failure, .. }) => {
                    let reason = format!("{failure:?}");
                    tracing::error!(reason, "a metadata batch failed");
                    for request in pending.drain(..) {
                        let _ = request.answer.send(Err(unavailable("committing", reason.clone())));
                    }
                }
            }
        }
    }

    /// Applies and commits all, or rolls back all.
    fn try_batch(&mut self, pending: &[Pending]) -> std::result::Result<Answers, BatchFailure> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = self.apply_and_commit(pending);
        if done.is_err() {
            if let Err(error) = self.connection.execute_batch("ROLLBACK") {
                tracing::warn!(%error, "rolling back failed");
            }
        }
        done
    }

    fn apply_and_commit(&mut self, pending: &[Pending]) -> std::result::Result<Answers, BatchFailure> {
        let mut batch = Batch::new(&self.connection);
        let mut answers = Answers::with_capacity(pending.len());
        for (index, request) in pending.iter().enumerate() {
            match batch.apply(&request.op) {
                Ok(reply) => answers.push(Ok(reply)),
                Err(Failure::Refused(error)) => answers.push(Err(error)),
                Err(failure @ Failure::Corrupt(_)) => {
                    return Err(BatchFailure { failure, culprit: Some(index) });
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        batch.finish()?;
        let next = Position { seq: self.position.seq.saturating_add(1), ..self.position };
        schema::set_position(&self.connection, &next)?;
        crash_point("metadata.before_commit");
        self.connection.execute_batch("COMMIT")?;
        self.position = next;
        Ok(answers)
    }
}

/// An answer of the wrong kind: a bug, told instead of panicking.
pub(super) fn mismatched() -> MetadataError {
    MetadataError::Corrupt { context: "the writer answered with the wrong kind of reply".to_owned() }
}
