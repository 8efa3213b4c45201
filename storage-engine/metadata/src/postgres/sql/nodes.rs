//! Nodes, leases, and who owns what.

pub(in crate::postgres) const STORE: &str = "SELECT store_id FROM store WHERE one = 1";

pub(in crate::postgres) const FOUND: &str =
    "INSERT INTO store (one, store_id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";

/// A node that was removed stays removed.
pub(in crate::postgres) const JOIN: &str = "INSERT INTO nodes \
     (id, address, zone, version, schema_version, state, beats, oldest_read_ms) \
     VALUES ($1, $2, $3, $4, $5, 0, 1, 0) \
     ON CONFLICT (id) DO UPDATE SET address = excluded.address, zone = excluded.zone, version = excluded.version, \
     schema_version = excluded.schema_version, beats = nodes.beats + 1 WHERE nodes.state = 0";

/// $2 is what the counter was when the node was last answered.
pub(in crate::postgres) const BEAT: &str = "UPDATE nodes SET \
     beats = CASE WHEN beats <= $2 THEN $2 + 1 ELSE beats END, \
     oldest_read_ms = CASE WHEN beats <= $2 + 1 THEN $3 ELSE oldest_read_ms END \
     WHERE id = $1 AND state = 0 RETURNING beats";

pub(in crate::postgres) const NODES: &str = "SELECT id, address, zone, version, schema_version, state, beats, \
     oldest_read_ms FROM nodes ORDER BY id";

pub(in crate::postgres) const DRIVES: &str =
    "SELECT id, row_hash, record, class, node_id FROM drives ORDER BY node_id, slot, id";

pub(in crate::postgres) const REMOVE: &str = "UPDATE nodes SET state = 1 WHERE id = $1";

pub(in crate::postgres) const PUT_DRAIN: &str = "INSERT INTO drains (drive_id, target_id, began_ms, shards, bytes) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (drive_id) DO UPDATE SET target_id = excluded.target_id, \
     began_ms = excluded.began_ms, shards = excluded.shards, bytes = excluded.bytes";

pub(in crate::postgres) const END_DRAIN: &str = "DELETE FROM drains WHERE drive_id = $1";

pub(in crate::postgres) const DRAINS: &str =
    "SELECT drive_id, target_id, began_ms, shards, bytes FROM drains ORDER BY drive_id";

pub(in crate::postgres) const OPEN_VOLUMES: &str =
    "SELECT id, owner_id FROM volumes WHERE state = 0 ORDER BY state, id";

pub(in crate::postgres) const LEASE: &str = "SELECT holder, epoch, beats FROM leases WHERE name = $1";

/// The epoch is drawn: the row of a lease that was let go is gone, and who held it must not fit the next.
pub(in crate::postgres) const FIRST_LEASE: &str = "INSERT INTO leases (name, holder, epoch, beats) \
     VALUES ($1, $2, $3, 0) ON CONFLICT (name) DO NOTHING";

pub(in crate::postgres) const TAKE_LEASE: &str = "UPDATE leases SET holder = $2, epoch = epoch + 1, beats = 0 \
     WHERE name = $1 AND holder = $3 AND epoch = $4 AND beats = $5";

pub(in crate::postgres) const RENEW_LEASE: &str =
    "UPDATE leases SET beats = beats + 1 WHERE name = $1 AND holder = $2 AND epoch = $3";

pub(in crate::postgres) const RELEASE_LEASE: &str =
    "DELETE FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3";
