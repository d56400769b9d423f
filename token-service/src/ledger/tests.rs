//! The queue and its limits, on databases that do not answer. What the ledger makes of calls, the suite of every
//! implementation tests.

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use futures::{
    FutureExt,
    future::{join_all, poll_immediate},
};
use uuid::Uuid;

use super::{free_runs::Run, space::Space, tables::NewLease, *};

/// A database on which no transaction begins: it is silent at first, and then answers with an error.
struct Mute {
    begun: Arc<AtomicU32>,
    silent_times: u32,
}

/// Never made.
enum NoTables {}

#[async_trait]
impl Database for Mute {
    type Transaction = NoTables;

    async fn begin(&self) -> Result<NoTables, sqlx::Error> {
        if self.begun.fetch_add(1, Ordering::Relaxed) < self.silent_times {
            pending::<()>().await;
        }
        Err(sqlx::Error::PoolClosed)
    }
    async fn begin_reading(&self) -> Result<NoTables, sqlx::Error> {
        pending().await
    }
    async fn id_space(&self) -> Result<IdSpace, sqlx::Error> {
        pending().await
    }
    fn is_conflict(&self, _: &sqlx::Error) -> bool {
        true
    }
    async fn close(&self) {}
}

#[async_trait]
impl Tables for NoTables {
    async fn lock_space(&mut self) -> Result<Space, sqlx::Error> {
        match *self {}
    }
    async fn of_requests(&mut self, _: &[Uuid]) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        match *self {}
    }
    async fn by_ids(&mut self, _: &[LeaseId]) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        match *self {}
    }
    async fn overdue(&mut self, _: i64, _: u32) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        match *self {}
    }
    async fn unused_of(&mut self, _: &[Owner]) -> Result<Vec<(Owner, u64)>, sqlx::Error> {
        match *self {}
    }
    async fn lowest_runs(&mut self, _: u32) -> Result<Vec<Run>, sqlx::Error> {
        match *self {}
    }
    async fn runs_beside(&mut self, _: &[u32], _: &[u32]) -> Result<Vec<Run>, sqlx::Error> {
        match *self {}
    }
    async fn insert_leases(&mut self, _: &[NewLease]) -> Result<(), sqlx::Error> {
        match *self {}
    }
    async fn update_leases(&mut self, _: &[LeaseRecord]) -> Result<(), sqlx::Error> {
        match *self {}
    }
    async fn remove_runs(&mut self, _: &[u32]) -> Result<(), sqlx::Error> {
        match *self {}
    }
    async fn insert_runs(&mut self, _: &[Run]) -> Result<(), sqlx::Error> {
        match *self {}
    }
    async fn save_space(&mut self, _: &Space) -> Result<(), sqlx::Error> {
        match *self {}
    }
    async fn records(&mut self, _: RecordFilter, _: Option<LeaseId>, _: u32) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        match *self {}
    }
    async fn account(&mut self) -> Result<Account, sqlx::Error> {
        match *self {}
    }
    async fn commit(self) -> Result<(), sqlx::Error> {
        match self {}
    }
}

fn mute(silent_times: u32) -> (Ledger<Mute>, Arc<AtomicU32>) {
    let begun = Arc::<AtomicU32>::default();
    let rules = Rules::new(LEASE_TTL, 1024, Duration::from_secs(5));
    (Ledger::start(Mute { begun: Arc::clone(&begun), silent_times }, rules), begun)
}

fn request() -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks: 1 }
}

/// Seen to fail when a transaction has no limit, and when a reading has none.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_silent_is_not_waited_for() {
    let (ledger, _) = mute(u32::MAX);
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(ledger.account().await, Err(LeaseError::Unavailable(_))));
    assert!(matches!(ledger.id_space().await, Err(LeaseError::Unavailable(_))));
}

/// Seen to fail when conflicts are tried again for ever.
#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_a_few_times() {
    let (ledger, begun) = mute(0);
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    assert_eq!(begun.load(Ordering::Relaxed), CONFLICT_ATTEMPTS_MAX);
}

/// Seen to fail when the queue has no bound.
#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (ledger, _) = mute(u32::MAX);
    let mut calls = Vec::new();
    for _ in 0..BATCH_CALLS_MAX {
        calls.push(async { ledger.lease(&request()).await }.boxed());
    }
    poll_immediate(join_all(&mut calls)).await;
    tokio::task::yield_now().await;
    for _ in 0..CALLS_WAITING_MAX {
        calls.push(async { ledger.lease(&request()).await }.boxed());
    }
    poll_immediate(join_all(&mut calls)).await;
    let one_more = poll_immediate(ledger.lease(&request())).await;
    assert!(matches!(one_more, Some(Err(LeaseError::Overloaded))), "{one_more:?}");
}

/// Seen to fail when a call whose caller is gone is carried out all the same.
#[tokio::test(start_paused = true)]
async fn who_has_gone_away_is_forgotten() {
    let (ledger, begun) = mute(1);
    let waiting = request();
    let first = ledger.lease(&waiting);
    tokio::pin!(first);
    assert!(poll_immediate(&mut first).await.is_none());
    tokio::task::yield_now().await;
    {
        let gone = request();
        let gone = ledger.lease(&gone);
        tokio::pin!(gone);
        assert!(poll_immediate(gone).await.is_none());
    }
    let _ = first.await;
    ledger.close().await;
    assert_eq!(begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_ledger_takes_no_calls() {
    let (ledger, _) = mute(0);
    ledger.close().await;
    assert!(matches!(ledger.lease(&request()).await, Err(LeaseError::Unavailable(_))));
    ledger.close().await;
}
