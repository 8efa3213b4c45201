//! The writer: a task that takes every change that waits, commits them in one transaction, and answers.
//!
//! What arrives while a batch is being committed forms the next: group commit without a timer. One batch is under way at
//! a time, so changes made one after the other are applied in that order; batches of different nodes run at once. The
//! task belongs to no request: a caller that hangs up stops nothing.
//!
//! A batch whose COMMIT got no answer is *doubtful*. Its transaction wrote its number into this writer's row, so the row is
//! read back on a new connection; that waits until the old transaction has ended. Only then is the batch either
//! answered with the outcomes it computed, or tried again from its beginning. If it cannot be read back in time, every
//! request of it is told that its outcome is unknown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use granary_types::{NodeId, WriteId};
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, BatchName};
use super::connect::{Backoff, CallFailure, Locator, Session};
use super::failure::{Failure, is_rolled_back};
use super::ops::{self, Answer};
use super::{rows, sql};
use crate::error::{MetadataError, Result};
use crate::model::Commit;
use crate::sqlite::op::{Op, Reply};

/// Writes that one transaction takes at most.
const WRITES_PER_BATCH: usize = 2_048;

const CONTEXT: &str = "committing";

/// A change that waits for its answer.
pub(super) struct Pending {
    pub(super) op: Op,
    pub(super) answer: oneshot::Sender<Result<Reply>>,
}

/// The writer's state.
pub(super) struct Writer {
    locator: Arc<Locator>,
    session: Option<Session>,
    id: WriteId,
    batch: u64,
}

/// Why an attempt did not succeed.
struct Attempt {
    failure: Failure,
    /// What the requests are answered if the transaction was committed after all.
    doubtful: Option<Vec<Answer>>,
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        Self { failure, doubtful: None }
    }
}

impl Writer {
    /// A writer with an id no other life has.
    pub(super) fn new(locator: Arc<Locator>) -> Result<Self> {
        let id = WriteId::random()
            .map_err(|source| MetadataError::Io { context: "drawing the writer's id".to_owned(), source })?;
        Ok(Self { locator, session: None, id, batch: 0 })
    }

    /// Runs until the queue is closed and drained.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Pending>) {
        let mut waiting = VecDeque::new();
        let mut arrived = Vec::new();
        loop {
            if waiting.is_empty() && queue.recv_many(&mut arrived, WRITES_PER_BATCH).await == 0 {
                return;
            }
            waiting.extend(arrived.drain(..));
            let group = next_group(&mut waiting);
            self.process(group).await;
        }
    }

    async fn process(&mut self, group: Vec<Pending>) {
        let (ops, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|pending| (pending.op, pending.answer)).unzip();
        match self.settle(&ops).await {
            Ok(replies) => reply_all(answers, replies),
            // One request may be to blame for what the database refuses: each has its own try.
            Err(failure) if !failure.is_passing() && failure != Failure::Unknown && ops.len() > 1 => {
                for (op, answer) in ops.into_iter().zip(answers) {
                    match self.settle(std::slice::from_ref(&op)).await {
                        Ok(replies) => reply_all(vec![answer], replies),
                        Err(failure) => reply_all(vec![answer], vec![Err(failure.to_error(CONTEXT))]),
                    }
                }
            }
            Err(failure) => {
                let errors = answers.iter().map(|_| Err(failure.to_error(CONTEXT))).collect();
                reply_all(answers, errors);
            }
        }
    }

    /// Commits the changes, again and again while that may help.
    async fn settle(&mut self, ops: &[Op]) -> std::result::Result<Vec<Answer>, Failure> {
        let patience = self.locator.options.patience;
        let deadline = Instant::now() + patience;
        let mut backoff = Backoff::new();
        loop {
            self.batch = self.batch.saturating_add(1);
            let Attempt { failure, doubtful } = match self.attempt(ops, deadline).await {
                Ok(answers) => return Ok(answers),
                Err(attempt) => attempt,
            };
            if matches!(failure, Failure::Lost(_)) {
                self.session = None;
            }
            tracing::warn!(?failure, doubtful = doubtful.is_some(), "a metadata batch failed");
            if let Some(answers) = doubtful {
                // Reading back may need a server that has just begun to start again.
                match self.was_committed(deadline.max(Instant::now() + patience / 2)).await {
                    Some(true) => return Ok(answers),
                    Some(false) => {}
                    None => return Err(Failure::Unknown),
                }
            } else if !failure.is_passing() {
                return Err(failure);
            }
            if Instant::now() >= deadline {
                return Err(failure);
            }
            backoff.pause().await;
        }
    }

    async fn attempt(&mut self, ops: &[Op], deadline: Instant) -> std::result::Result<Vec<Answer>, Attempt> {
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(self.locator.connect_by(deadline).await?),
        };
        let name = BatchName { writer: self.id, number: self.batch };
        session.run(sql::BEGIN).await.map_err(Failure::from)?;
        let answers = match apply(session, ops, name, self.locator.options.node).await {
            Ok(answers) => answers,
            Err(failure) => {
                if !matches!(failure, Failure::Lost(_)) && session.run(sql::ROLLBACK).await.is_err() {
                    self.session = None;
                }
                return Err(failure.into());
            }
        };
        match session.run(sql::COMMIT).await {
            Ok(()) => Ok(answers),
            Err(CallFailure::Answered(error)) if is_rolled_back(&error) => {
                Err(Failure::Conflict(error.to_string()).into())
            }
            Err(failure) => {
                let why = format!("COMMIT got no answer: {:?}", Failure::from(failure));
                Err(Attempt { failure: Failure::Lost(why), doubtful: Some(answers) })
            }
        }
    }

    /// Whether the last batch was committed; `None` if that cannot be found out.
    async fn was_committed(&mut self, deadline: Instant) -> Option<bool> {
        let mut backoff = Backoff::new();
        while Instant::now() < deadline {
            match self.read_back(deadline).await {
                Ok(last) => return Some(last == Some(self.batch)),
                Err(failure) => {
                    tracing::warn!(?failure, "a metadata batch could not be read back");
                    self.session = None;
                }
            }
            backoff.pause().await;
        }
        None
    }

    async fn read_back(&mut self, deadline: Instant) -> std::result::Result<Option<u64>, Failure> {
        let mut session = self.locator.connect_by(deadline).await?;
        let found = session.fetch(sqlx::query(sql::READ_BACK).bind(*self.id.as_bytes())).await?;
        self.session = Some(session);
        found.first().map(|row| rows::unsigned(row, 0)).transpose()
    }
}

/// The longest run of commits that one transaction takes, or one change of another kind.
fn next_group(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut group = Vec::new();
    let mut weight = 0_usize;
    while let Some(next) = waiting.front() {
        let alone = !matches!(next.op, Op::Commit(_));
        if !group.is_empty() && (alone || weight >= WRITES_PER_BATCH) {
            break;
        }
        weight = weight.saturating_add(next.op.weight());
        group.extend(waiting.pop_front());
        if alone {
            break;
        }
    }
    group
}

fn reply_all(answers: Vec<oneshot::Sender<Result<Reply>>>, replies: Vec<Result<Reply>>) {
    for (answer, reply) in answers.into_iter().zip(replies) {
        // A caller that went away does not care.
        let _ = answer.send(reply);
    }
}

/// Everything between BEGIN and COMMIT.
async fn apply(
    session: &mut Session,
    ops: &[Op],
    name: BatchName,
    node: Option<NodeId>,
) -> std::result::Result<Vec<Answer>, Failure> {
    let commits: Vec<&Commit> =
        ops.iter().filter_map(|op| if let Op::Commit(commit) = op { Some(commit) } else { None }).collect();
    let answers = if commits.len() == ops.len() {
        let mut batch = Batch::load(session, &commits).await?;
        let answers = commits.iter().map(|commit| batch.commit(commit).map(Reply::Outcomes)).collect();
        batch.store(session, name).await?;
        answers
    } else {
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            answers.push(ops::apply(session, op, node).await?);
        }
        answers
    };
    let mark = sqlx::query(sql::MARK_BATCH).bind(*name.writer.as_bytes()).bind(name.number.cast_signed());
    session.execute(mark).await?;
    Ok(answers)
}
