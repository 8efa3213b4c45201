//! Every statement, in one folder, so that a test can check that they keep to the portable subset.
//!
//! What is not used, because one of Postgres, Citus, YugabyteDB and CockroachDB lacks it or is slow at it: triggers,
//! advisory locks, sequences, foreign keys, recursive queries, `LISTEN` and `NOTIFY`, lateral joins, `MERGE`,
//! `SKIP LOCKED`. Arrays are unnested to make one statement of a batch.

pub(super) mod blobs;
pub(super) mod buckets;
pub(super) mod events;
pub(super) mod fail_overs;
pub(super) mod foreseen;
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

/// The end of a batch, in one statement: how far volumes have come, what was added to them and to buckets, and the mark.
/// $1 and $2 name the batch; then come volumes with their ends and stored bytes, volumes with what lives in them from
/// now on, and buckets with what they hold from now on.
pub(super) const FINISH_BATCH: &str = "WITH advanced AS ( \
     UPDATE volumes o SET committed_end = u.committed_end, stored_bytes = u.stored_bytes \
     FROM UNNEST($3::bytea[], $4::int8[], $5::int8[]) AS u (id, committed_end, stored_bytes) WHERE o.id = u.id), \
     lived AS (INSERT INTO volume_deltas (volume_id, writer_id, batch, live_bytes, live_items) \
     SELECT u.volume_id, $1, $2, u.live_bytes, u.live_items \
     FROM UNNEST($6::bytea[], $7::int8[], $8::int8[]) AS u (volume_id, live_bytes, live_items)), \
     used AS (INSERT INTO bucket_deltas (bucket_id, writer_id, batch, bytes, objects) \
     SELECT u.bucket_id, $1, $2, u.bytes, u.objects \
     FROM UNNEST($9::bytea[], $10::int8[], $11::int8[]) AS u (bucket_id, bytes, objects)) \
     INSERT INTO writers (id, last_batch, read_backs, seen) VALUES ($1, $2, 0, now()) \
     ON CONFLICT (id) DO UPDATE SET last_batch = excluded.last_batch, seen = excluded.seen";

/// The last batch that was committed. It waits for the row's lock, so a transaction that is still being committed on a
/// dying connection has ended when this answers; and as it is a write, its own synchronous commit tells that what
/// it saw is durable too. Being counted, it keeps what has not begun to store from doing so later (`foreseen::STORE`).
pub(super) const READ_BACK: &str = "UPDATE writers SET read_backs = read_backs + 1, seen = now() WHERE id = $1 \
     RETURNING last_batch, read_backs";

/// Forgets the writers of lives that ended long ago.
pub(super) const FORGET_WRITERS: &str = "DELETE FROM writers WHERE seen < now() - INTERVAL '7 days'";

#[cfg(test)]
#[path = "portable_tests.rs"]
mod tests;
