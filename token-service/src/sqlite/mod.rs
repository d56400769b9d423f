//! Leases in SQLite: the embedded implementation.
//!
//! Every call is one transaction (`BEGIN IMMEDIATE`: it writes from its start, so it never has to be upgraded half-way) on
//! the one connection of the store. What is in the file is described in `migrations/sqlite/leases`.

mod free_runs;
mod open;
mod record;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::{
    Account, BLOCK_COUNT, Block, Ended, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest,
    Leases, Owner, RecordFilter, Usage,
};

pub use open::{APPLICATION_ID, OpenError, QUICK_CHECK_BYTES_MAX};

/// How long a lease lives without a renewal, unless the options say otherwise.
pub const LEASE_TTL: Duration = Duration::from_secs(3600);

/// The most expired leases that one call of [`Leases::lease`] ends; the next call ends the next ones.
pub const REAPED_PER_CALL_MAX: u32 = 16;

/// Tells the time, in Unix milliseconds. It may jump: a lease then expires early or late, which the claims make harmless.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The clock of this machine.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// How a store is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The time to live of new leases, at least a millisecond.
    pub ttl: Duration,
    pub clock: Clock,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { ttl: LEASE_TTL, clock: system_clock() }
    }
}

/// The lease store in an SQLite file.
pub struct SqliteLeases {
    pool: SqlitePool,
    id_space: IdSpace,
    ttl_ms: u64,
    clock: Clock,
}

impl SqliteLeases {
    fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, LeaseError> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)
    }
}

#[async_trait]
impl Leases for SqliteLeases {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(self.id_space.clone())
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        if !(1..=Lease::BLOCKS_MAX).contains(&request.blocks) {
            let most = Lease::BLOCKS_MAX;
            return Err(LeaseError::Invalid(format!("{} blocks asked for; 1 to {most} can be leased", request.blocks)));
        }
        let now_ms = self.now_ms();
        let mut tx = self.begin().await?;
        if let Some(earlier) = record::of_request(&mut tx, request.request_id).await.map_err(unavailable)? {
            return same_lease(earlier, request);
        }
        let leased = self.lease_new(&mut tx, request, now_ms).await.map_err(unavailable)?;
        // Committed even when there was nothing to lease: the expired leases found on the way stay ended.
        tx.commit().await.map_err(unavailable)?;
        leased.ok_or(LeaseError::Exhausted)
    }

    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        let now_ms = self.now_ms();
        let mut tx = self.begin().await?;
        let held = held_by(&mut tx, lease, owner).await?;
        if held.ended.is_some() {
            return Err(LeaseError::NotHeld(lease));
        }
        let usage = merge_usage(&held, usage)?;
        let expires_at_ms = now_ms.saturating_add_unsigned(held.lease.ttl_ms);
        record::renew(&mut tx, lease, usage, now_ms, expires_at_ms).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }

    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        let now_ms = self.now_ms();
        let mut tx = self.begin().await?;
        let held = held_by(&mut tx, lease, owner).await?;
        match held.ended {
            Some(Ended::Returned) => return Ok(()),
            Some(Ended::Expired) => return Err(LeaseError::NotHeld(lease)),
            None => {}
        }
        let usage = merge_usage(&held, usage)?;
        end(&mut tx, &held.lease, usage, Ended::Returned, now_ms).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }

    /// Waits for calls under way. The last connection empties SQLite's log into the file.
    async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl LeaseRecords for SqliteLeases {
    async fn records(
        &self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, LeaseError> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        record::page(&mut connection, filter, after, limit).await.map_err(unavailable)
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        record::account(&mut connection, self.now_ms()).await.map_err(unavailable)
    }
}

impl SqliteLeases {
    /// Leases blocks that came back, or else new ones; `None` when there are neither.
    async fn lease_new(
        &self,
        tx: &mut SqliteConnection,
        request: &LeaseRequest,
        now_ms: i64,
    ) -> Result<Option<Lease>, sqlx::Error> {
        reap(tx, now_ms).await?;
        let (first, blocks, leased_again) = match free_runs::take(tx, request.blocks).await? {
            Some((first, blocks)) => (first, blocks, true),
            None => match raise_high_water(tx, request.blocks).await? {
                Some((first, blocks)) => (first, blocks, false),
                None => return Ok(None),
            },
        };
        let fresh = record::NewLease { request, first, blocks, leased_again, ttl_ms: self.ttl_ms, now_ms };
        record::insert(tx, fresh).await.map(Some)
    }
}

/// What a repeated request gets.
fn same_lease(earlier: LeaseRecord, request: &LeaseRequest) -> Result<Lease, LeaseError> {
    if earlier.owner == request.owner {
        Ok(earlier.lease)
    } else {
        Err(LeaseError::Invalid(format!("request {} was made by another owner", request.request_id)))
    }
}

/// The record of a lease of this owner, open or ended.
async fn held_by(tx: &mut SqliteConnection, lease: LeaseId, owner: Owner) -> Result<LeaseRecord, LeaseError> {
    let found = record::of_lease(tx, lease).await.map_err(unavailable)?;
    found.filter(|held| held.owner == owner).ok_or(LeaseError::NotHeld(lease))
}

/// The higher figures win: reports may arrive late and out of order.
fn merge_usage(held: &LeaseRecord, reported: Usage) -> Result<Usage, LeaseError> {
    let used = held.usage.used.max(reported.used);
    let refused = held.usage.refused.max(reported.refused);
    let blocks = held.lease.blocks;
    if used.checked_add(refused).is_none_or(|done| done > blocks) {
        return Err(LeaseError::Invalid(format!("{used} blocks used and {refused} refused, of a lease of {blocks}")));
    }
    Ok(Usage { used, refused })
}

/// Ends a lease; its blocks beyond `usage` may be leased again.
async fn end(
    tx: &mut SqliteConnection,
    lease: &Lease,
    usage: Usage,
    how: Ended,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    record::end(tx, lease.id, usage, how, now_ms).await?;
    let done = usage.used + usage.refused;
    free_runs::put(tx, Block(lease.first.0 + done), lease.blocks - done).await
}

/// Ends leases that were not renewed in time, the longest overdue first.
async fn reap(tx: &mut SqliteConnection, now_ms: i64) -> Result<(), sqlx::Error> {
    for expired in record::expired(tx, now_ms, REAPED_PER_CALL_MAX).await? {
        end(tx, &expired.lease, expired.usage, Ended::Expired, now_ms).await?;
        tracing::warn!(
            lease = expired.lease.id.0,
            owner = %expired.owner.0,
            "a lease was not renewed in time; its blocks may be leased again"
        );
    }
    Ok(())
}

/// Up to `wanted` blocks that were never leased.
async fn raise_high_water(tx: &mut SqliteConnection, wanted: u32) -> Result<Option<(Block, u32)>, sqlx::Error> {
    let first: u32 = sqlx::query_scalar("SELECT high_water_block FROM id_space").fetch_one(&mut *tx).await?;
    let blocks = wanted.min(BLOCK_COUNT.saturating_sub(first));
    if blocks == 0 {
        return Ok(None);
    }
    sqlx::query("UPDATE id_space SET high_water_block = ?").bind(first + blocks).execute(tx).await?;
    Ok(Some((Block(first), blocks)))
}

fn unavailable(error: sqlx::Error) -> LeaseError {
    LeaseError::Unavailable(Box::new(error))
}
