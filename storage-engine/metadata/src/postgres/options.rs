//! How the store is opened.

use std::time::Duration;

use granary_types::NodeId;

use super::hosts::Hosts;
use crate::error::Result;

/// Whether the database must keep what it acknowledges over a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Opening is refused if the server runs with `fsync = off`.
    Required,
    /// Anything goes; for throwaway test servers.
    Relaxed,
}

/// Whether opening may change the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// An older schema is brought up to this binary's.
    Apply,
    /// An older schema is refused; an operator migrates it.
    Refuse,
}

/// The options of [`super::PostgresStore::open`]. Cloning them does not copy the password into anything that is shown:
/// their debug text has only host names.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub(super) hosts: Hosts,
    /// The node whose volumes and drives this process stores; `None` for a store on one machine.
    pub node: Option<NodeId>,
    /// Connections for reads; two more are used for writes and upkeep, and a few for a moment.
    pub readers: u32,
    /// Whether the server must keep what it acknowledges.
    pub durability: Durability,
    /// Whether opening may change the schema.
    pub migration: Migration,
    /// How long connecting to one host may take.
    pub connect_timeout: Duration,
    /// How long one statement may take, at the server and here.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// After how long without a statement the server gives up a transaction of ours. A node that stopped in the
    /// middle of a batch keeps its locks for so long.
    pub idle_transaction_timeout: Duration,
    /// How long a request is tried again while the database is not there, before it is refused.
    pub patience: Duration,
}

impl PostgresOptions {
    /// Options with the usual limits. `url` is `postgres://user:password@host1:5432,host2:5433/database?…` with the
    /// parameters libpq knows (`sslmode`, `sslrootcert`, `host` for a socket directory, `application_name`). With several
    /// hosts, the one that can be written to is used, and looked for again whenever the connection is lost.
    /// `target_session_attrs` may be given and must be `read-write` or `primary`.
    ///
    /// # Errors
    /// [`crate::MetadataError::Unavailable`] if the URL is not valid; the text does not quote it.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self {
            hosts: Hosts::parse(url)?,
            node: None,
            readers: 4,
            durability: Durability::Required,
            migration: Migration::Apply,
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(6),
            idle_transaction_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(15),
        })
    }
}
