-- Accounts, users, groups, roles and policies: each a document under a name that tells its kind. Serves binaries from
-- schema 1 on, which know the root user only.
CREATE TABLE IF NOT EXISTS identities (
    name     BYTEA PRIMARY KEY,
    row_hash BYTEA NOT NULL,
    record   BYTEA NOT NULL
);

-- Counts the changes of identities. A change names the count it was made from, so that each is made from all before it.
CREATE TABLE IF NOT EXISTS identity_state (
    one        SMALLINT PRIMARY KEY,
    generation BIGINT NOT NULL
);
INSERT INTO identity_state (one, generation) VALUES (1, 0) ON CONFLICT (one) DO NOTHING;
