//! The metadata in Postgres as one end of a copy; see [`crate::moving`].

mod export;
mod import;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use granary_types::WriteId;
use tokio::sync::Mutex;

pub(super) use self::export::page;
use super::connect::{Backoff, Locator, Session};
use super::failure::Failure;
use super::options::PostgresOptions;
use super::sql;
use crate::error::Result;
use crate::moving::{CopyState, Entry, Export, Import, Page, Place, Source, Table};
use crate::sqlite::failure::unavailable;

/// How long one statement of a copy may take: counting reads a whole table.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(30);

/// How the database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// All of it as it is at one moment, however many nodes write. A lost connection ends the reading.
    Snapshot,
    /// Row by row; for a database that nobody writes to. Connections are made anew when they are lost.
    Quiet,
}

/// A database that is copied from or to. It must not be open as a store in this process.
pub struct PostgresCopy {
    shared: Arc<Shared>,
}

struct Shared {
    locator: Arc<Locator>,
    consistency: Consistency,
    session: Mutex<Held>,
    /// Names the state that a snapshot shows: no later one is the same.
    name: [u8; 32],
}

/// The session in use. It is taken out while a statement runs, so that a call that was dropped half-way leaves none.
#[derive(Default)]
struct Held {
    session: Option<Session>,
    /// A snapshot was begun; there is no second one.
    begun: bool,
}

impl PostgresCopy {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`] if the system gives no random numbers.
    pub fn new(options: PostgresOptions, consistency: Consistency) -> Result<Self> {
        let mut name = [0_u8; 32];
        for half in name.chunks_exact_mut(16) {
            let id = WriteId::random().map_err(|error| unavailable("preparing a copy", error.to_string()))?;
            half.copy_from_slice(id.as_bytes());
        }
        let locator = Locator::new(options);
        let shared = Shared { locator, consistency, session: Mutex::new(Held::default()), name };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many other sessions use the database; nodes that are running keep theirs open.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`].
    pub async fn other_sessions(&self) -> Result<u64> {
        self.run("counting sessions", |session| Box::pin(import::others(session))).await
    }

    /// Marks the metadata here as moved to `to`, which is shown to people: no password. Nothing opens it any more.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`].
    pub async fn mark_moved(&self, to: &str) -> Result<()> {
        let to = to.to_owned();
        self.run("marking the metadata as moved", move |session| {
            let to = to.clone();
            Box::pin(async move { import::set_moved(session, &to).await })
        })
        .await
    }

    /// Runs `work` in a task of its own on the session: dropping the caller must not leave half a statement on it.
    async fn run<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'s> Fn(&'s mut Session) -> Work<'s, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move { shared.run(work).await });
        let done = task.await.map_err(|_| unavailable(context, "the copy's task ended early"))?;
        done.map_err(|failure| failure.to_error(context))
    }
}

/// Something done on a session.
type Work<'s, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 's>>;

impl Shared {
    /// Does `work`, again on a new connection if the old one is lost, for a while. What it does may therefore be done
    /// twice, the first time without being seen.
    async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        F: for<'s> Fn(&'s mut Session) -> Work<'s, T>,
    {
        let mut held = self.session.lock().await;
        let deadline = Instant::now() + self.locator.options.patience;
        let mut backoff = Backoff::new();
        loop {
            let mut session = match held.session.take() {
                Some(session) => session,
                None => self.connect(&mut held, deadline).await?,
            };
            match work(&mut session).await {
                Ok(value) => {
                    held.session = Some(session);
                    return Ok(value);
                }
                Err(failure) if failure.is_passing() && Instant::now() < deadline && !held.begun => {
                    tracing::warn!(?failure, "a step of the copy is tried again");
                    backoff.pause().await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn connect(&self, held: &mut Held, deadline: Instant) -> Result<Session, Failure> {
        if held.begun {
            return Err(Failure::Refused("the connection was lost, and the snapshot with it".to_owned()));
        }
        let mut session = self.locator.connect_by(deadline).await?;
        let lock = self.locator.options.lock_timeout;
        session.set_limits(STATEMENT_TIMEOUT, lock, Duration::ZERO).await?;
        if self.consistency == Consistency::Snapshot {
            session.run(sql::BEGIN_SNAPSHOT).await?;
            held.begun = true;
        }
        Ok(session)
    }
}

#[async_trait]
impl Export for PostgresCopy {
    async fn source(&self) -> Result<Source> {
        let state = self.shared.name;
        let store = self.run("reading", |session| Box::pin(export::store_name(session))).await?;
        Ok(Source { store, state })
    }

    async fn count(&self, table: Table) -> Result<u64> {
        self.run("counting", move |session| Box::pin(export::count(session, table))).await
    }

    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page> {
        let after = after.cloned();
        self.run("reading", move |session| {
            let after = after.clone();
            Box::pin(async move { export::page(session, table, after.as_ref(), limit).await })
        })
        .await
    }
}

#[async_trait]
impl Import for PostgresCopy {
    async fn state(&self) -> Result<Option<CopyState>> {
        self.run("reading the copy's state", |session| Box::pin(import::state(session))).await
    }

    async fn begin(&self, state: &CopyState) -> Result<()> {
        super::schema::migrate(&self.shared.locator.options).await?;
        let state = state.clone();
        self.run("beginning a copy", move |session| {
            let state = state.clone();
            Box::pin(async move { import::begin(session, &state).await })
        })
        .await
    }

    async fn store(&self, entries: &[Entry], before: &CopyState, after: &CopyState) -> Result<()> {
        let step = Arc::new((entries.to_vec(), before.clone(), after.clone()));
        self.run("storing a copy", move |session| {
            let step = Arc::clone(&step);
            Box::pin(async move { import::store(session, &step.0, &step.1, &step.2).await })
        })
        .await
    }

    async fn finish(&self, before: &CopyState) -> Result<()> {
        let after = CopyState { complete: true, ..before.clone() };
        self.store(&[], before, &after).await
    }
}

/// Refuses a database that holds a copy that was not finished, as it lacks data, and one whose metadata was moved
/// elsewhere, as it is out of date.
pub(super) async fn refuse_marked(session: &mut Session) -> Result<()> {
    let mark = import::mark(session).await.map_err(|failure| failure.to_error("opening"))?;
    let why = match mark {
        Some(import::Mark::Copy(state)) if !state.complete => format!(
            "the database holds an unfinished copy ({} entries so far): run the same `granary metadata copy` or \
             `restore` again to finish it",
            state.stored
        ),
        Some(import::Mark::Moved(to)) => {
            format!("the metadata of this store was moved to {to}; serve it from there (--metadata)")
        }
        Some(import::Mark::Copy(_)) | None => return Ok(()),
    };
    Err(unavailable("opening", why))
}
