//! The contract of the seam "links, claims, API keys": three traits, one store.

use std::error::Error as StdError;

pub mod claims;

pub use claims::{Claim, Claims, Pinned};

/// Why a store did not do what it was asked. Absence is never an error, and an error is never absence.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer: a write may or may not have been carried out.
    #[error("the link store does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// What is stored cannot be read: written by a newer version, or damaged.
    #[error("the link store holds something unreadable: {0}")]
    Unreadable(String),
}
