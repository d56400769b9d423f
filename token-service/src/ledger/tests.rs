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
use metrics_exporter_prometheus::PrometheusBuilder;
use uuid::Uuid;

use super::{free_runs::Run, space::Space, tables::NewLease, *};

/// A database on which no transaction begins: it is silent or panics at first, and then answers with an error.
#[derive(Default)]
struct Mute {
    begun: Arc<AtomicU32>,
    silent_times: u32,
    panics_times: u32,
}

/// Never made.
enum NoTables {}

#[async_trait]
impl Database for Mute {
    type Transaction = NoTables;

    async fn begin(&self) -> Result<NoTables, sqlx::Error> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        if begun < self.silent_times {
            pending::<()>().await;
        }
        assert!(begun >= self.panics_times, "this database is meant to panic");
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

const TIMEOUT: Duration = Duration::from_secs(5);

fn start(database: Mute) -> (Ledger<Mute>, Arc<AtomicU32>) {
    let begun = Arc::clone(&database.begun);
    (Ledger::start(database, Rules::new(LEASE_TTL, 1024, TIMEOUT)), begun)
}

fn mute(silent_times: u32) -> (Ledger<Mute>, Arc<AtomicU32>) {
    start(Mute { silent_times, ..Mute::default() })
}

fn request() -> LeaseRequest {
    LeaseRequest { request_id: Uuid::new_v4(), owner: Owner::random(), blocks: 1 }
}

/// Seen to fail when a transaction's limit is much longer, and when a reading's is.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_silent_is_not_waited_for() {
    let (ledger, _) = mute(u32::MAX);
    let begun = Instant::now();
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(ledger.account().await, Err(LeaseError::Unavailable(_))));
    assert!(matches!(ledger.id_space().await, Err(LeaseError::Unavailable(_))));
    assert!(begun.elapsed() < TIMEOUT * 4, "{:?}", begun.elapsed());
}

/// Seen to fail when conflicts are tried again for ever or never, when there is no pause in between, and when they are not
/// counted.
#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_a_few_times() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let (ledger, begun) = mute(0);
    let asked = Instant::now();
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    assert_eq!(begun.load(Ordering::Relaxed), CONFLICT_ATTEMPTS_MAX);
    let pauses = CONFLICT_PAUSE * (2_u32.pow(CONFLICT_ATTEMPTS_MAX - 1) - 1);
    assert!(asked.elapsed() >= pauses / 2 && asked.elapsed() < TIMEOUT, "{:?}", asked.elapsed());
    let metrics = recorder.handle().render();
    for counted in [
        format!("{} {}", metrics::CONFLICTS, CONFLICT_ATTEMPTS_MAX - 1),
        format!("{}{{outcome=\"failed\"}} 1", metrics::TRANSACTIONS),
    ] {
        assert!(metrics.lines().any(|line| line == counted), "{counted} in {metrics}");
    }
}

/// Seen to fail when each call is a batch of its own.
#[tokio::test(start_paused = true)]
async fn calls_that_wait_go_together() {
    let (ledger, begun) = mute(0);
    join_all((0..BATCH_CALLS_MAX * 2).map(|_| async { ledger.lease(&request()).await })).await;
    assert_eq!(begun.load(Ordering::Relaxed), 2 * CONFLICT_ATTEMPTS_MAX);
}

/// Seen to fail when batches are carried out in the task of the queue.
#[tokio::test(start_paused = true)]
async fn a_batch_that_panics_leaves_the_queue_to_others() {
    let (ledger, begun) = start(Mute { panics_times: 1, ..Mute::default() });
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    let outcome = ledger.lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    assert_eq!(begun.load(Ordering::Relaxed), 1 + CONFLICT_ATTEMPTS_MAX, "the second call was carried out");
}

/// Seen to fail when closing does not wait for the queue.
#[tokio::test(start_paused = true)]
async fn closing_carries_out_what_waits() {
    let (ledger, begun) = mute(0);
    let waiting = request();
    let waiting = ledger.lease(&waiting);
    tokio::pin!(waiting);
    assert!(poll_immediate(&mut waiting).await.is_none());
    ledger.close().await;
    assert!(poll_immediate(waiting).await.is_some(), "it has its answer");
    assert_eq!(begun.load(Ordering::Relaxed), CONFLICT_ATTEMPTS_MAX);
}

/// Seen to fail when the queue has no bound, and when the refusal is not counted.
#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
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
    let metrics = recorder.handle().render();
    let counted = format!("{} 1", metrics::REFUSED);
    assert!(metrics.lines().any(|line| line == counted), "{counted} in {metrics}");
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
