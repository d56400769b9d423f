//! What every database's leases have in common: the queue of calls, their batches, and what a batch makes of the tables.
//!
//! Calls wait in a bounded queue. One task takes as many as wait, carries them out in one transaction ([`batch`]) and answers
//! them when it is committed; meanwhile others gather for the next one. So a lone call costs one commit, and a thousand calls
//! at once cost four. A caller that gives up cancels nothing half-way.
//!
//! What a batch makes of the tables is worked out in memory ([`sheet`], [`free_runs`], [`space`]); a database only reads and writes
//! rows ([`tables`], in SQL by [`sql`]; as a whole, to be copied, by [`whole`]).

mod batch;
mod free_runs;
pub mod metrics;
#[cfg(test)]
mod replay;
mod sheet;
pub(crate) mod space;
pub(crate) mod sql;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
#[cfg(feature = "service")]
pub(crate) mod whole;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    Account, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest, Leases, Owner, RecordFilter,
    Usage,
};
use batch::{Answer, Call};
use tables::{Database, Tables};

pub use batch::REAPED_PER_COMMIT_MAX;

/// How long a lease lives without a renewal, unless the options say otherwise.
pub const LEASE_TTL: Duration = Duration::from_secs(3600);

/// Calls that may wait for a transaction; one more is refused as overload.
pub const CALLS_WAITING_MAX: usize = 16_384;

/// Calls in one transaction.
pub const BATCH_CALLS_MAX: usize = 256;

/// How often a transaction that got into the way of another is tried, with a pause of some milliseconds in between.
pub const CONFLICT_ATTEMPTS_MAX: u32 = 6;

/// The longest pause before the first repetition; it doubles.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// What the ledger goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The time to live of new leases, in milliseconds.
    pub ttl_ms: u64,
    /// See [`UNUSED_BLOCKS_MAX`](crate::UNUSED_BLOCKS_MAX).
    pub unused_blocks_max: u64,
    /// How long a transaction, all of its attempts together, or a reading may take.
    pub timeout: Duration,
}

impl Rules {
    pub(crate) fn new(ttl: Duration, unused_blocks_max: u64, timeout: Duration) -> Self {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64);
        Self { ttl_ms, unused_blocks_max, timeout }
    }
}

/// Leases in a database.
pub struct Ledger<D> {
    database: Arc<D>,
    rules: Rules,
    /// Gone once the ledger is closed.
    calls: Mutex<Option<mpsc::Sender<Waiting>>>,
    writing: Mutex<Option<JoinHandle<()>>>,
}

/// A call in the queue.
struct Waiting {
    call: Call,
    answer: oneshot::Sender<Answer>,
}

impl<D: Database> Ledger<D> {
    /// Starts the task that writes. Must be called in a Tokio runtime.
    pub(crate) fn start(database: D, rules: Rules) -> Self {
        metrics::describe();
        let database = Arc::new(database);
        let (calls, waiting) = mpsc::channel(CALLS_WAITING_MAX);
        let writing = tokio::spawn(write(Arc::clone(&database), rules, waiting));
        Self { database, rules, calls: Mutex::new(Some(calls)), writing: Mutex::new(Some(writing)) }
    }

    pub(crate) fn database(&self) -> &D {
        &self.database
    }

    /// How long a call may take that is carried out.
    pub(crate) fn timeout(&self) -> Duration {
        self.rules.timeout
    }

    async fn submit(&self, call: Call) -> Answer {
        let (answer, answered) = oneshot::channel();
        {
            let calls = self.calls.lock();
            let Some(calls) = calls.as_ref() else { return Err(unavailable(Closed)) };
            calls.try_send(Waiting { call, answer }).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => {
                    metrics::call_refused();
                    LeaseError::Overloaded
                }
                mpsc::error::TrySendError::Closed(_) => unavailable(Closed),
            })?;
            metrics::waiting(calls.max_capacity() - calls.capacity());
        }
        answered.await.unwrap_or_else(|_| Err(unavailable(Closed)))
    }

    async fn read<T>(&self, reading: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LeaseError> {
        timeout(self.rules.timeout, reading).await.map_err(unavailable)?.map_err(unavailable)
    }
}

#[async_trait]
impl<D: Database> Leases for Ledger<D> {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        self.read(self.database.id_space()).await
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        if !(1..=Lease::BLOCKS_MAX).contains(&request.blocks) {
            let most = Lease::BLOCKS_MAX;
            return Err(LeaseError::Invalid(format!("{} blocks asked for; 1 to {most} can be leased", request.blocks)));
        }
        let leased = self.submit(Call::Lease(request.clone())).await?;
        Ok(leased.expect("who asks for a lease gets one, or an error"))
    }

    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.submit(Call::Renew(lease, owner, usage)).await.map(drop)
    }

    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.submit(Call::GiveBack(lease, owner, usage)).await.map(drop)
    }

    /// Carries out what waits, and closes the database.
    async fn close(&self) {
        drop(self.calls.lock().take());
        let writing = self.writing.lock().take();
        if let Some(writing) = writing {
            // Its batches run in tasks of their own, so that it does not panic; were it to, there would be nothing left to do.
            let _ = writing.await;
        }
        self.database.close().await;
    }
}

#[async_trait]
impl<D: Database> LeaseRecords for Ledger<D> {
    async fn records(
        &self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, LeaseError> {
        self.read(async {
            let mut tables = self.database.begin_reading().await?;
            let records = tables.records(filter, after, limit).await?;
            tables.commit().await.map(|()| records)
        })
        .await
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        self.read(async {
            let mut tables = self.database.begin_reading().await?;
            let account = tables.account().await?;
            tables.commit().await.map(|()| account)
        })
        .await
    }
}

/// The task "ledger": batch after batch, until the ledger is closed and the queue empty.
async fn write<D: Database>(database: Arc<D>, rules: Rules, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(BATCH_CALLS_MAX);
    while queue.recv_many(&mut waiting, BATCH_CALLS_MAX).await > 0 {
        metrics::waiting(queue.len());
        // Whoever has gone away gets nothing.
        let (calls, answers): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .filter(|waiting| !waiting.answer.is_closed())
            .map(|waiting| (waiting.call, waiting.answer))
            .unzip();
        if calls.is_empty() {
            continue;
        }
        // A batch that panics takes its own answers with it, and not the queue.
        let batch = tokio::spawn(carry_out(Arc::clone(&database), rules, calls, answers));
        if let Err(error) = batch.await {
            tracing::error!(%error, "a transaction of the lease store failed to end");
        }
    }
}

async fn carry_out<D: Database>(
    database: Arc<D>,
    rules: Rules,
    calls: Vec<Call>,
    answers: Vec<oneshot::Sender<Answer>>,
) {
    let begun = Instant::now();
    let outcome = timeout(rules.timeout, commit_at_last(&*database, rules, &calls)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
    metrics::batch(calls.len(), begun.elapsed(), outcome.is_ok());
    match outcome {
        Ok(outcomes) => {
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // A caller that has gone away asks again.
                let _ = answer.send(outcome);
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for answer in answers {
                let _ = answer.send(Err(unavailable(Arc::clone(&error))));
            }
        }
    }
}

/// Tries again while other transactions are in the way.
async fn commit_at_last<D: Database>(database: &D, rules: Rules, calls: &[Call]) -> Result<Vec<Answer>, sqlx::Error> {
    let mut pause = CONFLICT_PAUSE;
    for _ in 1..CONFLICT_ATTEMPTS_MAX {
        match batch::commit(database, rules, calls).await {
            Err(error) if database.is_conflict(&error) => {
                metrics::conflict();
                let shorter = rand::rng().random_range(0.5..=1.0);
                sleep(pause.mul_f64(shorter)).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
    batch::commit(database, rules, calls).await
}

#[derive(Debug, thiserror::Error)]
#[error("the lease store is closed")]
struct Closed;

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LeaseError {
    LeaseError::Unavailable(Box::new(error))
}
