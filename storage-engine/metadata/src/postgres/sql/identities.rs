//! Identities.

pub(in crate::postgres) const COUNT_CHANGE: &str =
    "UPDATE identity_state SET generation = generation + 1 WHERE one = 1 AND generation = $1";

pub(in crate::postgres) const PUT: &str = "INSERT INTO identities (name, row_hash, record) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET row_hash = excluded.row_hash, record = excluded.record";

pub(in crate::postgres) const DELETE: &str = "DELETE FROM identities WHERE name = $1";

pub(in crate::postgres) const LIST: &str =
    "SELECT name, row_hash, record FROM identities WHERE name > $1 ORDER BY name LIMIT $2";

pub(in crate::postgres) const GENERATION: &str = "SELECT generation FROM identity_state WHERE one = 1";

pub(in crate::postgres) const COUNT: &str = "SELECT count(*) FROM identities";
