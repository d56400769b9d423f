//! What the ledger needs of a database.

use async_trait::async_trait;
use uuid::Uuid;

use super::{free_runs::Run, space::Space};
use crate::{Account, IdSpace, LeaseId, LeaseRecord, Owner, RecordFilter};

/// A database with the lease tables.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    type Transaction: Tables;

    /// Begins a transaction that will write.
    async fn begin(&self) -> Result<Self::Transaction, sqlx::Error>;

    /// Begins one that will only read.
    async fn begin_reading(&self) -> Result<Self::Transaction, sqlx::Error>;

    async fn id_space(&self) -> Result<IdSpace, sqlx::Error>;

    /// Whether the transaction failed because of others at the same time, and may be tried again at once.
    fn is_conflict(&self, error: &sqlx::Error) -> bool;

    async fn close(&self);
}

/// The lease tables in one transaction. Dropped without [`commit`](Self::commit), nothing of it has happened.
#[async_trait]
pub trait Tables: Send {
    /// The id space's row, locked until the end: comes first, so that transactions follow one another.
    async fn lock_space(&mut self) -> Result<Space, sqlx::Error>;

    /// The leases that these requests got, as far as there are any.
    async fn of_requests(&mut self, requests: &[Uuid]) -> Result<Vec<LeaseRecord>, sqlx::Error>;

    /// These leases, as far as there are any.
    async fn by_ids(&mut self, leases: &[LeaseId]) -> Result<Vec<LeaseRecord>, sqlx::Error>;

    /// Open leases whose end has passed, the longest overdue first.
    async fn overdue(&mut self, now_ms: i64, limit: u32) -> Result<Vec<LeaseRecord>, sqlx::Error>;

    /// Blocks in open leases of each of these owners that are neither used nor refused; none where there is no such lease.
    async fn unused_of(&mut self, owners: &[Owner]) -> Result<Vec<(Owner, u64)>, sqlx::Error>;

    async fn lowest_runs(&mut self, limit: u32) -> Result<Vec<Run>, sqlx::Error>;

    /// The free runs that begin at one of `ends`, and those that end at one of `firsts`.
    async fn runs_beside(&mut self, firsts: &[u32], ends: &[u32]) -> Result<Vec<Run>, sqlx::Error>;

    async fn insert_leases(&mut self, leases: &[NewLease]) -> Result<(), sqlx::Error>;

    /// Usage, renewal and end of leases that are there.
    async fn update_leases(&mut self, leases: &[LeaseRecord]) -> Result<(), sqlx::Error>;

    async fn remove_runs(&mut self, firsts: &[u32]) -> Result<(), sqlx::Error>;

    async fn insert_runs(&mut self, runs: &[Run]) -> Result<(), sqlx::Error>;

    async fn save_space(&mut self, space: &Space) -> Result<(), sqlx::Error>;

    /// See [`LeaseRecords::records`](crate::LeaseRecords::records).
    async fn records(
        &mut self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, sqlx::Error>;

    /// See [`LeaseRecords::account`](crate::LeaseRecords::account).
    async fn account(&mut self) -> Result<Account, sqlx::Error>;

    async fn commit(self) -> Result<(), sqlx::Error>;
}

/// A lease to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    pub record: LeaseRecord,
    /// Its blocks came back from earlier leases.
    pub leased_again: bool,
}

/// When a lease ends unless it is renewed.
pub(super) fn expires_at_ms(record: &LeaseRecord) -> i64 {
    record.renewed_at_ms.saturating_add_unsigned(record.lease.ttl_ms)
}
