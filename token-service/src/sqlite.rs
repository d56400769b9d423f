//! Leases in SQLite: the embedded implementation.
