-- The link store: links, claims, API keys.

CREATE TABLE links (
    id              INTEGER PRIMARY KEY,
    domain          TEXT    NOT NULL,
    -- A code belongs to its id, so a link is found by its code through the primary key; only aliases need an index.
    key             TEXT    NOT NULL,
    is_alias        INTEGER NOT NULL,
    url             TEXT    NOT NULL,
    external_id     TEXT,
    expires_at_ms   INTEGER,
    expired_url     TEXT,
    title           TEXT,
    comments        TEXT,
    archived        INTEGER NOT NULL,
    redirect_status INTEGER NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    updated_at_ms   INTEGER NOT NULL,
    revision        INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX links_by_alias ON links (domain, key) WHERE is_alias;
CREATE UNIQUE INDEX links_by_external_id ON links (external_id) WHERE external_id IS NOT NULL;
-- Holds `archived`, so that counting and leaving out need not visit the table.
CREATE INDEX links_by_age ON links (created_at_ms, id, archived);

-- One row makes one owner the only user of one block.
CREATE TABLE claims (
    block        INTEGER PRIMARY KEY,
    -- NULL once handed back: free again from first_unused on, if that is short of the block's end.
    owner        BLOB,
    first_unused INTEGER NOT NULL
) STRICT;

-- One row at most: the id space whose codes these links have.
CREATE TABLE id_space (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    fingerprint BLOB NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id            BLOB PRIMARY KEY,
    digest        BLOB NOT NULL UNIQUE,
    name          TEXT NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    key        BLOB PRIMARY KEY,
    request    BLOB NOT NULL,
    link_id    INTEGER NOT NULL,
    made_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (made_at_ms);
