//! Connections: finding the server that can be written to, and one session on it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Executor, PgConnection, Postgres, Row};

use super::failure::{Failure, is_answer};
use super::history::History;
use super::hosts::name;
use super::options::{Durability, PostgresOptions};
use super::sql::{fail_overs, setup};
use crate::fail_over::Timeline;

/// How much longer than the server a caller waits for a statement.
const GRACE: Duration = Duration::from_secs(2);

/// Finds the writable server, beginning with the one that was it last.
pub(super) struct Locator {
    pub(super) options: PostgresOptions,
    last_good: AtomicUsize,
    pub(super) history: History,
}

impl Locator {
    pub(super) fn new(options: PostgresOptions) -> Arc<Self> {
        Arc::new(Self { options, last_good: AtomicUsize::new(0), history: History::default() })
    }

    /// A session on the first host that answers and can be written to.
    pub(super) async fn connect(&self) -> Result<Session, Failure> {
        let mut reasons = Vec::new();
        for (number, host) in self.options.hosts.starting_at(self.last_good.load(Ordering::Relaxed)) {
            match self.connect_to(host).await {
                Ok(session) => {
                    if self.last_good.swap(number, Ordering::Relaxed) != number {
                        tracing::warn!(host = name(host), "the metadata is on another database server now");
                    }
                    return Ok(session);
                }
                // A server that must not be used is no reason to use another one silently.
                Err(failure @ Failure::Refused(_)) => return Err(failure),
                Err(failure) => reasons.push(format!("{}: {failure:?}", name(host))),
            }
        }
        Err(Failure::Lost(format!("no database server can be written to: {}", reasons.join("; "))))
    }

    /// As [`Self::connect`], again and again until `deadline`.
    pub(super) async fn connect_by(&self, deadline: Instant) -> Result<Session, Failure> {
        let mut backoff = Backoff::new();
        loop {
            match self.connect().await {
                Err(failure) if failure.is_passing() && Instant::now() < deadline => backoff.pause().await,
                result => return result,
            }
        }
    }

    async fn connect_to(&self, host: &PgConnectOptions) -> Result<Session, Failure> {
        let limit = self.options.connect_timeout;
        let connected = tokio::time::timeout(limit, host.connect()).await;
        let connection =
            connected.map_err(|_| Failure::Lost(format!("no connection within {limit:?}")))??;
        let call_timeout = self.options.statement_timeout.saturating_add(GRACE);
        let mut session = Session { connection, call_timeout, timeline: None };
        session.prepare(&self.options, limit).await?;
        if !self.history.meet(session.timeline) {
            return Err(Failure::Lost("the server was replaced by another and does not know it".to_owned()));
        }
        Ok(session)
    }

    /// Whether a session is one with a server that another has taken the place of.
    pub(super) fn has_passed(&self, session: &Session) -> bool {
        self.history.has_passed(session.timeline)
    }
}

/// One connection. After a [`Failure::Lost`] it must be dropped: what it would answer next is not known.
pub(super) struct Session {
    connection: PgConnection,
    call_timeout: Duration,
    /// The history of the database that it is on, if the server tells.
    timeline: Option<Timeline>,
}

/// A statement with its arguments.
pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

async fn timed<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, CallFailure> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CallFailure::Answered(error)),
        Err(_) => Err(CallFailure::Silent(limit)),
    }
}

/// A failed call, before it is known what it was part of.
pub(super) enum CallFailure {
    Answered(sqlx::Error),
    Silent(Duration),
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Answered(error) => error.into(),
            CallFailure::Silent(limit) => Self::Lost(format!("the database said nothing for {limit:?}")),
        }
    }
}

impl Session {
    /// The history of the database that it is on, if the server tells.
    pub(super) fn timeline(&self) -> Option<Timeline> {
        self.timeline
    }

    /// Checks the server and sets the session's limits.
    async fn prepare(&mut self, options: &PostgresOptions, limit: Duration) -> Result<(), Failure> {
        let row = timed(limit, sqlx::query(setup::PROBE).fetch_one(&mut self.connection)).await?;
        let in_recovery: bool = row.try_get(0)?;
        let read_only: String = row.try_get(1)?;
        if in_recovery || read_only == "on" {
            return Err(Failure::Lost("the server is read-only".to_owned()));
        }
        let fsync: Option<String> = row.try_get(3)?;
        if options.durability == Durability::Required && fsync.as_deref() == Some("off") {
            return Err(Failure::Refused(
                "the database runs with fsync = off and would lose data".to_owned(),
            ));
        }
        let synchronous: Option<String> = row.try_get(2)?;
        // remote_apply is stricter than what is needed and is left to the operator.
        if !matches!(synchronous.as_deref(), None | Some("on" | "remote_apply")) {
            timed(limit, self.connection.execute(setup::SET_SYNCHRONOUS)).await?;
            let row = timed(limit, sqlx::query(setup::PROBE).fetch_one(&mut self.connection)).await?;
            if row.try_get::<String, _>(2)? != "on" {
                return Err(Failure::Refused("the database refuses synchronous_commit = on".to_owned()));
            }
        }
        self.timeline = self.find_timeline(limit).await?;
        timed(limit, sqlx::query(setup::SET_PLANS).fetch_all(&mut self.connection)).await?;
        self.set_limits(options.statement_timeout, options.lock_timeout, options.idle_transaction_timeout)
            .await
    }

    /// Which history of the database this is; `None` of servers that do not tell.
    async fn find_timeline(&mut self, limit: Duration) -> Result<Option<Timeline>, Failure> {
        match timed(limit, sqlx::query(fail_overs::TIMELINE).fetch_one(&mut self.connection)).await {
            Ok(row) => {
                let file: String = row.try_get(0)?;
                let digits = file.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                Ok(digits.map(Timeline))
            }
            Err(CallFailure::Answered(error)) if is_answer(&error) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Sets how long statements, locks and idle transactions last; zero is for ever.
    pub(super) async fn set_limits(
        &mut self,
        statement: Duration,
        lock: Duration,
        idle: Duration,
    ) -> Result<(), Failure> {
        let text = |limit: Duration| limit.as_millis().to_string();
        self.call_timeout = if statement.is_zero() { Duration::MAX } else { statement.saturating_add(GRACE) };
        let query = sqlx::query(setup::SET_LIMITS).bind(text(statement)).bind(text(lock)).bind(text(idle));
        self.fetch(query).await.map(drop)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, Failure> {
        Ok(self.call(statement).await?)
    }

    /// As [`Self::execute`], for a statement that is a transaction of its own.
    pub(super) async fn call(&mut self, statement: Statement<'_>) -> Result<u64, CallFailure> {
        let call = statement.execute(&mut self.connection);
        timed(self.call_timeout, call).await.map(|result: PgQueryResult| result.rows_affected())
    }

    /// Runs a statement and returns its rows.
    pub(super) async fn fetch(&mut self, statement: Statement<'_>) -> Result<Vec<PgRow>, Failure> {
        let call = statement.fetch_all(&mut self.connection);
        Ok(timed(self.call_timeout, call).await?)
    }

    /// Runs text without arguments: BEGIN, COMMIT, a migration.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), CallFailure> {
        timed(self.call_timeout, sqlx::raw_sql(sql).execute(&mut self.connection)).await.map(drop)
    }
}

/// Growing pauses with jitter, so that nodes that collided do not collide again.
pub(super) struct Backoff {
    step: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(500);

    pub(super) fn new() -> Self {
        Self { step: Self::FIRST }
    }

    /// Waits between half a step and a step.
    pub(super) async fn pause(&mut self) {
        let half = self.step / 2;
        let jitter = granary_types::WriteId::random()
            .map_or(0, |id| id.as_bytes().first().copied().unwrap_or_default());
        let jittered = half.saturating_add(half * u32::from(jitter) / 255);
        tokio::time::sleep(jittered).await;
        self.step = self.step.saturating_mul(2).min(Self::LONGEST);
    }
}
