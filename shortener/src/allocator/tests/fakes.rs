//! Lease stores that fail or forget.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use token_service::{
    Block, IdSpace, Lease, LeaseError, LeaseId, LeaseRequest, LeaseStore, Leases, Owner, Usage,
    sqlite::{SqliteLeases, SqliteOptions},
};

pub fn no_answer() -> Box<dyn std::error::Error + Send + Sync> {
    "switched off".into()
}

/// A clock that stands still until it is moved.
pub type ClockMs = Arc<AtomicI64>;

pub async fn sqlite(path: &Path, clock_ms: &ClockMs) -> Arc<SqliteLeases> {
    let clock_ms = Arc::clone(clock_ms);
    let clock = Arc::new(move || clock_ms.load(Ordering::Relaxed));
    Arc::new(SqliteLeases::open(path, SqliteOptions { clock, ..SqliteOptions::default() }).await.unwrap())
}

/// A lease store that can be switched off.
pub struct Switched {
    pub inner: Arc<dyn LeaseStore>,
    pub down: AtomicBool,
}

impl Switched {
    pub fn new(inner: Arc<dyn LeaseStore>) -> Arc<Self> {
        Arc::new(Self { inner, down: AtomicBool::new(false) })
    }

    fn answers(&self) -> Result<&dyn Leases, LeaseError> {
        if self.down.load(Ordering::Relaxed) { Err(LeaseError::Unavailable(no_answer())) } else { Ok(&*self.inner) }
    }
}

#[async_trait]
impl Leases for Switched {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        self.answers()?.id_space().await
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        self.answers()?.lease(request).await
    }
    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.answers()?.renew(lease, owner, usage).await
    }
    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.answers()?.give_back(lease, owner, usage).await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Leases of eight blocks, by count, in memory: for tests in which time stands still, which a database's thread would not.
#[derive(Default)]
pub struct CountedLeases {
    leased: Mutex<Vec<LeaseRequest>>,
    pub renewed: Mutex<Vec<(tokio::time::Instant, LeaseId)>>,
    pub given_back: Mutex<Vec<(LeaseId, Usage)>>,
    /// Leases up to this one have ended.
    pub ended_to: Mutex<u64>,
    /// Nothing is answered.
    pub down: AtomicBool,
    /// No further lease before usage was reported.
    pub wants_usage: AtomicBool,
}

impl CountedLeases {
    fn answers(&self) -> Result<(), LeaseError> {
        if self.down.load(Ordering::Relaxed) { Err(LeaseError::Unavailable(no_answer())) } else { Ok(()) }
    }
}

pub const COUNTED_BLOCKS: u32 = 8;
pub const COUNTED_TTL: Duration = Duration::from_secs(3600);

#[async_trait]
impl Leases for CountedLeases {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(IdSpace::new([1; 32]))
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        self.answers()?;
        let mut leased = self.leased.lock();
        if self.wants_usage.load(Ordering::Relaxed) && !leased.is_empty() {
            return Err(LeaseError::TooManyUnused { owner: request.owner, unused: 8, max: 8 });
        }
        leased.push(request.clone());
        let id = leased.len() as u64;
        let first = Block(id as u32 * COUNTED_BLOCKS);
        Ok(Lease { id: LeaseId(id), first, blocks: COUNTED_BLOCKS, ttl_ms: COUNTED_TTL.as_millis() as u64 })
    }
    async fn renew(&self, lease: LeaseId, _: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.answers()?;
        if usage.done() > 0 {
            self.wants_usage.store(false, Ordering::Relaxed);
        }
        self.renewed.lock().push((tokio::time::Instant::now(), lease));
        if lease.0 <= *self.ended_to.lock() { Err(LeaseError::NotHeld(lease)) } else { Ok(()) }
    }
    async fn give_back(&self, lease: LeaseId, _: Owner, usage: Usage) -> Result<(), LeaseError> {
        self.answers()?;
        self.given_back.lock().push((lease, usage));
        if lease.0 <= *self.ended_to.lock() { Err(LeaseError::NotHeld(lease)) } else { Ok(()) }
    }
}
