-- Granary's metadata in Postgres, schema 2; serves binaries from schema 1 on: what is new is used by nodes only, and
-- binaries of schema 1 refuse a database with drives of several nodes.

-- Which store this database belongs to; one row.
CREATE TABLE IF NOT EXISTS store (
    one      SMALLINT PRIMARY KEY,
    store_id BYTEA    NOT NULL
);

CREATE TABLE IF NOT EXISTS nodes (
    id             BYTEA    PRIMARY KEY,
    address        TEXT     NOT NULL,  -- where other nodes reach it
    zone           TEXT     NOT NULL,
    version        TEXT     NOT NULL,  -- of the binary
    schema_version BIGINT   NOT NULL,  -- the newest schema the binary knows
    state          SMALLINT NOT NULL,  -- 0 active, 1 removed
    beats          BIGINT   NOT NULL,  -- goes up while the node lives; no clocks are compared
    oldest_read_ms BIGINT   NOT NULL   -- the age of its oldest running read at the last beat
);

-- Background work is done by whoever holds its lease.
CREATE TABLE IF NOT EXISTS leases (
    name   BYTEA  PRIMARY KEY,
    holder BYTEA  NOT NULL,
    epoch  BIGINT NOT NULL,  -- goes up with each new holder
    beats  BIGINT NOT NULL   -- goes up while it is held
);

-- Null: of a store on one machine.
ALTER TABLE drives ADD COLUMN IF NOT EXISTS node_id BYTEA;
ALTER TABLE volumes ADD COLUMN IF NOT EXISTS owner_id BYTEA;
CREATE INDEX IF NOT EXISTS volumes_by_state ON volumes (state, id);
