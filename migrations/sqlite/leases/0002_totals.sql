-- Running totals in the id space's row, so that what became of every block is known without reading every lease; and what the
-- row needs to hand out lease ids by itself.

ALTER TABLE id_space ADD COLUMN next_lease_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE id_space ADD COLUMN handed_out    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN used          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN lost          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN in_use        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN returned      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN expired       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN free          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE id_space ADD COLUMN open_leases   INTEGER NOT NULL DEFAULT 0;

UPDATE id_space SET
    next_lease_id = (SELECT coalesce(max(lease_id), 0) + 1 FROM leases),
    handed_out    = (SELECT coalesce(sum(blocks), 0) FROM leases),
    used          = (SELECT coalesce(sum(blocks_used), 0) FROM leases),
    lost          = (SELECT coalesce(sum(blocks_refused), 0) FROM leases),
    in_use        = (SELECT coalesce(sum(blocks - blocks_used - blocks_refused), 0) FROM leases WHERE ended IS NULL),
    returned      = (SELECT coalesce(sum(blocks - blocks_used - blocks_refused), 0) FROM leases WHERE ended = 'returned'),
    expired       = (SELECT coalesce(sum(blocks - blocks_used - blocks_refused), 0) FROM leases WHERE ended = 'expired'),
    free          = (SELECT coalesce(sum(blocks), 0) FROM free_runs),
    open_leases   = (SELECT count(*) FROM leases WHERE ended IS NULL);

CREATE INDEX leases_by_owner ON leases (owner, ended);
CREATE INDEX leases_by_time ON leases (leased_at_ms, leased_again, blocks);

-- One past the last block of a run, so that the neighbour below is found.
ALTER TABLE free_runs ADD COLUMN end_block INTEGER NOT NULL DEFAULT 0;
UPDATE free_runs SET end_block = first_block + blocks;
CREATE UNIQUE INDEX free_runs_by_end ON free_runs (end_block);
