-- Data format 1. What each table is for, and why it looks as it does: docs/store.md.
--
-- Origins and scopes are written as small local numbers, which mean nothing outside this file.
-- Clock values (hlc, touched, clock) are 48 bits of Unix milliseconds above 16 bits of counter.

-- Who this node is. Keys: node, origin (the present incarnation), lineage (all incarnations, JSON), created_ms.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- Every origin that was ever heard of. (origin, seq) of all rows is the frontier.
-- The node's clock is the highest `clock`: it rides in a row that a commit writes anyway.
CREATE TABLE origins (
    number INTEGER PRIMARY KEY,
    origin TEXT NOT NULL UNIQUE,
    seq    INTEGER NOT NULL,   -- highest batch in the log; 0 for none
    head   BLOB NOT NULL,      -- its hash
    clock  INTEGER NOT NULL    -- the node's clock when this row was last written
) STRICT;

-- All batches of all origins, append-only. position = origin's number << 40 | seq: an origin's
-- batches lie together, in sequence, without a second tree.
CREATE TABLE log (
    position   INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL,
    first_hlc  INTEGER NOT NULL,
    last_hlc   INTEGER NOT NULL,
    arrived_ms INTEGER NOT NULL,
    body       BLOB NOT NULL
) STRICT;

-- A tenant's collection.
CREATE TABLE scopes (
    number     INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    UNIQUE (tenant, collection)
) STRICT;

-- The present state of every record, deleted ones included. Small columns first, so that digests
-- and lists do not read along the fields of large records.
CREATE TABLE records (
    number   INTEGER PRIMARY KEY,   -- in order of arrival
    scope    INTEGER NOT NULL,
    id       TEXT NOT NULL,
    parent   TEXT NOT NULL,         -- "" for none
    life     INTEGER NOT NULL,      -- odd alive, even deleted
    touched  INTEGER NOT NULL,      -- clock value of the latest change
    actor    TEXT NOT NULL,         -- who made it
    latest   INTEGER NOT NULL,      -- number of its newest row in history; 0 for none
    print    BLOB NOT NULL,         -- fingerprint, 16 bytes
    checksum INTEGER NOT NULL,      -- CRC-32 over the key and all other columns but number and latest
    stamps   BLOB NOT NULL,         -- MessagePack; see rows.py
    fields   TEXT NOT NULL          -- JSON object {group: value}
) STRICT;
CREATE UNIQUE INDEX records_by_key ON records (scope, id);
CREATE INDEX records_by_parent ON records (scope, parent, id, life);

-- Where each record was written: one chain per record, from its newest row to its oldest, in order of arrival. Rows are
-- only ever appended, so history costs a commit no page of its own, however the records are spread.
CREATE TABLE history (
    number   INTEGER PRIMARY KEY,
    previous INTEGER NOT NULL,      -- number of the same record's row before this one; 0 for none
    hlc      INTEGER NOT NULL,
    origin   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    position INTEGER NOT NULL,      -- of the change in its batch
    bound    INTEGER NOT NULL       -- no row up to this one has a higher hlc
) STRICT;

-- Requests that had their effect, so that a retry has none.
CREATE TABLE answers (
    key_hash  BLOB PRIMARY KEY,
    body_hash BLOB NOT NULL,
    origin    INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    position  INTEGER NOT NULL,     -- of the transaction in its batch
    at_ms     INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX answers_by_time ON answers (at_ms);

-- Who claims what. `reach` is the length class of the interval (claims.py): with it, the claims
-- that overlap a time are a few short index ranges, however many claims a resource has.
CREATE TABLE claims (
    number   INTEGER PRIMARY KEY,
    scope    INTEGER NOT NULL,      -- with id: the record that claims
    id       TEXT NOT NULL,
    part     TEXT NOT NULL,
    tenant   TEXT NOT NULL,         -- with resource: what it claims
    resource TEXT NOT NULL,
    reach    INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    hlc      INTEGER NOT NULL,
    origin   INTEGER NOT NULL,
    state    TEXT NOT NULL,
    against  TEXT NOT NULL,         -- JSON [[tenant, collection, id, part], …]
    expires_ms INTEGER NOT NULL,    -- 0 for never
    checksum INTEGER NOT NULL       -- CRC-32 over all other columns but number and reach
) STRICT;
CREATE UNIQUE INDEX claims_by_owner ON claims (scope, id, part);
CREATE INDEX claims_by_time ON claims (tenant, resource, reach, start_ms);

-- Adjoining key ranges with the digest of their records. A range ends where the next one begins.
CREATE TABLE segments (
    number     INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,       -- the lowest key
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    live       INTEGER NOT NULL,
    live_sum   BLOB NOT NULL,       -- 16 bytes, big-endian
    dead       INTEGER NOT NULL,
    dead_sum   BLOB NOT NULL
) STRICT;
