//! Why a cluster did not do what it was asked.

use scylla::errors::{ExecutionError, NewSessionError, PrepareError};

/// What went wrong. Except for [`CqlError::Unreadable`] and what is said at a start, a write may have happened or not.
#[derive(Debug, thiserror::Error)]
pub enum CqlError {
    #[error("no node of {url} lets us in: {cause}")]
    Connect { url: String, cause: NewSessionError },
    #[error("{0}")]
    Setting(String),
    #[error("a statement was refused: {0}")]
    Prepare(#[from] PrepareError),
    #[error("{0}")]
    Unanswered(#[from] ExecutionError),
    #[error("an answer cannot be read: {0}")]
    Unreadable(String),
}

impl CqlError {
    pub(super) fn unreadable(what: impl std::fmt::Display) -> Self {
        CqlError::Unreadable(what.to_string())
    }
}
