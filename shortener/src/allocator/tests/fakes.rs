//! Claims in a map, and lease stores that fail or forget.

use std::{
    collections::HashMap,
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
    BLOCK_IDS, Block, Fingerprint, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRequest, Leases, Owner,
    Usage,
    sqlite::{SqliteLeases, SqliteOptions},
};

use crate::store::{Claim, Claims, Pinned, StoreError};

fn no_answer() -> Box<dyn std::error::Error + Send + Sync> {
    "switched off".into()
}

/// A block's row.
#[derive(Clone, Copy)]
struct Row {
    holder: Option<Owner>,
    first_unused: u64,
}

/// Claims as their contract has them.
pub struct MapClaims {
    rows: Mutex<HashMap<Block, Row>>,
    refused: Mutex<Vec<Block>>,
    ids_per_block: u64,
    pub down: AtomicBool,
    pub panics: AtomicBool,
    /// A claim was not answered.
    pub failed: tokio::sync::Notify,
}

impl MapClaims {
    /// Blocks look as if earlier owners had handed them back with this many ids unused: encoding takes its time in a debug build.
    pub fn with_ids_per_block(ids_per_block: u64) -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            refused: Mutex::default(),
            ids_per_block,
            down: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            failed: tokio::sync::Notify::new(),
        })
    }

    pub fn first_id(&self, block: Block) -> u64 {
        block.end_id() - self.ids_per_block
    }

    /// Blocks that this owner holds.
    pub fn held_by(&self, owner: Owner) -> Vec<Block> {
        let rows = self.rows.lock();
        rows.iter().filter(|(_, row)| row.holder == Some(owner)).map(|(block, _)| *block).collect()
    }

    pub fn refused_count(&self) -> usize {
        self.refused.lock().len()
    }
}

#[async_trait]
impl Claims for MapClaims {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        tokio::task::yield_now().await;
        assert!(!self.panics.load(Ordering::Relaxed), "told to");
        if self.down.load(Ordering::Relaxed) {
            self.failed.notify_one();
            return Err(StoreError::Unavailable(no_answer()));
        }
        let mut rows = self.rows.lock();
        let row = rows.entry(block).or_insert(Row { holder: None, first_unused: self.first_id(block) });
        if row.holder.is_some() || row.first_unused == block.end_id() {
            self.refused.lock().push(block);
            return Ok(Claim::Refused);
        }
        row.holder = Some(owner);
        Ok(Claim::Granted { first_unused: row.first_unused })
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        if self.down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable(no_answer()));
        }
        let mut rows = self.rows.lock();
        match rows.get_mut(&block) {
            Some(row) if row.holder == Some(owner) => {
                assert!(first_unused >= row.first_unused && first_unused <= block.end_id());
                *row = Row { holder: None, first_unused };
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn pin_id_space(&self, _: Fingerprint) -> Result<Pinned, StoreError> {
        Ok(Pinned::Ours)
    }
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
    pub inner: Arc<dyn Leases>,
    pub down: AtomicBool,
}

impl Switched {
    pub fn new(inner: Arc<dyn Leases>) -> Arc<Self> {
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
    async fn records(&self, after: Option<LeaseId>, limit: u32) -> Result<Vec<LeaseRecord>, LeaseError> {
        self.answers()?.records(after, limit).await
    }
}

/// Leases of eight blocks, by count, in memory: for tests in which time stands still, which a database's thread would not.
#[derive(Default)]
pub struct CountedLeases {
    leased: Mutex<Vec<LeaseRequest>>,
    pub renewed: Mutex<Vec<(tokio::time::Instant, LeaseId)>>,
    /// Leases up to this one have ended.
    pub ended_to: Mutex<u64>,
}

pub const COUNTED_BLOCKS: u32 = 8;
pub const COUNTED_TTL: Duration = Duration::from_secs(3600);

#[async_trait]
impl Leases for CountedLeases {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Ok(IdSpace::new([1; 32]))
    }
    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        let mut leased = self.leased.lock();
        leased.push(request.clone());
        let id = leased.len() as u64;
        let first = Block(id as u32 * COUNTED_BLOCKS);
        Ok(Lease { id: LeaseId(id), first, blocks: COUNTED_BLOCKS, ttl_ms: COUNTED_TTL.as_millis() as u64 })
    }
    async fn renew(&self, lease: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        self.renewed.lock().push((tokio::time::Instant::now(), lease));
        if lease.0 <= *self.ended_to.lock() { Err(LeaseError::NotHeld(lease)) } else { Ok(()) }
    }
    async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Ok(())
    }
    async fn records(&self, _: Option<LeaseId>, _: u32) -> Result<Vec<LeaseRecord>, LeaseError> {
        Ok(Vec::new())
    }
}

pub const FULL_BLOCK: u64 = BLOCK_IDS;
