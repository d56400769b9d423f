//! The suite that every implementation of [`Leases`](crate::Leases) must pass, unchanged.
