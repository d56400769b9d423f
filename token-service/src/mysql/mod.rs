//! Leases in MySQL: the distributed implementation.
