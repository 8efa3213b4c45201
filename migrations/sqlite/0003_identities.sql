-- Accounts, users, groups, roles and policies: each a document under a name that tells its kind.
CREATE TABLE identities (
    name     BLOB PRIMARY KEY,
    row_hash BLOB NOT NULL,
    record   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts the changes of identities. A change names the count it was made from, so that each is made from all before it.
CREATE TABLE identity_state (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO identity_state (one, generation) VALUES (1, 0);
