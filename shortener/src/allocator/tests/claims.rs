//! Claims in a link store on disk, which can be made to fail, and claims that are always granted.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use token_service::{BLOCK_IDS, Block, IdSpace, Owner};

use super::fakes::no_answer;
use crate::store::{Claim, Claims, Pinned, Store, StoreError, sqlite::SqliteStore};

pub const FULL_BLOCK: u64 = BLOCK_IDS;

/// Blocks made short: more than any test gets to.
const SHORT_BLOCKS: u32 = 4096;

/// The link store's claims, until they are told to fail.
pub struct StoredClaims {
    store: SqliteStore,
    file: SqliteConnectOptions,
    pub ids_per_block: u64,
    refused: AtomicUsize,
    pub down: AtomicBool,
    pub panics: AtomicBool,
    /// So many more calls find the store overloaded.
    pub overloaded: AtomicU32,
    /// A claim was not answered.
    pub failed: tokio::sync::Notify,
}

impl StoredClaims {
    /// Blocks are as if earlier owners had handed them back with this many ids unused: encoding takes its time in a debug build.
    pub async fn open(path: &Path, ids_per_block: u64) -> Arc<Self> {
        let claims = StoredClaims {
            store: SqliteStore::open(path).await.unwrap(),
            file: SqliteConnectOptions::new().filename(path),
            ids_per_block,
            refused: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            overloaded: AtomicU32::new(0),
            failed: tokio::sync::Notify::new(),
        };
        if ids_per_block < FULL_BLOCK {
            claims.shorten_blocks().await;
        }
        Arc::new(claims)
    }

    async fn shorten_blocks(&self) {
        sqlx::query(
            "WITH RECURSIVE blocks (block) AS (VALUES (0) UNION ALL SELECT block + 1 FROM blocks LIMIT ?1)
             INSERT OR IGNORE INTO claims (block, owner, first_unused) SELECT block, NULL, (block + 1) * ?2 - ?3 FROM blocks",
        )
        .bind(SHORT_BLOCKS)
        .bind(BLOCK_IDS as i64)
        .bind(self.ids_per_block as i64)
        .execute(&mut self.by_hand().await)
        .await
        .unwrap();
    }

    /// Plain access to the file, as a person at a prompt has it.
    async fn by_hand(&self) -> SqliteConnection {
        self.file.connect().await.unwrap()
    }

    pub fn first_id(&self, block: Block) -> u64 {
        assert!(block.0 < SHORT_BLOCKS);
        block.end_id() - self.ids_per_block
    }

    /// Blocks that this owner holds.
    pub async fn held_by(&self, owner: Owner) -> Vec<Block> {
        let held: Vec<u32> = sqlx::query_scalar("SELECT block FROM claims WHERE owner = ?")
            .bind(owner.0.as_bytes().to_vec())
            .fetch_all(&mut self.by_hand().await)
            .await
            .unwrap();
        held.into_iter().map(Block).collect()
    }

    pub fn refused_count(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub async fn close(&self) {
        self.store.close().await;
    }

    fn answers(&self) -> Result<&SqliteStore, StoreError> {
        assert!(!self.panics.load(Ordering::Relaxed), "told to");
        let overloaded = self.overloaded.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if overloaded.is_ok() {
            return Err(StoreError::Overloaded);
        }
        if self.down.load(Ordering::Relaxed) {
            self.failed.notify_one();
            return Err(StoreError::Unavailable(no_answer()));
        }
        Ok(&self.store)
    }
}

#[async_trait]
impl Claims for StoredClaims {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        let claim = self.answers()?.claim(block, owner).await?;
        self.refused.fetch_add(usize::from(claim == Claim::Refused), Ordering::Relaxed);
        Ok(claim)
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        self.answers()?.hand_back(block, owner, first_unused).await
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        self.answers()?.pin_id_space(id_space).await
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        self.answers()?.id_space().await
    }
}

/// Grants the last 40 ids of any block: for tests in which time stands still, which a database's thread would not.
pub struct AlwaysGranted;

#[async_trait]
impl Claims for AlwaysGranted {
    async fn claim(&self, block: Block, _: Owner) -> Result<Claim, StoreError> {
        Ok(Claim::Granted { first_unused: block.end_id() - 40 })
    }

    async fn hand_back(&self, _: Block, _: Owner, _: u64) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn pin_id_space(&self, _: &IdSpace) -> Result<Pinned, StoreError> {
        Ok(Pinned::Ours)
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        Ok(None)
    }
}

/// Grants as [`AlwaysGranted`] does, and answers nothing when a block is handed back.
pub struct NeverHandedBack;

#[async_trait]
impl Claims for NeverHandedBack {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        AlwaysGranted.claim(block, owner).await
    }

    async fn hand_back(&self, _: Block, _: Owner, _: u64) -> Result<bool, StoreError> {
        std::future::pending().await
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        AlwaysGranted.pin_id_space(id_space).await
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        AlwaysGranted.id_space().await
    }
}
