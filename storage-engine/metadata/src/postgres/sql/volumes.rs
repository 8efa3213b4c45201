//! Volumes and drives.

/// What lives in a volume is its row and the deltas that are not folded yet, read in one statement.
macro_rules! volume {
    () => {
        "SELECT v.id, v.data_columns, v.parity_columns, v.drives, v.opened_ms, v.state, v.epoch, v.committed_end, \
         v.stored_bytes, v.freed_ms, \
         v.live_bytes + CAST(COALESCE((SELECT sum(d.live_bytes) FROM volume_deltas d WHERE d.volume_id = v.id), 0) \
         AS BIGINT), \
         v.live_items + CAST(COALESCE((SELECT sum(d.live_items) FROM volume_deltas d WHERE d.volume_id = v.id), 0) \
         AS BIGINT) FROM volumes v"
    };
}

/// Locks the volumes a batch advances or refers to. Only their owner, who seals them, and who frees them come here.
pub(in crate::postgres) const LOCK: &str = "SELECT id, state, epoch, committed_end, stored_bytes, data_columns FROM volumes \
     WHERE id = ANY($1) ORDER BY id FOR UPDATE";

pub(in crate::postgres) const INSERT_DELTAS: &str = "INSERT INTO volume_deltas \
     (volume_id, writer_id, batch, live_bytes, live_items) \
     SELECT u.volume_id, $1, $2, u.live_bytes, u.live_items \
     FROM UNNEST($3::bytea[], $4::int8[], $5::int8[]) AS u (volume_id, live_bytes, live_items)";

pub(in crate::postgres) const LOCK_ONE: &str = "SELECT id FROM volumes WHERE id = $1 FOR UPDATE";

pub(in crate::postgres) const READ: &str = concat!(volume!(), " WHERE v.id = ANY($1)");

pub(in crate::postgres) const LIST: &str = concat!(volume!(), " WHERE v.id > $1 ORDER BY v.id LIMIT $2");

pub(in crate::postgres) const OPEN: &str = "INSERT INTO volumes (id, data_columns, parity_columns, drives, \
     opened_ms, state, epoch, committed_end, stored_bytes, live_bytes, live_items, freed_ms, owner_id) \
     VALUES ($1, $2, $3, $4, $5, 0, $6, 0, 0, 0, 0, NULL, $7) ON CONFLICT (id) DO NOTHING";

pub(in crate::postgres) const SEAL: &str = "UPDATE volumes SET epoch = epoch + 1, state = 1 \
     WHERE id = $1 AND state < 2 RETURNING epoch, committed_end";

pub(in crate::postgres) const FREE: &str =
    "UPDATE volumes SET state = 2, freed_ms = $2 WHERE id = $1 AND state = 1";

pub(in crate::postgres) const FORGET: &str = "DELETE FROM volumes WHERE id = $1 AND state = 2";

pub(in crate::postgres) const SET_DRIVES: &str = "UPDATE volumes SET drives = $2 WHERE id = $1";

pub(in crate::postgres) const PUT_DRIVE: &str = "INSERT INTO drives (id, slot, row_hash, record, node_id, class) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (id) DO UPDATE SET slot = excluded.slot, row_hash = excluded.row_hash, record = excluded.record, \
     class = excluded.class, node_id = COALESCE(excluded.node_id, drives.node_id)";

pub(in crate::postgres) const LOCK_DRIVES: &str =
    "SELECT id, row_hash, record, class FROM drives WHERE id = ANY($1) ORDER BY id FOR UPDATE";

pub(in crate::postgres) const DRIVES: &str =
    "SELECT id, row_hash, record, class FROM drives ORDER BY slot, id";

/// Volumes with more deltas than are worth keeping.
pub(in crate::postgres) const TO_FOLD: &str = "SELECT volume_id FROM volume_deltas GROUP BY volume_id \
     HAVING count(*) > $1 ORDER BY volume_id LIMIT 64";

/// Takes a volume's deltas out; the volume's row is locked, so that nobody folds them twice.
pub(in crate::postgres) const TAKE_DELTAS: &str =
    "DELETE FROM volume_deltas WHERE volume_id = $1 RETURNING live_bytes, live_items";

pub(in crate::postgres) const FOLD: &str = "UPDATE volumes SET live_bytes = live_bytes + $2, \
     live_items = live_items + $3 WHERE id = $1";
