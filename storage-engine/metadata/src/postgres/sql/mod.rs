//! Every statement, in one folder, so that a test can check that they keep to the portable subset.
//!
//! What is not used, because one of Postgres, Citus, YugabyteDB and CockroachDB lacks it or is slow at it: triggers,
//! advisory locks, sequences, foreign keys, recursive queries, `LISTEN` and `NOTIFY`, lateral joins, `MERGE`,
//! `SKIP LOCKED`. Arrays are unnested to make one statement of a batch.

pub(super) mod blobs;
pub(super) mod buckets;
pub(super) mod events;
pub(super) mod identities;
pub(super) mod moving;
pub(super) mod nodes;
pub(super) mod objects;
pub(super) mod rehearsal;
pub(super) mod setup;
pub(super) mod side;
pub(super) mod uploads;
pub(super) mod usage;
pub(super) mod versions;
pub(super) mod volumes;
pub(super) mod warm;

/// The transaction of a batch. Each statement sees what was committed before it began, so what is read after a row
/// was locked is what the lock's last holder left.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// A transaction whose statements all see one state and which changes little.
pub(super) const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// Marks the batch as this writer's last, inside its transaction.
pub(super) const MARK_BATCH: &str = "INSERT INTO writers (id, last_batch, read_backs, seen) \
     VALUES ($1, $2, 0, now()) \
     ON CONFLICT (id) DO UPDATE SET last_batch = excluded.last_batch, seen = excluded.seen";

/// The last batch that was committed. It waits for the row's lock, so a transaction that is still being committed on a
/// dying connection has ended when this answers; and as it is a write, its own synchronous commit tells that what
/// it saw is durable too.
pub(super) const READ_BACK: &str =
    "UPDATE writers SET read_backs = read_backs + 1, seen = now() WHERE id = $1 RETURNING last_batch";

/// Forgets the writers of lives that ended long ago.
pub(super) const FORGET_WRITERS: &str = "DELETE FROM writers WHERE seen < now() - INTERVAL '7 days'";

#[cfg(test)]
#[path = "portable_tests.rs"]
mod tests;
