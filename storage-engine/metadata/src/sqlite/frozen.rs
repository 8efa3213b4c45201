//! The embedded metadata as it is at one moment, while it is written to.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;

use super::export;
use super::failure::{Failure, unavailable};
use super::schema::{self, Purpose};
use super::store::SqliteStore;
use crate::error::Result;
use crate::moving::{Export, Page, Place, Source, Table};

/// One state of the store, held by a read transaction: the write-ahead log is not cut while it lives.
pub struct SqliteFrozen {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// The store as it is now, to be read as a whole while the store goes on.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`] while the database is being replaced by a copy.
    pub async fn freeze(&self) -> Result<SqliteFrozen> {
        let database = self.database()?;
        run("freezing", move || {
            let connection = schema::open(&database, Purpose::Read { readers: 1 })?;
            connection.execute_batch("BEGIN")?;
            // A transaction begins to hold a state with its first read.
            schema::position(&connection)?;
            Ok(SqliteFrozen { connection: Arc::new(Mutex::new(connection)) })
        })
        .await
    }
}

async fn run<T: Send + 'static>(
    context: &'static str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| unavailable(context, "its thread ended early"))?
        .map_err(|failure| failure.into_error(context))
}

#[async_trait]
impl Export for SqliteFrozen {
    async fn source(&self) -> Result<Source> {
        let connection = Arc::clone(&self.connection);
        run("reading", move || export::source(&connection.lock())).await
    }

    async fn count(&self, table: Table) -> Result<u64> {
        let connection = Arc::clone(&self.connection);
        run("counting", move || export::count(&connection.lock(), table)).await
    }

    async fn page(&self, table: Table, after: Option<&Place>, limit: u32) -> Result<Page> {
        let (connection, after) = (Arc::clone(&self.connection), after.cloned());
        run("reading", move || export::page(&connection.lock(), table, after.as_ref(), limit)).await
    }
}
