-- Where the id space went, once another database takes it over. From the mark on nothing is leased here any more, by no version
-- of Septet and by no process that had the file open before: the triggers see to it.

-- No row: it is here.
CREATE TABLE move (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- The fingerprint of the id space that the other database had until then, of its own: what tells it from every other database.
    destination TEXT    NOT NULL CHECK (length(destination) = 32),
    -- 0 from before the first row is copied, 1 once the other database has committed all of them.
    done        INTEGER NOT NULL CHECK (done IN (0, 1))
) STRICT;

CREATE TRIGGER nothing_is_leased_after_a_move BEFORE INSERT ON leases WHEN EXISTS (SELECT 1 FROM move)
BEGIN
    SELECT RAISE(ABORT, 'this id space was moved to a token service''s database: start with --leases http://...');
END;

CREATE TRIGGER nothing_is_renewed_after_a_move BEFORE UPDATE ON leases WHEN EXISTS (SELECT 1 FROM move)
BEGIN
    SELECT RAISE(ABORT, 'this id space was moved to a token service''s database: start with --leases http://...');
END;

CREATE TRIGGER no_total_changes_after_a_move BEFORE UPDATE ON id_space WHEN EXISTS (SELECT 1 FROM move)
BEGIN
    SELECT RAISE(ABORT, 'this id space was moved to a token service''s database: start with --leases http://...');
END;
