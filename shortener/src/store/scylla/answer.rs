//! What is known of a conditional statement once it was sent.

use std::time::Duration;

use analytics::cql::{Conditional, Cql, CqlError, Held, Statement};
use rand::RngExt;
use scylla::serialize::row::SerializeRow;
use tokio::time::sleep;

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

/// How long to wait at most before a statement that may be repeated is sent again, as many at once outbid each other until none is answered.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Waits for a time at random, so that those who got in each other's way do not do it again.
pub(super) async fn pause() {
    let share = rand::rng().random_range(0.0..1.0);
    sleep(PAUSE_MAX.mul_f64(share)).await;
}
