//! The contract of the seam "links, claims, API keys": three traits, one store. One that several instances use is a fourth as well:
//! [`VisitorSalts`].

use std::error::Error as StdError;

use async_trait::async_trait;

pub mod api_keys;
pub mod claims;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod guard;
pub mod links;
pub mod scylla;
pub mod sqlite;
pub mod visitor_salts;

pub use api_keys::{ApiKey, ApiKeyDigest, ApiKeys};
pub use claims::{Claim, Claims, Pinned};
pub use links::{Archived, Created, Creation, Cursor, Idempotency, Links, Listing, Order, Page, Replaced};
pub use visitor_salts::VisitorSalts;

/// Why a store did not do what it was asked. Absence is never an error, and an error is never absence.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer: a write may or may not have been carried out.
    #[error("the link store does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// Too much is waiting already: nothing was done.
    #[error("the link store has too much to do")]
    Overloaded,
    /// What is stored cannot be read: written by a newer version, or damaged.
    #[error("the link store holds something unreadable: {0}")]
    Unreadable(String),
}

/// A whole link store.
#[async_trait]
pub trait Store: Links + Claims + ApiKeys {
    /// Resolves when the store has stopped serving on its own, for good: a fault, after which the process should stop.
    async fn ended(&self);

    /// Ends every write that was begun, and closes the store.
    async fn close(&self);
}
