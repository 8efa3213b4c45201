//! Opening the database file: settings, and the migrations.
//!
//! Connections use SQLite's `unix-excl` VFS. It keeps the index of the write-ahead log on the heap, shared by the
//! connections of this process, instead of in a memory-mapped `-shm` file: a file that someone truncates then costs
//! an error that is handled, not a `SIGBUS` that kills the process. For the same reason the database is never
//! memory-mapped (`mmap_size` stays 0); the page cache is bounded instead. The VFS also locks the file against any
//! other process for as long as it is open.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::failure::Failure;
use crate::error::MetadataError;

/// The migrations in order; the version of one is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../../migrations/sqlite/0001_init.sql"),
    include_str!("../../../../migrations/sqlite/0002_side_tables.sql"),
    include_str!("../../../../migrations/sqlite/0003_identities.sql"),
    include_str!("../../../../migrations/sqlite/0004_object_acls.sql"),
    include_str!("../../../../migrations/sqlite/0005_usage_and_events.sql"),
    include_str!("../../../../migrations/sqlite/0006_tiers.sql"),
    include_str!("../../../../migrations/sqlite/0007_warm_copies.sql"),
];

/// SQLite's VFS without shared memory files.
const VFS: &str = "unix-excl";

/// The statements a connection keeps prepared.
const STATEMENTS_CACHED: usize = 128;

/// How much memory the page caches of all connections of one database take together.
const PAGE_CACHE_KIB: u32 = 64 * 1024;

/// The write-ahead log is copied into the database when it has this many pages. Measured: 16,000 pages give little
/// more throughput than 1,000 and stall a commit for 120 ms instead of 15.
const CHECKPOINT_PAGES: u32 = 2_000;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The one connection that writes.
    Write,
    /// One of this many connections that read.
    Read { readers: u32 },
    /// A short-lived connection for checks and copies; it never writes.
    Inspect,
    /// The target of a copy, which is flushed by its maker.
    Copy,
}

/// Opens the file; creates it only for [`Purpose::Write`].
pub(super) fn open(path: &Path, purpose: Purpose) -> Result<Connection, rusqlite::Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if matches!(purpose, Purpose::Write | Purpose::Copy) {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    let cache_kib = match purpose {
        Purpose::Write => PAGE_CACHE_KIB / 2,
        Purpose::Read { readers } => PAGE_CACHE_KIB / 2 / readers.max(1),
        Purpose::Inspect | Purpose::Copy => 2 * 1024,
    };
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    match purpose {
        Purpose::Write => {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        }
        Purpose::Copy => {
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "journal_mode", "OFF")?;
        }
        Purpose::Read { .. } | Purpose::Inspect => connection.pragma_update(None, "query_only", true)?,
    }
    Ok(connection)
}

/// Brings the schema up to date under the file's write lock. Returns whether the file was new.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY) STRICT")?;
    let found: u32 =
        transaction
            .query_row("SELECT coalesce(max(version), 0) FROM schema_migrations", [], |row| row.get(0))?;
    let supported = supported_schema();
    if found > supported {
        return Err(Failure::Refused(MetadataError::SchemaTooNew { found, supported }));
    }
    for (version, sql) in (1_u32..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.execute_batch(sql)?;
        transaction.execute("INSERT INTO schema_migrations (version) VALUES (?1)", [version])?;
    }
    transaction.commit()?;
    Ok(())
}

/// The newest schema this binary serves.
pub(super) fn supported_schema() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// How far a database has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The store the file belongs to.
    pub(super) store: [u8; 16],
    /// Raised with each rebuild.
    pub(super) generation: u64,
    /// The last batch applied.
    pub(super) seq: u64,
    /// The hash of the log up to that batch.
    pub(super) chain: [u8; 32],
}

/// The position stored in the file, if it was ever initialised.
pub(super) fn position(connection: &Connection) -> Result<Option<Position>, Failure> {
    let found = connection
        .query_row("SELECT store_id, generation, applied_seq, chain FROM state WHERE one = 1", [], |row| {
            Ok(Position {
                store: row.get(0)?,
                generation: row.get::<_, i64>(1)?.cast_unsigned(),
                seq: row.get::<_, i64>(2)?.cast_unsigned(),
                chain: row.get(3)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Stores the position; part of the caller's transaction.
pub(super) fn set_position(connection: &Connection, position: &Position) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "INSERT INTO state (one, store_id, generation, applied_seq, chain) VALUES (1, ?1, ?2, ?3, ?4) \
             ON CONFLICT (one) DO UPDATE SET store_id = excluded.store_id, generation = excluded.generation, \
             applied_seq = excluded.applied_seq, chain = excluded.chain",
        )?
        .execute((
            position.store,
            position.generation.cast_signed(),
            position.seq.cast_signed(),
            position.chain,
        ))?;
    Ok(())
}
