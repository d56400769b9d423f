-- The lease store: one row that says how far the id space is leased, the record of every lease, and the blocks that
-- came back. Ids themselves are safe by the claims in the link store; this database only keeps the waste low.

-- 'SEPl': tells this file from other SQLite files, Septet's own among them.
PRAGMA application_id = 0x5345506C;

-- One row, made together with the key when the store is opened for the first time.
CREATE TABLE id_space (
    only_row         INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- The secret under which ids become codes.
    key              BLOB    NOT NULL CHECK (length(key) = 32),
    -- Blocks below it have been leased at least once, blocks from it on never.
    high_water_block INTEGER NOT NULL CHECK (high_water_block BETWEEN 0 AND 859769190)
) STRICT;

-- Every lease there ever was. Times are Unix milliseconds.
CREATE TABLE leases (
    lease_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id     TEXT    NOT NULL UNIQUE,
    owner          TEXT    NOT NULL,
    first_block    INTEGER NOT NULL CHECK (first_block >= 0),
    blocks         INTEGER NOT NULL CHECK (blocks BETWEEN 1 AND 256),
    -- 1 when these blocks came back from earlier leases, 0 when they were new.
    leased_again   INTEGER NOT NULL CHECK (leased_again IN (0, 1)),
    ttl_ms         INTEGER NOT NULL CHECK (ttl_ms > 0),
    leased_at_ms   INTEGER NOT NULL,
    renewed_at_ms  INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    ended_at_ms    INTEGER,
    ended          TEXT CHECK (ended IN ('returned', 'expired')),
    blocks_used    INTEGER NOT NULL DEFAULT 0 CHECK (blocks_used >= 0),
    blocks_refused INTEGER NOT NULL DEFAULT 0 CHECK (blocks_refused >= 0),
    CHECK (blocks_used + blocks_refused <= blocks),
    CHECK ((ended IS NULL) = (ended_at_ms IS NULL))
) STRICT;

CREATE INDEX open_leases_by_expiry ON leases (expires_at_ms) WHERE ended IS NULL;

CREATE TRIGGER leases_are_never_deleted BEFORE DELETE ON leases
BEGIN
    SELECT RAISE(ABORT, 'a lease is never deleted: the record is how waste is found');
END;

-- Blocks that came back, in maximal runs of neighbours; leased again before new ones.
CREATE TABLE free_runs (
    first_block INTEGER PRIMARY KEY CHECK (first_block >= 0),
    blocks      INTEGER NOT NULL CHECK (blocks > 0)
) STRICT;
