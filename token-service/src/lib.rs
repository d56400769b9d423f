//! Leases of id blocks, each on record.
//!
//! This crate owns the contract of the lease API: what a block, a lease and an id space are ([`ids`], [`lease`],
//! [`id_space`]), what an implementation of [`Leases`] must keep, and what goes over the wire ([`wire`]). It never makes a
//! code and never sees a link: that an id is used once is the link store's doing, by claims.
//!
//! Instances need the contract and the [`client`]; the databases and the service itself sit behind features.

pub mod account;
#[cfg(feature = "service")]
pub mod adopt;
pub mod id_space;
pub mod ids;
pub mod lease;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "ledger")]
mod ledger;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(any(feature = "client", feature = "service"))]
pub mod secret;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "client", feature = "service"))]
pub mod wire;

pub use account::Account;
pub use id_space::{Fingerprint, IdSpace};
pub use ids::{BLOCK_COUNT, BLOCK_IDS, Block, ID_COUNT};
pub use lease::{
    Ended, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest, LeaseState, LeaseStore, Leases, Owner,
    RecordFilter, UNUSED_BLOCKS_MAX, Usage,
};
