//! The writer thread: the only one that changes the database.
//!
//! It takes every change that waits, applies them in one transaction, makes the transaction durable here and in the
//! copies, and answers. What arrives meanwhile forms the next batch.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_types::crash_point;
use tokio::sync::oneshot;

use super::apply::Batch;
use super::failure::{Failure, unavailable};
use super::op::{Op, Reply};
use super::options::Home;
use super::schema::{self, Position};
use super::serving::Database;
use super::shared::{Damage, Request, Shared};
use super::survive::{self, Forming, Recovered, Replicas};
use crate::durable::{Durable, Known};
use crate::error::{MetadataError, Result};

/// Writes that one transaction takes at most.
const WRITES_PER_BATCH: usize = 2_048;
/// How long the writer waits for work before it looks after its files.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it looks after them while there is work.
const TEND_EVERY: Duration = Duration::from_millis(50);
/// How often a lost database is looked for.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often one batch may meet a damaged database before its requests are refused.
const FAIL_OVERS_PER_BATCH: u32 = 2;

/// How long a transaction is held open for drives that flush. Others wait as long for the one writer, so it is little.
const FLUSH_PATIENCE: Duration = Duration::from_millis(10);

/// A change that waits for its answer.
pub(super) struct Pending {
    op: Op,
    /// What it must not be committed before.
    durable: Option<Durable>,
    answer: oneshot::Sender<Result<Reply>>,
}

/// The writer's state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    /// `None` while there is none that can be trusted.
    pub(super) database: Option<Database>,
    pub(super) position: Position,
    /// The home of the database.
    pub(super) home: Home,
    pub(super) replicas: Replicas,
    /// Whether the file in `home` must not be used again.
    pub(super) excluded: bool,
    /// When a lost database was last looked for.
    pub(super) tried: Instant,
    tended: Instant,
    /// Held as long as the store is open.
    locks: Vec<File>,
}

/// The answers of a batch, in its order.
type Answers = Vec<Result<Reply>>;

/// Why a batch failed.
struct BatchFailure {
    failure: Failure,
    /// The operation that met it, if it was one.
    culprit: Option<usize>,
    /// Where the batch would have led and its answers, if it may have been committed.
    doubtful: Option<(Position, Answers)>,
}

impl<F: Into<Failure>> From<F> for Box<BatchFailure> {
    fn from(failure: F) -> Self {
        Box::new(BatchFailure { failure: failure.into(), culprit: None, doubtful: None })
    }
}

impl Writer {
    /// A writer that serves what was recovered, with its copies made.
    pub(super) fn start(
        shared: Arc<Shared>,
        replicas: Replicas,
        locks: Vec<File>,
        homes: &[Home],
        recovered: Recovered,
    ) -> Result<Self> {
        let position = recovered.position;
        let home = homes.get(recovered.home).cloned();
        let mut writer = Self {
            shared,
            database: None,
            position,
            home: home.ok_or_else(|| unavailable("opening", "the metadata was recovered into no home"))?,
            replicas,
            excluded: false,
            tried: Instant::now(),
            tended: Instant::now(),
            locks,
        };
        writer.serve(homes, recovered, Forming::Wait).map_err(|failure| failure.into_error("opening"))?;
        Ok(writer)
    }

    /// Runs until the queue is closed and drained.
    pub(super) fn run(mut self) {
        while let Some(requests) = self.shared.writes.take(WRITES_PER_BATCH, PATIENCE, Request::weight) {
            let idle = requests.is_empty();
            let mut pending = Vec::with_capacity(requests.len());
            for request in requests {
                match request {
                    Request::Apply { op, durable, answer } => pending.push(Pending { op, durable, answer }),
                    Request::Suspect { epoch, damage, reason } => self.suspect(epoch, damage, &reason),
                    Request::Adopt { home, answer } => {
                        let _ = answer.send(self.adopt(home));
                    }
                }
            }
            self.process(pending);
            if idle || self.replicas.any_full() || self.tended.elapsed() >= TEND_EVERY {
                self.tend();
                self.tended = Instant::now();
            }
        }
        self.replicas.stop();
    }

    fn suspect(&mut self, epoch: u64, damage: Damage, reason: &str) {
        let current = self.shared.serving.lock().epoch == epoch && self.database.is_some();
        // One rotten row of a store without copies stays an error of its own; there is nothing to rebuild it from.
        if current && (damage == Damage::File || self.replicas.any_complete()) {
            self.fail_over(reason);
        }
    }

    fn adopt(&mut self, home: Home) -> Result<()> {
        // Its directory must be there: one that went away since the drive was looked at is not made anew.
        let locked = survive::lock(&home.dir);
        let context = || format!("taking {} as a metadata home", home.dir.display());
        match locked {
            Ok(lock) => self.locks.push(lock),
            // The same directory again is locked already, by this process.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(source) => return Err(MetadataError::Io { context: context(), source }),
        }
        self.replicas.adopt(home);
        Ok(())
    }

    fn process(&mut self, mut pending: Vec<Pending>) {
        let mut fail_overs = 0;
        while !pending.is_empty() {
            let tried = self.try_batch(&mut pending);
            if self.replicas.lost_any() {
                self.publish_homes();
            }
            let BatchFailure { failure, culprit, doubtful } = match tried {
                Ok(answers) => {
                    crash_point("metadata.after_commit_before_answer");
                    return answer_all(pending, answers);
                }
                Err(failed) => *failed,
            };
            if matches!(failure, Failure::NotDurable) {
                give_back(&mut pending);
                continue;
            }
            let reason = format!("{failure:?}");
            let rebuildable = failure.distrusts_file() && (culprit.is_none() || self.replicas.any_complete());
            if rebuildable && fail_overs < FAIL_OVERS_PER_BATCH {
                fail_overs += 1;
                let recovered = self.fail_over(&reason);
                match doubtful {
                    // The chain tells whether the copy that serves now has the batch.
                    Some((next, answers)) if recovered && self.position.chain == next.chain => {
                        return answer_all(pending, answers);
                    }
                    Some(_) if !recovered => return unknown(pending),
                    _ if recovered => continue,
                    _ => return refuse(pending, &reason),
                }
            }
            match culprit.filter(|index| *index < pending.len()) {
                // A rotten row of one request must not fail its neighbours.
                Some(index) => {
                    let request = pending.remove(index);
                    let _ = request.answer.send(Err(failure.into_error("applying a change")));
                }
                None => return refuse(pending, &reason),
            }
        }
    }

    /// Applies and commits all, or rolls back all.
    fn try_batch(&mut self, pending: &mut [Pending]) -> std::result::Result<Answers, Box<BatchFailure>> {
        let Some(mut database) = self.database.take() else {
            return Err(Failure::Refused(unavailable("committing", "there is no metadata database")).into());
        };
        let done = match database.connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => self.apply_and_commit(&mut database, pending),
            Err(error) => Err(error.into()),
        };
        if !database.connection.is_autocommit()
            && let Err(error) = database.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "rolling back failed");
        }
        self.database = Some(database);
        done
    }

    fn apply_and_commit(
        &mut self,
        database: &mut Database,
        pending: &mut [Pending],
    ) -> std::result::Result<Answers, Box<BatchFailure>> {
        let mut batch = Batch::new(&database.connection);
        let mut answers = Answers::with_capacity(pending.len());
        let mut applied = Vec::with_capacity(pending.len());
        for (index, request) in pending.iter().enumerate() {
            match batch.apply(&request.op) {
                Ok(reply) => {
                    answers.push(Ok(reply));
                    applied.push(&request.op);
                }
                Err(Failure::Refused(error)) => answers.push(Err(error)),
                Err(failure @ Failure::Corrupt(_)) => {
                    return Err(Box::new(BatchFailure { failure, culprit: Some(index), doubtful: None }));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        if applied.is_empty() {
            return Ok(answers);
        }
        batch.finish()?;
        let (frame, next) = survive::frame(&self.position, &applied)
            .map_err(|error| Failure::Corrupt(format!("a batch cannot be encoded: {error}")))?;
        schema::set_position(&database.connection, &next)?;
        let changing = self.shared.rows.changed_by(&applied);
        crash_point("metadata.after_apply_before_durable");
        if !await_durable(pending) {
            return Err(Failure::NotDurable.into());
        }
        crash_point("metadata.before_commit");
        let committing = changing.close();
        self.replicas.append(&frame.into());
        let committed = database.connection.execute_batch("COMMIT");
        survive::count_flush();
        crash_point("metadata.after_commit_before_log");
        self.replicas.wait();
        drop(committing);
        let committed = committed.map_err(Failure::from).and_then(|()| database.check());
        match committed {
            Ok(()) => {
                self.position = next;
                if self.replicas.is_short() {
                    metrics::counter!("granary_metadata_batches_short_total").increment(1);
                }
                Ok(answers)
            }
            Err(failure) if failure.distrusts_file() => {
                Err(Box::new(BatchFailure { failure, culprit: None, doubtful: Some((next, answers)) }))
            }
            Err(failure) => {
                self.retract();
                Err(failure.into())
            }
        }
    }

    /// A commit failed although the file is sound (the disk is full, say): the copies must not keep its frame.
    fn retract(&mut self) {
        if !self.replicas.retract() {
            // A copy that could not be reached may keep it. A higher generation outranks it; the database learns of
            // it with the next batch, the other copies now.
            self.position.generation = self.position.generation.saturating_add(1);
            self.replicas.rotate(&self.position);
        }
    }
}

/// Waits until the bytes that the changes refer to are durable. `false` if those of one are not, or not soon.
fn await_durable(pending: &mut [Pending]) -> bool {
    let begun = Instant::now();
    pending.iter_mut().all(|request| {
        let Some(durable) = &request.durable else { return true };
        let is_kept = durable.wait(FLUSH_PATIENCE.saturating_sub(begun.elapsed())) == Known::Kept;
        if is_kept {
            request.durable = None;
        }
        is_kept
    })
}

/// Answers what is not durable, or not yet, and leaves the rest.
fn give_back(pending: &mut Vec<Pending>) {
    let mut rest = Vec::with_capacity(pending.len());
    for request in pending.drain(..) {
        let Pending { op, durable, answer } = request;
        let reply = match durable.map(|durable| (durable.wait(Duration::ZERO), durable)) {
            None | Some((Known::Kept, _)) => {
                rest.push(Pending { op, durable: None, answer });
                continue;
            }
            Some((Known::Broken, _)) => Err(MetadataError::NotDurable),
            Some((Known::Open, durable)) => Ok(Reply::TooEarly(Box::new((op, durable)))),
        };
        let _ = answer.send(reply);
    }
    *pending = rest;
}

/// Answers in order; a caller that went away does not care.
fn answer_all(pending: Vec<Pending>, answers: Answers) {
    for (request, answer) in pending.into_iter().zip(answers) {
        let _ = request.answer.send(answer);
    }
}

fn refuse(pending: Vec<Pending>, reason: &str) {
    tracing::error!(reason, "a metadata batch was refused");
    for request in pending {
        let _ = request.answer.send(Err(unavailable("committing", reason)));
    }
}

fn unknown(pending: Vec<Pending>) {
    for request in pending {
        let context = "the metadata database was lost while committing";
        let _ = request.answer.send(Err(MetadataError::OutcomeUnknown { context }));
    }
}
