//! What is known of a conditional statement once it was sent.

use analytics::cql::{Conditional, Cql, CqlError, Held, Statement};
use scylla::serialize::row::SerializeRow;

use super::error;
use crate::store::StoreError;

/// What a conditional statement answered.
#[derive(Debug)]
pub(super) enum Answer {
    Applied,
    /// This stands in its way: or it was carried out all the same. A node that was outbid while it wrote, and whose write another node
    /// completed, finds its own write in the way.
    Refused(Held),
    /// It was carried out, or not, or will be yet.
    Lost,
}

impl Answer {
    pub async fn of(cql: &Cql, statement: &Statement, values: impl SerializeRow) -> Result<Self, StoreError> {
        match cql.conditional(statement, values).await {
            Ok(Conditional::Applied) => Ok(Answer::Applied),
            Ok(Conditional::Refused(held)) => Ok(Answer::Refused(held)),
            Err(unreadable @ CqlError::Unreadable(_)) => Err(error(unreadable)),
            Err(_) => Ok(Answer::Lost),
        }
    }

    pub fn is_applied(&self) -> bool {
        matches!(self, Answer::Applied)
    }
}
