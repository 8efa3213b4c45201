//! The schema's version, and the migrations.
//!
//! The row of `granary_schema` names the schema's version and the oldest binary that it still serves. Migrations expand
//! first and contract a release later, so a node that is one release behind goes on while another has migrated. A
//! migration runs in a transaction that holds that row's lock: when a migrating node dies, the database lets go of it.

use std::time::Duration;

use sqlx::Row;

use super::connect::{Locator, Session};
use super::failure::Failure;
use super::options::{Migration, PostgresOptions};
use super::sql::rehearsal::migrations;
use super::sql::{self, setup};
use crate::error::{MetadataError, Result};
use crate::sqlite::failure::unavailable;

/// How long a node waits for another one that migrates.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(600);

/// How often making the first table is tried: two nodes that do it at once may disturb each other.
const FIRST_TABLE_TRIES: u32 = 20;

/// The newest schema this binary knows.
#[must_use]
pub fn newest_schema() -> u32 {
    u32::try_from(migrations().len()).unwrap_or(u32::MAX)
}

/// The schema of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Which it is; 0 before the first migration.
    pub version: u32,
    /// The oldest binary, by the newest schema it knows, that may use it.
    pub oldest_binary: u32,
}

impl SchemaVersion {
    fn serves(self, binary: u32) -> Result<()> {
        if self.version > binary && self.oldest_binary > binary {
            return Err(MetadataError::SchemaTooNew { found: self.version, supported: binary });
        }
        Ok(())
    }
}

/// Brings the schema up to this binary's, if it is older. Returns what it was and what it is.
///
/// # Errors
/// [`MetadataError::SchemaTooNew`] if it does not serve this binary any more; [`MetadataError::Unavailable`].
pub async fn migrate(options: &PostgresOptions) -> Result<(SchemaVersion, SchemaVersion)> {
    let locator = Locator::new(options.clone());
    // In a task of its own: dropping the caller must not leave half a statement on a connection.
    let work = tokio::spawn(async move {
        let deadline = std::time::Instant::now() + locator.options.patience;
        let mut session =
            locator.connect_by(deadline).await.map_err(|failure| failure.to_error("migrating"))?;
        migrate_with(&mut session).await
    });
    work.await.map_err(|_| unavailable("migrating", "the migration ended early"))?
}

/// Checks the schema when the store is opened, and migrates it if that is wanted.
pub(super) async fn open(session: &mut Session, migration: Migration) -> Result<()> {
    let found = read(session).await.map_err(|failure| failure.to_error("reading the schema's version"))?;
    found.serves(newest_schema())?;
    if found.version >= newest_schema() {
        return Ok(());
    }
    if migration == Migration::Refuse {
        let why = format!("schema {} is older than {}: migrate it first", found.version, newest_schema());
        return Err(unavailable("opening", why));
    }
    migrate_with(session).await.map(drop)
}

fn version(row: &sqlx::postgres::PgRow) -> Result<SchemaVersion, Failure> {
    let number = |value: i64| {
        u32::try_from(value).map_err(|_| Failure::Corrupt(format!("the schema's version is {value}")))
    };
    Ok(SchemaVersion { version: number(row.try_get(0)?)?, oldest_binary: number(row.try_get(1)?)? })
}

async fn read(session: &mut Session) -> Result<SchemaVersion, Failure> {
    let none = SchemaVersion { version: 0, oldest_binary: 0 };
    let tables = session.fetch(sqlx::query(setup::SCHEMA_TABLE_EXISTS)).await?;
    if tables.first().map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or_default() == 0 {
        return Ok(none);
    }
    let rows = session.fetch(sqlx::query(setup::READ_SCHEMA)).await?;
    rows.first().map_or(Ok(none), version)
}

async fn migrate_with(session: &mut Session) -> Result<(SchemaVersion, SchemaVersion)> {
    let no_limit = Duration::ZERO;
    let migrating = |failure: Failure| failure.to_error("migrating");
    session.set_limits(no_limit, MIGRATION_PATIENCE, no_limit).await.map_err(migrating)?;
    make_first_table(session).await.map_err(migrating)?;
    session.run(sql::BEGIN).await.map_err(|failure| migrating(failure.into()))?;
    let migrated = locked(session).await;
    let end = if migrated.is_ok() { sql::COMMIT } else { sql::ROLLBACK };
    session.run(end).await.map_err(|failure| migrating(failure.into()))?;
    migrated
}

async fn make_first_table(session: &mut Session) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let made = session.run(setup::CREATE_SCHEMA_TABLE).await;
        match made.map_err(Failure::from) {
            Ok(()) => break,
            Err(Failure::Refused(why)) if tries < FIRST_TABLE_TRIES => {
                tracing::info!(why, "another node makes the schema");
                tries = tries.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    session.execute(sqlx::query(setup::FIRST_SCHEMA_ROW)).await.map(drop)
}

/// Inside the transaction that holds the lock.
async fn locked(session: &mut Session) -> Result<(SchemaVersion, SchemaVersion)> {
    let migrating = |failure: Failure| failure.to_error("migrating");
    let rows = session.fetch(sqlx::query(setup::LOCK_SCHEMA)).await.map_err(migrating)?;
    let row = rows.first().ok_or_else(|| unavailable("migrating", "the schema's row is gone"))?;
    let found = version(row).map_err(migrating)?;
    found.serves(newest_schema())?;
    let mut now = found;
    for ((sql, oldest_binary), number) in migrations().into_iter().zip(1_u32..) {
        if number <= found.version {
            continue;
        }
        tracing::info!(schema = number, "migrating the metadata");
        session.run(sql).await.map_err(|failure| migrating(failure.into()))?;
        now = SchemaVersion { version: number, oldest_binary };
        let set = sqlx::query(setup::SET_SCHEMA).bind(i64::from(number)).bind(i64::from(oldest_binary));
        session.execute(set).await.map_err(migrating)?;
    }
    Ok((found, now))
}
