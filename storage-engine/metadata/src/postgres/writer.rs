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

mod early;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use granary_types::{NodeId, VolumeId, WriteId};
use sqlx::postgres::PgRow;
use tokio::sync::{mpsc, oneshot};

use super::batch::foreseen::{Memory, Stored};
use super::batch::{Batch, BatchName};
use super::connect::{Backoff, CallFailure, Locator, Session};
use super::fail_overs::put_tail;
use super::failure::{Failure, is_rolled_back};
use super::marks::Marks;
use super::ops::{self, Answer};
use super::sql::fail_overs as statements;
use super::{rows, sql};
use crate::durable::Durable;
use crate::error::{MetadataError, Result};
use crate::fail_over::Timeline;
use crate::model::{Commit, Write};
use crate::sqlite::failure::unavailable;
use crate::sqlite::op::{Op, Reply};

/// Writes that one transaction takes at most.
const WRITES_PER_BATCH: usize = 2_048;

const CONTEXT: &str = "committing";

/// A change that waits for its answer.
pub(super) struct Pending {
    pub(super) op: Op,
    /// Of bytes that it refers to and that may not be durable yet.
    pub(super) durable: Option<Durable>,
    pub(super) answer: oneshot::Sender<Result<Reply>>,
}

/// The writer's state.
pub(super) struct Writer {
    locator: Arc<Locator>,
    session: Option<Session>,
    id: WriteId,
    batch: u64,
    marks: Marks,
    memory: Memory,
    /// The timeline up to which nodes have dealt with what was lost, as last read.
    settled: Option<Timeline>,
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
        let (marks, memory) = (Marks::default(), Memory::default());
        Ok(Self { locator, session: None, id, batch: 0, marks, memory, settled: None })
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
            match waiting.pop_front() {
                Some(Pending { op, durable: Some(durable), answer }) => {
                    self.process_early(op, durable, answer).await;
                }
                Some(first) => {
                    waiting.push_front(first);
                    let group = next_group(&mut waiting);
                    self.process(group).await;
                }
                None => {}
            }
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
                Ok(answers) => return Ok(self.committed(ops, answers)),
                Err(attempt) => attempt,
            };
            if matches!(failure, Failure::Lost(_)) {
                self.session = None;
            }
            tracing::warn!(?failure, doubtful = doubtful.is_some(), "a metadata batch failed");
            if let Some(answers) = doubtful {
                // Reading back may need a server that has just begun to start again.
                match self.was_committed(deadline.max(Instant::now() + patience / 2)).await {
                    Some(true) => return Ok(self.committed(ops, answers)),
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
        if self.session.as_ref().is_none_or(|session| self.locator.has_passed(session)) {
            self.connect(deadline).await?;
        }
        let session = self.session.as_mut().ok_or_else(|| Failure::Lost("there is no session".to_owned()))?;
        let name = BatchName { writer: self.id, number: self.batch };
        let deletes = settled(session, &mut self.settled).await?;
        let foreseen = all_commits(ops).and_then(|commits| self.memory.foresee(&commits));
        if let Some((batch, outcomes)) = foreseen {
            let answers = outcomes.into_iter().map(|outcomes| Ok(Reply::Outcomes(outcomes))).collect();
            match self.memory.store(&batch, session, name).await? {
                Stored::Applied => {
                    self.memory.learn_ends(&batch);
                    return Ok(answers);
                }
                Stored::Doubtful(failure) => return Err(Attempt { failure, doubtful: Some(answers) }),
                Stored::Unforeseen => {}
            }
        }
        session.run(sql::BEGIN).await.map_err(Failure::from)?;
        let (answers, batch) = match apply(session, ops, name, (self.locator.options.node, deletes)).await {
            Ok(applied) => applied,
            Err(failure) => {
                if !matches!(failure, Failure::Lost(_)) && session.run(sql::ROLLBACK).await.is_err() {
                    self.session = None;
                }
                return Err(failure.into());
            }
        };
        match session.run(sql::COMMIT).await {
            Ok(()) => {
                batch.iter().for_each(|batch| self.memory.learn(batch));
                Ok(answers)
            }
            Err(CallFailure::Answered(error)) if is_rolled_back(&error) => {
                Err(Failure::Conflict(error.to_string()).into())
            }
            Err(failure) => {
                let why = format!("COMMIT got no answer: {:?}", Failure::from(failure));
                Err(Attempt { failure: Failure::Lost(why), doubtful: Some(answers) })
            }
        }
    }

    fn committed(&mut self, ops: &[Op], answers: Vec<Answer>) -> Vec<Answer> {
        self.marks.note(self.batch, ops, &answers);
        answers
    }

    /// Connects, and finds out whether the database still knows what it answered before.
    async fn connect(&mut self, deadline: Instant) -> std::result::Result<(), Failure> {
        self.session = None;
        self.memory.forget();
        let mut session = self.locator.connect_by(deadline).await?;
        let row = session.fetch(sqlx::query(statements::LAST_BATCH).bind(*self.id.as_bytes())).await?;
        let found = self.noted(&row)?;
        if self.marks.are_beyond(found) {
            let ids: Vec<[u8; 16]> = self.marks.volumes().map(|id| *id.as_bytes()).collect();
            let mut ends = HashMap::with_capacity(ids.len());
            for row in session.fetch(sqlx::query(statements::ENDS).bind(ids)).await? {
                ends.insert(VolumeId::from_bytes(rows::id(&row, 0)?), rows::unsigned(&row, 1)?);
            }
            let (lost, tails) = self.marks.lost(found, &ends, self.locator.options.node);
            tracing::error!(
                transactions = lost.batches,
                volumes = tails.len(),
                changes = lost.changes.len(),
                "the database lost what it had answered: it will be committed again or reported"
            );
            // Before anything else is committed: the next commit may go beyond what was lost, and this process may end.
            for tail in &tails {
                session.execute(put_tail(tail)?).await?;
            }
            self.locator.history.note_lost(lost);
            self.marks.accept(found);
        }
        self.session = Some(session);
        Ok(())
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
        self.connect(deadline).await?;
        let session = self.session.as_mut().ok_or_else(|| Failure::Lost("there is no session".to_owned()))?;
        let row = session.fetch(sqlx::query(sql::READ_BACK).bind(*self.id.as_bytes())).await?;
        self.noted(&row)
    }

    /// The last batch that the writer's row names, if there is one; how often it was read back is noted.
    fn noted(&mut self, row: &[PgRow]) -> std::result::Result<Option<u64>, Failure> {
        let Some(row) = row.first() else {
            self.memory.note_read_backs(0);
            return Ok(None);
        };
        self.memory.note_read_backs(rows::unsigned(row, 1)?);
        rows::unsigned(row, 0).map(Some)
    }
}

/// The longest run of commits that one transaction takes, or one change of another kind.
fn next_group(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut group = Vec::new();
    let mut weight = 0_usize;
    while let Some(next) = waiting.front() {
        let alone = !matches!(next.op, Op::Commit(_)) || next.durable.is_some();
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

/// Whether deletes are taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    Taken,
    /// What a fail-over lost is being committed again: what was deleted meanwhile would come back with it.
    Refused,
}

/// Whether nodes have dealt with what was lost before the history that the session is on. Asked only until they have.
async fn settled(
    session: &mut Session,
    known: &mut Option<Timeline>,
) -> std::result::Result<Deletes, Failure> {
    let Some(timeline) = session.timeline() else { return Ok(Deletes::Taken) };
    if known.is_none_or(|known| known < timeline) {
        let found = session.fetch(sqlx::query(statements::SETTLED)).await?;
        let found = found.first().map(|row| rows::unsigned(row, 0)).transpose()?;
        // Nothing is stored before the first node of a new store has begun.
        let found = found.map_or(timeline, |found| Timeline(u32::try_from(found).unwrap_or(u32::MAX)));
        *known = Some(found);
    }
    Ok(if known.is_some_and(|known| known >= timeline) { Deletes::Taken } else { Deletes::Refused })
}

/// Whether a change deletes something that a lost write may have made.
fn is_delete(op: &Op) -> bool {
    let deletes = |write: &Write| {
        matches!(
            write,
            Write::Delete(_) | Write::Remove(_) | Write::Erase(_) | Write::Expire(_) | Write::Rename(_)
        )
    };
    match op {
        Op::Commit(commit) => commit.writes.iter().any(deletes),
        Op::DeleteBucket(_) => true,
        _ => false,
    }
}

/// The commits, if there is nothing else.
fn all_commits(ops: &[Op]) -> Option<Vec<&Commit>> {
    ops.iter().map(commit_of).collect()
}

fn commit_of(op: &Op) -> Option<&Commit> {
    if let Op::Commit(commit) = op { Some(commit) } else { None }
}

/// Everything between BEGIN and COMMIT; gives back the batch too, if it was one of commits.
async fn apply(
    session: &mut Session,
    ops: &[Op],
    name: BatchName,
    (node, deletes): (Option<NodeId>, Deletes),
) -> std::result::Result<(Vec<Answer>, Option<Batch>), Failure> {
    let is_refused = |op: &Op| deletes == Deletes::Refused && is_delete(op);
    let refused = || Err(unavailable("deleting", "the database failed over just now"));
    if ops.iter().all(|op| matches!(op, Op::Commit(_))) {
        let commits: Vec<Option<&Commit>> =
            ops.iter().map(|op| commit_of(op).filter(|_| !is_refused(op))).collect();
        let loaded: Vec<&Commit> = commits.iter().flatten().copied().collect();
        let mut batch = Batch::load(session, &loaded).await?;
        let answer = |commit: &Option<&Commit>| match commit {
            Some(commit) => batch.commit(commit).map(Reply::Outcomes),
            None => refused(),
        };
        let answers = commits.iter().map(answer).collect();
        batch.store(session, name).await?;
        return Ok((answers, Some(batch)));
    }
    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        answers.push(if is_refused(op) { refused() } else { ops::apply(session, op, node).await? });
    }
    let mark = sqlx::query(sql::MARK_BATCH).bind(*name.writer.as_bytes()).bind(name.number.cast_signed());
    session.execute(mark).await?;
    Ok((answers, None))
}
