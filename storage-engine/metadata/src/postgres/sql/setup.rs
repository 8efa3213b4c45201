//! Sessions and the schema's version.

/// What tells whether this server may be written to and keeps what it acknowledges. A setting that the server does not
/// know is null.
pub(in crate::postgres) const PROBE: &str = "SELECT pg_is_in_recovery(), \
     current_setting('transaction_read_only'), current_setting('synchronous_commit', true), \
     current_setting('fsync', true)";

/// Waits for the flush, and for the synchronous standbys if there are any.
pub(in crate::postgres) const SET_SYNCHRONOUS: &str = "SET synchronous_commit = 'on'";

/// $1 … are milliseconds; set as text because SET takes no parameters.
pub(in crate::postgres) const SET_LIMITS: &str = "SELECT set_config('statement_timeout', $1, false), \
     set_config('lock_timeout', $2, false), \
     set_config('idle_in_transaction_session_timeout', $3, false)";

/// Every statement looks rows up by a key or walks a key's order. A plan that was made while a table was empty reads the
/// whole table and may stay cached when it has a million rows, so such plans are ruled out. With them goes the
/// compiler, which the high costs of what is ruled out would call. With one way left to run each statement, planning it
/// anew for each set of arguments, which took a quarter of the server's time, finds nothing. Settings that a server does
/// not have are left out.
pub(in crate::postgres) const SET_PLANS: &str = "SELECT set_config(name, \
     CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan' ELSE 'off' END, false) FROM pg_settings \
     WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_bitmapscan', 'jit', \
     'plan_cache_mode')";

/// The row every migration locks, and the version it made.
pub(in crate::postgres) const CREATE_SCHEMA_TABLE: &str = "CREATE TABLE IF NOT EXISTS granary_schema ( \
     one SMALLINT PRIMARY KEY, version BIGINT NOT NULL, oldest_binary BIGINT NOT NULL)";

pub(in crate::postgres) const SCHEMA_TABLE_EXISTS: &str = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'granary_schema' \
     AND table_schema = current_schema()";

pub(in crate::postgres) const FIRST_SCHEMA_ROW: &str =
    "INSERT INTO granary_schema (one, version, oldest_binary) VALUES (1, 0, 0) ON CONFLICT (one) DO NOTHING";

pub(in crate::postgres) const LOCK_SCHEMA: &str =
    "SELECT version, oldest_binary FROM granary_schema WHERE one = 1 FOR UPDATE";

pub(in crate::postgres) const READ_SCHEMA: &str =
    "SELECT version, oldest_binary FROM granary_schema WHERE one = 1";

pub(in crate::postgres) const SET_SCHEMA: &str =
    "UPDATE granary_schema SET version = $1, oldest_binary = $2 WHERE one = 1";

/// The migrations in order; the version of one is its place, from 1. Beside each: the oldest binary it serves.
pub(in crate::postgres) const MIGRATIONS: &[(&str, u32)] = &[
    (include_str!("../../../../../migrations/postgres/0001_init.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0002_nodes.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0003_side_tables.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0004_drains.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0005_identities.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0006_object_acls.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0007_usage_and_events.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0008_tiers.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0009_warm_copies.sql"), 1),
    (include_str!("../../../../../migrations/postgres/0010_fail_overs.sql"), 1),
];
