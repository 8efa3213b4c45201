//! Commits of bytes that drives still flush.
//!
//! What takes the database long is the statement, not the COMMIT. So a foreseen batch (`batch::foreseen`) is applied in a transaction
//! that is held open until its bytes are durable, and committed then. The writer waits with it, for a few milliseconds at most:
//! other changes of this node wait for the writer. A batch that cannot be foreseen, or whose bytes take longer, is given back to whoever asks, who
//! waits for the bytes and has it committed like any other.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{
    Answer, Batch, BatchName, CONTEXT, Failure, Pending, Stored, Writer, all_commits, is_rolled_back, sql,
};
use crate::durable::Durable;
use crate::error::Result;
use crate::postgres::connect::CallFailure;
use crate::sqlite::op::{Op, Reply};

/// How long a transaction is held open for drives that flush.
const FLUSH_PATIENCE: Duration = Duration::from_millis(10);

/// What becomes of a commit whose bytes may not be durable yet.
enum Early {
    Answered(Answer),
    /// Nothing of it is committed, and its bytes are durable.
    Durable,
    /// Nothing of it is committed, and of its bytes nothing is known.
    Open(Durable),
}

impl Writer {
    pub(super) async fn process_early(
        &mut self,
        op: Op,
        durable: Durable,
        answer: oneshot::Sender<Result<Reply>>,
    ) {
        let reply = match self.early(&op, durable).await {
            Early::Answered(reply) => reply,
            Early::Durable => return self.process(vec![Pending { op, durable: None, answer }]).await,
            Early::Open(durable) => Ok(Reply::TooEarly(Box::new((op, durable)))),
        };
        // A caller that went away does not care.
        let _ = answer.send(reply);
    }

    async fn early(&mut self, op: &Op, durable: Durable) -> Early {
        let Some((batch, answers)) = self.apply_early(op).await else { return Early::Open(durable) };
        match durable.kept_within(FLUSH_PATIENCE).await {
            Ok(Ok(())) => self.commit_early(op, &batch, answers).await,
            Ok(Err(broken)) => {
                self.roll_back().await;
                Early::Answered(Err(broken))
            }
            Err(durable) => {
                self.roll_back().await;
                Early::Open(durable)
            }
        }
    }

    /// Applies a commit in a transaction that stays open; `None` if it cannot be foreseen or applied, and no transaction is open.
    async fn apply_early(&mut self, op: &Op) -> Option<(Batch, Vec<Answer>)> {
        let (batch, outcomes) = self.memory.foresee(&all_commits(std::slice::from_ref(op))?)?;
        let locator = &self.locator;
        let session = self.session.as_mut().filter(|session| !locator.has_passed(session))?;
        self.batch = self.batch.saturating_add(1);
        let name = BatchName { writer: self.id, number: self.batch };
        if session.run(sql::BEGIN).await.is_err() {
            self.session = None;
            return None;
        }
        match self.memory.store(&batch, session, name).await {
            Ok(Stored::Applied) => {
                let answers = outcomes.into_iter().map(|outcomes| Ok(Reply::Outcomes(outcomes)));
                return Some((batch, answers.collect()));
            }
            Ok(Stored::Doubtful(_)) => self.session = None,
            Ok(Stored::Unforeseen) | Err(_) => self.roll_back().await,
        }
        None
    }

    async fn commit_early(&mut self, op: &Op, batch: &Batch, answers: Vec<Answer>) -> Early {
        let Some(session) = self.session.as_mut() else { return Early::Durable };
        let is_committed = match session.run(sql::COMMIT).await {
            Ok(()) => {
                self.memory.learn_ends(batch);
                Some(true)
            }
            Err(CallFailure::Answered(error)) if is_rolled_back(&error) => Some(false),
            Err(failure) => {
                tracing::warn!(failure = ?Failure::from(failure), "a metadata batch is doubtful");
                self.session = None;
                self.was_committed(Instant::now() + self.locator.options.patience).await
            }
        };
        match is_committed {
            Some(true) => {
                let answer = self.committed(std::slice::from_ref(op), answers).pop();
                answer.map_or(Early::Durable, Early::Answered)
            }
            Some(false) => Early::Durable,
            None => Early::Answered(Err(Failure::Unknown.to_error(CONTEXT))),
        }
    }

    async fn roll_back(&mut self) {
        let Some(session) = self.session.as_mut() else { return };
        if session.run(sql::ROLLBACK).await.is_err() {
            self.session = None;
        }
    }
}
