//! Filling fresh homes with what another store knew.
//!
//! The database is made under a name that nothing opens, in the first home or in the one where an earlier try began it.
//! It gets its real name last of all; opening the store then makes the copies in the other homes.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use granary_types::ClusterId;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::apply::Batch;
use super::failure::{Failure, unavailable};
use super::moved::moved;
use super::open::prepare;
use super::options::Home;
use super::schema::{self, Position, Purpose};
use super::survive::{DATABASE, IMPORT, Listing, MOVED, remove, replace_all, sync_dir, wal};
use super::{codec, export};
use crate::error::{MetadataError, Result};
use crate::moving::{CopyState, Entry, Export, Import, Page, Place, Source, Table};

/// Homes that are being filled; they are locked as long as this lives.
pub struct SqliteImport {
    inner: Arc<Inner>,
}

struct Inner {
    homes: Vec<Home>,
    /// The home with the database.
    at: PathBuf,
    connection: Mutex<Option<Connection>>,
    /// Released when all is done.
    _locks: Vec<File>,
}

impl SqliteImport {
    /// Takes the homes. All of the store's must be given, so that no other metadata stays in one of them. Blocks.
    ///
    /// # Errors
    /// [`MetadataError::Unavailable`] if a home is in use or there is metadata that was not moved elsewhere;
    /// [`MetadataError::Io`].
    pub fn open(homes: Vec<Home>) -> Result<Self> {
        let mut locks = Vec::with_capacity(homes.len());
        for home in &homes {
            locks.push(prepare(home).map_err(|source| io(home, source))?);
        }
        if moved(&homes).is_none() {
            for home in &homes {
                if !Listing::read(&home.dir).map_err(|source| io(home, source))?.is_empty() {
                    let why = format!("{} holds metadata that is in use", home.dir.display());
                    return Err(unavailable("beginning a copy", why));
                }
            }
        }
        let begun = homes.iter().find(|home| home.dir.join(IMPORT).exists()).or_else(|| homes.first());
        let at = begun.ok_or_else(|| unavailable("beginning a copy", "no home was given"))?.dir.clone();
        let inner = Inner { homes, at, connection: Mutex::new(None), _locks: locks };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn run<T: Send + 'static>(
        &self,
        context: &'static str,
        work: impl FnOnce(&Inner, &mut Option<Connection>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner, &mut inner.connection.lock())).await;
        done.map_err(|_| unavailable(context, "the copy's thread ended early"))?
            .map_err(|failure| failure.into_error(context))
    }
}

fn io(home: &Home, source: std::io::Error) -> MetadataError {
    if source.kind() == std::io::ErrorKind::WouldBlock {
        return unavailable(
            "beginning a copy",
            format!("{} is in use by another process", home.dir.display()),
        );
    }
    MetadataError::Io { context: format!("preparing {}", home.dir.display()), source }
}

fn gone() -> Failure {
    Failure::Corrupt("the database that is being filled is gone".to_owned())
}

fn stored_state(connection: &Connection) -> Result<Option<CopyState>, Failure> {
    let bytes: Option<Vec<u8>> = connection
        .query_row("SELECT state FROM copy_state WHERE one = 1", [], |row| row.get(0))
        .optional()?;
    let decode = |bytes: Vec<u8>| {
        postcard::from_bytes(&bytes)
            .map_err(|_| Failure::Corrupt("the row that tells of a copy cannot be decoded".to_owned()))
    };
    bytes.map(decode).transpose()
}

fn set_state(connection: &Connection, state: &CopyState) -> Result<(), Failure> {
    connection
        .prepare_cached("REPLACE INTO copy_state (one, state) VALUES (1, ?1)")?
        .execute([codec::encode(state)?])?;
    Ok(())
}

impl Inner {
    fn path(&self) -> PathBuf {
        self.at.join(IMPORT)
    }

    /// Opens what an earlier try left, if it left something.
    fn reopen<'c>(&self, held: &'c mut Option<Connection>) -> Result<Option<&'c mut Connection>, Failure> {
        if held.is_none() && self.path().exists() {
            *held = Some(self.create()?);
        }
        Ok(held.as_mut())
    }

    fn create(&self) -> Result<Connection, Failure> {
        let mut connection = schema::open(&self.path(), Purpose::Write)?;
        schema::migrate(&mut connection)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS copy_state (one INTEGER PRIMARY KEY, state BLOB NOT NULL) STRICT",
        )?;
        Ok(connection)
    }

    fn remove_files(&self) -> Result<(), Failure> {
        for path in [wal(&self.path()), self.path()] {
            remove(&path).map_err(Failure::Io)?;
        }
        sync_dir(&self.at).map_err(Failure::Io)
    }

    fn begin(&self, held: &mut Option<Connection>, state: &CopyState) -> Result<(), Failure> {
        if let Some(found) =
            self.reopen(held)?.map(|connection| stored_state(connection)).transpose()?.flatten()
            && found.source.store != state.source.store
        {
            tracing::warn!("an unfinished copy of another store is removed");
        }
        *held = None;
        self.remove_files()?;
        let connection = held.insert(self.create()?);
        set_state(connection, state)?;
        sync_dir(&self.at).map_err(Failure::Io)
    }

    fn store(
        &self,
        held: &mut Option<Connection>,
        entries: &[Entry],
        before: &CopyState,
        after: &CopyState,
    ) -> Result<(), Failure> {
        let connection = self.reopen(held)?.ok_or_else(gone)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if stored_state(&transaction)?.as_ref() != Some(before) {
            return Err(Failure::Corrupt("another copy writes to these drives".to_owned()));
        }
        let mut batch = Batch::new(&transaction);
        for entry in entries {
            batch.import(entry)?;
        }
        batch.finish()?;
        set_state(&transaction, after)?;
        transaction.commit()?;
        Ok(())
    }

    fn finish(&self, held: &mut Option<Connection>, before: &CopyState) -> Result<(), Failure> {
        let connection = self.reopen(held)?.ok_or_else(gone)?;
        if schema::position(connection)?.is_none() {
            let store = *ClusterId::random().map_err(Failure::Io)?.as_bytes();
            schema::set_position(connection, &Position { store, generation: 1, seq: 0, chain: [0; 32] })?;
        }
        set_state(connection, &CopyState { complete: true, ..before.clone() })?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        if let Some(connection) = held.take() {
            connection.close().map_err(|(_, error)| error)?;
        }
        File::open(self.path()).and_then(|file| file.sync_all()).map_err(Failure::Io)?;
        for home in &self.homes {
            replace_all(&home.dir).map_err(Failure::Io)?;
        }
        std::fs::rename(self.path(), self.at.join(DATABASE)).map_err(Failure::Io)?;
        sync_dir(&self.at).map_err(Failure::Io)?;
        for home in &self.homes {
            remove(&home.dir.join(MOVED)).and_then(|()| sync_dir(&home.dir)).map_err(Failure::Io)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Export for SqliteImport {
    async fn source(&self) -> Result<Source> {
        self.run("reading", |inner, held| export::source(inner.reopen(held)?.ok_or_else(gone)?)).await
    }

    async fn count(&self, table: Table) -> Result<u64> {
        self.run("counting", move |inner, held| export::count(inner.reopen(held)?.ok_or_else(gone)?, table))
            .await
    }

    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page> {
        let after = after.cloned();
        self.run("reading", move |inner, held| {
            export::page(inner.reopen(held)?.ok_or_else(gone)?, table, after.as_ref(), limit)
        })
        .await
    }
}

#[async_trait]
impl Import for SqliteImport {
    async fn state(&self) -> Result<Option<CopyState>> {
        self.run("reading the copy's state", |inner, held| {
            Ok(inner.reopen(held)?.map(|connection| stored_state(connection)).transpose()?.flatten())
        })
        .await
    }

    async fn begin(&self, state: &CopyState) -> Result<()> {
        let state = state.clone();
        self.run("beginning a copy", move |inner, held| inner.begin(held, &state)).await
    }

    async fn store(&self, entries: &[Entry], before: &CopyState, after: &CopyState) -> Result<()> {
        let (entries, before, after) = (entries.to_vec(), before.clone(), after.clone());
        self.run("storing a copy", move |inner, held| inner.store(held, &entries, &before, &after)).await
    }

    async fn finish(&self, before: &CopyState) -> Result<()> {
        let before = before.clone();
        self.run("finishing a copy", move |inner, held| inner.finish(held, &before)).await
    }
}
