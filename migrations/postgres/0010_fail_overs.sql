-- What a fail-over of the database may have lost; serves binaries from schema 1 on: one that does not know of it frees what it
-- always did, and the others wait for it.

-- The timeline up to which all nodes have dealt with what was lost; one row.
CREATE TABLE IF NOT EXISTS fail_overs (
    one     SMALLINT PRIMARY KEY,
    settled BIGINT   NOT NULL
);

-- Ends of volumes with commits that the database has forgotten. A row stays until what they hold is committed again.
CREATE TABLE IF NOT EXISTS lost_tails (
    volume_id    BYTEA  PRIMARY KEY,
    node_id      BYTEA,            -- who deals with it unless it is dead; null: a store on one machine
    known_end    BIGINT NOT NULL,
    answered_end BIGINT NOT NULL,
    row_hash     BYTEA  NOT NULL,
    record       BYTEA  NOT NULL   -- the volume as it was opened
);

-- How far each node is with the last fail-over.
CREATE TABLE IF NOT EXISTS node_histories (
    node_id  BYTEA    PRIMARY KEY,
    timeline BIGINT   NOT NULL,
    step     SMALLINT NOT NULL,  -- 0 heard, 1 searched
    has_lost SMALLINT NOT NULL
);

-- What was answered to clients and could not be made true again, until an operator dismisses it.
CREATE TABLE IF NOT EXISTS losses (
    id       BYTEA  PRIMARY KEY,  -- a hash of what was lost, so that it is counted once
    found_ms BIGINT NOT NULL,
    row_hash BYTEA  NOT NULL,
    record   BYTEA  NOT NULL
);
