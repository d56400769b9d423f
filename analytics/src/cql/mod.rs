//! How Septet speaks to ScyllaDB, or to any Cassandra 5.
//!
//! [`CqlUrl`] names a cluster and a keyspace, [`Cql`] is a session with it, [`migrate`] prepares the keyspace. The link store and
//! the rollups speak by it alike.
//!
//! A statement is prepared once, as one of four kinds ([`Kind`]), and the kind decides what the driver may do with it: how many replicas
//! must answer, whether it may be sent twice, and whether a second node is asked while the first one is slow.

mod conditional;
mod connect;
mod durability;
mod error;
#[cfg(feature = "conformance")]
mod faults;
mod metrics;
mod migrate;
mod session;
pub mod tls;
mod url;

pub use conditional::{Conditional, Held};
pub use connect::CqlOptions;
pub use durability::{CommitLog, Durability, durability};
pub use error::{CqlError, SchemaError, Unanswered};
#[cfg(feature = "conformance")]
pub use faults::Faults;
pub use metrics::show;
pub use migrate::{Keyspace, Migrated, Migration, Schema, check, migrate};
pub use session::{Cql, Kind, Statement};
pub use url::{CqlUrl, CqlUrlError};
