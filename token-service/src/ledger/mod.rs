//! What every database's leases have in common.
