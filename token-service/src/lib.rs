//! Leases of id blocks, each on record.
//!
//! This crate owns the contract of the lease API: what a block, a lease and an id space are ([`ids`], [`lease`],
//! [`id_space`]) and what an implementation of [`Leases`] must keep. It never makes a code and never sees a link: that an
//! id is used once is the link store's doing, by claims.

pub mod id_space;
pub mod ids;
pub mod lease;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use id_space::{Fingerprint, IdSpace};
pub use ids::{BLOCK_COUNT, BLOCK_IDS, Block, ID_COUNT};
pub use lease::{Ended, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRequest, Leases, Owner, Usage};
