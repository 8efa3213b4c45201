//! The metadata of clusters: one Postgres, or a database that speaks its language, behind any number of nodes.
//!
//! **Writes.** A node's *writer* task takes all changes that wait and commits them in one transaction (`writer`). The
//! transaction is `READ COMMITTED` and locks what it decides on: it locks the batch's buckets, volumes, keys, uploads and
//! blobs, in one order for everyone, reads them, applies the writes in their order to what it read, and stores what
//! changed with one `UNNEST` statement for each kind of change (`batch`). Each statement sees what was committed before
//! it began, so what is read after a lock is what the lock's last holder left; under a stricter isolation the same
//! statements are right too and fail with 40001 more often. Conditions are therefore decided under the database's own row
//! locks, which last as long as the batch's transaction and never from one request to another. A key that does not exist
//! cannot be locked: two nodes that make it at once meet at `INSERT … ON CONFLICT DO NOTHING`, the later one gets a row less
//! than it gave, rolls back, and begins anew, now seeing the key. 40001, 40P01 and lock timeouts are tried again too, with
//! growing, jittered pauses, until [`PostgresOptions::patience`] ends. Writes of one key that wait together stay in one batch
//! and are applied one after the other.
//!
//! **Unknown outcomes.** Each transaction stores its number in the node's row of `writers`. When a connection dies in
//! COMMIT, that row is *updated* on a new connection, which waits until the old transaction has ended, shows whether it was
//! committed, and, being itself committed synchronously, shows it for good. Only then is the batch answered or tried again;
//! what cannot be found out is [`crate::MetadataError::OutcomeUnknown`], never a failed precondition. A batch that is one statement
//! commits itself, whoever has gone: it locks the same row before it stores anything, and stores nothing once the row was read
//! back, as each time is counted there (`batch::foreseen`).
//!
//! **Reads.** *Reader* tasks answer all point reads that wait with one query of each kind; listings walk the primary key
//! in chunks. All connections belong to tasks, never to requests, so a caller that hangs up cannot leave a transaction half
//! done (launchbadge/sqlx#4393), and their number is fixed: the readers, the writer, upkeep, and one for a recount.
//!
//! **Accounting.** What lives in a volume is its row plus the deltas that batches insert; upkeep folds them.
//!
//! **Fail-over.** Every connection looks for the host that can be written to, beginning with the last one that was. A server
//! that went away, became read-only or says nothing is left, and what waited is asked again elsewhere. Sessions insist on
//! `synchronous_commit = on` (or `remote_apply`); a server with `fsync = off` is refused. An old primary that was not fenced can
//! still answer nodes that only it can reach: fencing it is the duty of what promotes the new one. A node that has met the
//! new one speaks to the old one no more (`history`). A standby that had not received all has lost commits: the writer finds
//! out which when it connects (`marks`), and the engine commits them again or reports them ([`crate::FailOvers`]).
//!
//! **Portability.** `sql` holds every statement; they keep to what Citus, YugabyteDB and CockroachDB run too.

mod batch;
mod connect;
mod events;
mod fail_overs;
mod failure;
mod history;
mod hosts;
mod identities;
mod marks;
mod membership;
mod moving;
mod ops;
mod options;
mod read;
mod reader;
mod recount;
mod rows;
mod schema;
mod sql;
mod store;
mod upkeep;
mod usage;
mod writer;

pub use moving::{Consistency, PostgresCopy};
pub use options::{Durability, Migration, PostgresOptions};
pub use schema::{SchemaVersion, migrate, newest_schema};
pub use store::PostgresStore;
