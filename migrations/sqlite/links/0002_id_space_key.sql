-- The id space whole, and not its fingerprint alone: codes can be read without asking the lease store.

-- NULL in a store that was pinned before there was this column, until the same id space is pinned again.
ALTER TABLE id_space ADD COLUMN key BLOB CHECK (length(key) = 32);
