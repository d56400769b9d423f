-- The lease store: one row that says how far the id space is leased, the record of every lease, and the blocks that
-- came back. Ids themselves are safe by the claims in the link store; this database only keeps the waste low.
--
-- For MySQL 8 and MariaDB 10.11. Each statement may be run again: DDL is not transactional here, and a migration that was
-- interrupted is simply run once more.

-- One row, made together with the key by the first migration. Every transaction locks it first, so they follow one another.
CREATE TABLE IF NOT EXISTS id_space (
    only_row         BIGINT NOT NULL PRIMARY KEY,
    -- The secret under which ids become codes. With another one, the same ids would give other codes.
    secret_key       BINARY(32) NOT NULL,
    -- Blocks below it have been leased at least once, blocks from it on never.
    high_water_block BIGINT NOT NULL,
    next_lease_id    BIGINT NOT NULL,
    -- Running totals in blocks, so that what became of every block is known without reading every lease.
    handed_out       BIGINT NOT NULL,
    used             BIGINT NOT NULL,
    lost             BIGINT NOT NULL,
    in_use           BIGINT NOT NULL,
    returned         BIGINT NOT NULL,
    expired          BIGINT NOT NULL,
    free             BIGINT NOT NULL,
    open_leases      BIGINT NOT NULL,
    CONSTRAINT id_space_has_one_row CHECK (only_row = 1),
    CONSTRAINT id_space_has_an_end CHECK (high_water_block <= 859769190)
) ENGINE = InnoDB;

-- Every lease there ever was; none is ever deleted: the record is how waste is found. (A trigger that holds to that would need more
-- rights than a service should have, where MySQL writes a binary log.) Times are Unix milliseconds.
CREATE TABLE IF NOT EXISTS leases (
    lease_id         BIGINT NOT NULL PRIMARY KEY,
    request_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner            CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    first_block      BIGINT NOT NULL,
    blocks           BIGINT NOT NULL,
    -- 1 when these blocks came back from earlier leases, 0 when they were new.
    leased_again     BIGINT NOT NULL,
    ttl_ms           BIGINT NOT NULL,
    leased_at_ms     BIGINT NOT NULL,
    renewed_at_ms    BIGINT NOT NULL,
    expires_at_ms    BIGINT NOT NULL,
    ended_at_ms      BIGINT NULL,
    ended            ENUM ('returned', 'expired') NULL,
    blocks_used      BIGINT NOT NULL,
    blocks_refused   BIGINT NOT NULL,
    UNIQUE KEY leases_by_request (request_id),
    KEY leases_by_expiry (ended, expires_at_ms),
    KEY leases_by_owner (owner, ended),
    KEY leases_by_time (leased_at_ms, leased_again, blocks),
    CONSTRAINT leases_have_blocks CHECK (blocks BETWEEN 1 AND 256),
    CONSTRAINT leases_use_what_they_have CHECK (blocks_used + blocks_refused <= blocks),
    CONSTRAINT leases_end_at_a_time CHECK ((ended IS NULL) = (ended_at_ms IS NULL))
) ENGINE = InnoDB;

-- Blocks that came back, in maximal runs of neighbours; leased again before new ones.
CREATE TABLE IF NOT EXISTS free_runs (
    first_block      BIGINT NOT NULL PRIMARY KEY,
    blocks           BIGINT NOT NULL,
    -- One past the last block.
    end_block        BIGINT NOT NULL,
    UNIQUE KEY free_runs_by_end (end_block),
    CONSTRAINT free_runs_have_blocks CHECK (blocks > 0 AND end_block = first_block + blocks)
) ENGINE = InnoDB;
