//! Leases over HTTP: what an instance uses when a token service hands them out.
