//! Visitor salts that instances share: one row for each period, written once, which ends by itself.

use std::sync::Arc;

use analytics::{
    cql::{Conditional, Cql, CqlError, Kind, Statement},
    enrich::{
        salts::LATE_MS,
        visitor::{PERIOD_MS, Salt},
    },
};
use async_trait::async_trait;

use super::{ScyllaStore, error};
use crate::{
    clock,
    store::{StoreError, VisitorSalts},
};

/// How long a row stays beyond its time, which is measured by instances' clocks: these may differ by as much.
const SLACK_MS: i64 = 60 * 60 * 1000;

/// The longest that a row stays, in seconds: from the beginning of the period before its own.
const TTL_MAX_S: i64 = (2 * PERIOD_MS + LATE_MS + SLACK_MS) / 1000;

/// The table `visitor_salts`.
#[derive(Debug)]
pub(super) struct Table {
    cql: Arc<Cql>,
    insert: Statement,
    read: Statement,
}

impl Table {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let insert = "INSERT INTO visitor_salts (period, salt) VALUES (?, ?) IF NOT EXISTS USING TTL ?";
        let read = "SELECT salt FROM visitor_salts WHERE period = ?";
        Ok(Table {
            insert: cql.prepare(Kind::Conditional, insert).await?,
            read: cql.prepare(Kind::SerialRead, read).await?,
            cql: Arc::clone(cql),
        })
    }

    /// Writes the row unless there is one. The row is never changed, so who is refused knows the salt for as long as there is one.
    async fn put(&self, period: u32, fresh: Salt, ttl_s: i32) -> Result<Salt, StoreError> {
        match self.cql.conditional(&self.insert, (number(period), fresh.as_slice(), ttl_s)).await {
            Ok(Conditional::Applied) => Ok(fresh),
            Ok(Conditional::Refused(held)) => salt(held.blob("salt").unwrap_or_default()),
            Err(unanswered) => self.get(period).await?.ok_or_else(|| error(unanswered)),
        }
    }

    /// The salt, after every write that was under way has ended.
    async fn get(&self, period: u32) -> Result<Option<Salt>, StoreError> {
        let rows = self.cql.rows(&self.read, (number(period),)).await.map_err(error)?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>();
        let row = row.map_err(|error| StoreError::Unreadable(error.to_string()))?;
        row.map(|(stored,)| salt(&stored)).transpose()
    }
}

fn number(period: u32) -> i32 {
    period.cast_signed()
}

fn salt(stored: &[u8]) -> Result<Salt, StoreError> {
    stored.try_into().map_err(|_| StoreError::Unreadable("a visitor salt is not 32 bytes".to_owned()))
}

/// How long a row stays that is written at `now_ms` (Unix milliseconds), in seconds. At least one: none would be for ever.
fn ttl_s(period: u32, now_ms: i64) -> i32 {
    let end_ms = (i64::from(period) + 1) * PERIOD_MS;
    let left_ms = (end_ms + LATE_MS + SLACK_MS).saturating_sub(now_ms);
    i32::try_from((left_ms / 1000).clamp(1, TTL_MAX_S)).expect("some days are few seconds")
}

#[async_trait]
impl VisitorSalts for ScyllaStore {
    async fn visitor_salt(&self, period: u32, fresh: Salt) -> Result<Salt, StoreError> {
        self.visitor_salts.put(period, fresh, ttl_s(period, clock::now_ms())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a row stayed as long whenever it was written, and when one of a period that is over stayed for ever.
    #[test]
    fn a_row_ends_two_hours_after_its_period_whenever_it_is_written() {
        const HOURS_2_S: i32 = 2 * 60 * 60;
        const DAYS_2_S: i32 = 2 * 24 * 60 * 60;
        let begin_ms = 10_000 * PERIOD_MS;
        assert_eq!(ttl_s(10_000, begin_ms), DAYS_2_S + HOURS_2_S);
        assert_eq!(ttl_s(10_000, begin_ms + PERIOD_MS - 1000), 1 + HOURS_2_S);
        assert_eq!(ttl_s(10_001, begin_ms), 2 * DAYS_2_S + HOURS_2_S);
        for (period, now_ms) in [(9_000, begin_ms), (0, i64::MAX), (11_000, begin_ms), (u32::MAX, i64::MIN)] {
            let ttl_s = ttl_s(period, now_ms);
            assert!((1..=2 * DAYS_2_S + HOURS_2_S).contains(&ttl_s), "{period} at {now_ms}: {ttl_s}");
        }
    }
}
