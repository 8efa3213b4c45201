//! Fail-overs, and what they lost.

/// The timeline is the first eight hex digits. Databases other than Postgres do not know these functions.
pub(in crate::postgres) const TIMELINE: &str = "SELECT pg_walfile_name(pg_current_wal_lsn())";

pub(in crate::postgres) const LAST_BATCH: &str = "SELECT last_batch, read_backs FROM writers WHERE id = $1";

pub(in crate::postgres) const ENDS: &str = "SELECT id, committed_end FROM volumes WHERE id = ANY($1)";

pub(in crate::postgres) const TAILS: &str =
    "SELECT volume_id, node_id, known_end, answered_end, row_hash, record FROM lost_tails ORDER BY volume_id";

pub(in crate::postgres) const PUT_TAIL: &str = "INSERT INTO lost_tails \
     (volume_id, node_id, known_end, answered_end, row_hash, record) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (volume_id) DO UPDATE SET known_end = LEAST(lost_tails.known_end, excluded.known_end), \
     answered_end = GREATEST(lost_tails.answered_end, excluded.answered_end)";

/// A volume that was sealed where the database thought its end to be ends where it was answered to.
pub(in crate::postgres) const RAISE_END: &str = "UPDATE volumes SET \
     stored_bytes = CASE WHEN committed_end < $2 THEN stored_bytes + $3 ELSE stored_bytes END, \
     committed_end = GREATEST(committed_end, $2) \
     WHERE id = $1 AND state < 2 AND EXISTS (SELECT 1 FROM lost_tails t WHERE t.volume_id = $1)";

pub(in crate::postgres) const FINISH_TAIL: &str =
    "DELETE FROM lost_tails WHERE volume_id = $1 AND answered_end = $2";

pub(in crate::postgres) const SETTLED: &str = "SELECT settled FROM fail_overs WHERE one = 1";

pub(in crate::postgres) const SETTLE: &str = "INSERT INTO fail_overs (one, settled) VALUES (1, $1) \
     ON CONFLICT (one) DO UPDATE SET settled = excluded.settled WHERE fail_overs.settled < excluded.settled";

pub(in crate::postgres) const TELL: &str = "INSERT INTO node_histories (node_id, timeline, step, has_lost) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (node_id) DO UPDATE SET timeline = excluded.timeline, \
     step = excluded.step, has_lost = excluded.has_lost";

pub(in crate::postgres) const TOLD: &str =
    "SELECT node_id, timeline, step, has_lost FROM node_histories ORDER BY node_id";

pub(in crate::postgres) const REPORT: &str = "INSERT INTO losses (id, found_ms, row_hash, record) \
     SELECT u.id, u.found_ms, u.row_hash, u.record \
     FROM UNNEST($1::bytea[], $2::int8[], $3::bytea[], $4::bytea[]) AS u (id, found_ms, row_hash, record) \
     ON CONFLICT (id) DO NOTHING";

pub(in crate::postgres) const LOSSES: &str =
    "SELECT id, row_hash, record FROM losses WHERE id > $1 ORDER BY id LIMIT $2";

pub(in crate::postgres) const COUNT_LOSSES: &str = "SELECT count(*) FROM losses";

pub(in crate::postgres) const DISMISS_LOSSES: &str = "DELETE FROM losses";
