-- Rollups. A subject is a link's id, or -1 for all links together; a day counts from 1970-01-01 in UTC.
-- Every row belongs to one source and carries the watermark up to which it has counted of it.

-- One day of a subject: a blob for each part, so that a question reads only the one it needs; the ones that may be large
-- stand last, so that reading the others does not walk over them. The encoding is in analytics/src/rollups/row.rs.
CREATE TABLE days (
    subject   INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    watermark INTEGER NOT NULL,
    clicks    BLOB    NOT NULL,
    visitors  BLOB    NOT NULL,
    continent BLOB    NOT NULL,
    device    BLOB    NOT NULL,
    os        BLOB    NOT NULL,
    browser   BLOB    NOT NULL,
    country   BLOB    NOT NULL,
    region    BLOB    NOT NULL,
    referer   BLOB    NOT NULL,
    city      BLOB    NOT NULL,
    link      BLOB    NOT NULL,
    PRIMARY KEY (subject, day, source)
) STRICT, WITHOUT ROWID;

-- All that was ever counted of a subject; last_ms: the last click of a person, in Unix milliseconds.
CREATE TABLE totals (
    subject   INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    watermark INTEGER NOT NULL,
    clicks    INTEGER NOT NULL,
    bots      INTEGER NOT NULL,
    last_ms   INTEGER,
    PRIMARY KEY (subject, source)
) STRICT, WITHOUT ROWID;

-- The highest sequence number folded of each source.
CREATE TABLE progress (
    source    TEXT    NOT NULL PRIMARY KEY,
    watermark INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The highest offset folded of each click log. A log's id is 64 random bits, here as a signed number.
CREATE TABLE progress_logs (
    source TEXT    NOT NULL,
    log    INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    PRIMARY KEY (source, log)
) STRICT, WITHOUT ROWID;
