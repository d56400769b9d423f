//! The contract of the seam "leases": who may use which blocks, and the record of it.

use std::{error::Error as StdError, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Account, Fingerprint, IdSpace, ids::Block};

/// Blocks that one owner may hold in open leases without having used them, unless a store is told otherwise: four of the largest
/// leases. An instance at full speed holds less than two.
pub const UNUSED_BLOCKS_MAX: u64 = 4 * Lease::BLOCKS_MAX as u64;

/// One process of a shortener, from start to end: a fresh random UUID for each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Owner(pub Uuid);

impl Owner {
    /// A new owner, unlike any other.
    pub fn random() -> Self {
        Owner(Uuid::new_v4())
    }
}

/// Names a lease in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct LeaseId(pub u64);

/// Asks for consecutive blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Repeating a request with the same id returns the same lease: safe to retry without end.
    pub request_id: Uuid,
    pub owner: Owner,
    /// How many blocks are wanted, 1 to [`Lease::BLOCKS_MAX`].
    pub blocks: u32,
}

/// Consecutive blocks that one owner may try to claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct Lease {
    pub id: LeaseId,
    pub first: Block,
    /// 1 to as many as were asked for.
    pub blocks: u32,
    /// The lease ends this long after it was leased or last renewed, unless it is renewed.
    pub ttl_ms: u64,
}

impl Lease {
    /// The most blocks in one lease.
    pub const BLOCKS_MAX: u32 = 256;

    /// Its blocks, in the order in which they are to be claimed.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = Block> + use<> {
        (self.first.0..self.first.0 + self.blocks).map(Block)
    }

    /// How long the lease lives without a renewal.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

/// What became of a lease's blocks so far. Blocks are taken in order: the first `used + refused` are done with, the rest
/// were never claimed or were handed back, and may be leased again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Blocks that were claimed, and whose ids are used up. A block still in use is not among them, so that a graceful stop
    /// can hand it back, and nor is any block after it.
    pub used: u32,
    /// Blocks whose claim the link store refused, because somebody else had them, or never answered.
    pub refused: u32,
}

impl Usage {
    /// Blocks that are done with, one way or the other.
    pub fn done(self) -> u32 {
        self.used.saturating_add(self.refused)
    }
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The owner gave it back; the blocks it had not used may be leased again.
    Returned,
    /// It was not renewed in time; all of its blocks beyond the last reported usage may be leased again. The claims
    /// decide which of them are still of use.
    Expired,
}

impl Ended {
    /// As it stands in a database.
    pub fn name(self) -> &'static str {
        match self {
            Ended::Returned => "returned",
            Ended::Expired => "expired",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Ended::Returned, Ended::Expired].into_iter().find(|ended| ended.name() == name)
    }
}

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    Open,
    Returned,
    Expired,
}

/// A row of the record, which is never deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct LeaseRecord {
    #[serde(flatten)]
    pub lease: Lease,
    pub request_id: Uuid,
    pub owner: Owner,
    pub usage: Usage,
    /// Unix milliseconds, by the clock of the database's host: for people to read. No decision about an id rests on it.
    pub leased_at_ms: i64,
    pub renewed_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub ended: Option<Ended>,
}

impl LeaseRecord {
    pub fn state(&self) -> LeaseState {
        match self.ended {
            None => LeaseState::Open,
            Some(Ended::Returned) => LeaseState::Returned,
            Some(Ended::Expired) => LeaseState::Expired,
        }
    }

    /// Blocks that are not done with: still the owner's in an open lease, free again after its end.
    pub fn rest(&self) -> u32 {
        self.lease.blocks.saturating_sub(self.usage.done())
    }
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Every block of the id space is leased, and none came back.
    #[error("the id space is exhausted: all {} blocks are leased", crate::BLOCK_COUNT)]
    Exhausted,
    /// The lease is not this owner's, or has ended. Stop claiming its blocks and ask for another lease; what was claimed
    /// already stays valid.
    #[error("lease {} has ended or belongs to another owner", .0.0)]
    NotHeld(LeaseId),
    /// The request itself is wrong, and would be wrong again.
    #[error("invalid lease request: {0}")]
    Invalid(String),
    /// The owner holds as many blocks as it may without having used them. Use some, report them, and ask again.
    #[error("owner {owner} holds {unused} unused blocks; {max} are allowed", owner = .owner.0)]
    TooManyUnused { owner: Owner, unused: u64, max: u64 },
    /// These leases are of another id space than the caller's: its codes would be made under another key.
    #[error("the leases are of the id space {theirs}, the links of {ours}: another --leases is meant")]
    WrongIdSpace { ours: Fingerprint, theirs: Fingerprint },
    /// The caller did not prove who it is.
    #[error("the token service refuses the secret: set the same --token-service-secret on both sides")]
    Unauthorized,
    /// Too many calls wait already: nothing was done. Repeat it later.
    #[error("the lease store has too much to do")]
    Overloaded,
    /// No answer: it may or may not have been carried out. Repeat it.
    #[error("the lease store does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

/// Hands out blocks of the id space.
///
/// **What it promises**: every lease is on record before it is answered, and no two leases that are open at the same
/// moment share a block. **What nobody may build on**: that promise. A database may lose commits, be restored from a copy or run
/// twice; then leases overlap, and the claims in the link store keep every id unique all the same. So callers claim each
/// block before they use it, and implementations need no fencing.
///
/// All calls are idempotent; all of them may be repeated after [`LeaseError::Unavailable`]. None is on the path of a
/// request of a user. A call that is dropped half-way is either carried out whole or not at all.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// The id space that these leases belong to; the same for ever.
    async fn id_space(&self) -> Result<IdSpace, LeaseError>;

    /// Leases up to `request.blocks` consecutive blocks: never zero, fewer when the free run at hand is shorter. Blocks that
    /// came back from ended leases go first. The same `request_id` gives the same lease, even when it has ended since.
    async fn lease(&self, request: &LeaseRequest) -> Result<Lease, LeaseError>;

    /// Puts off the end of the lease by its time to live and records its usage, which never goes back: the higher
    /// figures win. [`LeaseError::NotHeld`] once it has ended.
    async fn renew(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError>;

    /// Ends the lease; its blocks after the first `used + refused` may be leased again. Repeating it is fine and changes
    /// nothing. [`LeaseError::NotHeld`] if it belongs to another owner or has expired.
    async fn give_back(&self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError>;

    /// Ends what was begun, and closes the store: the last call. Nothing to do where nothing is held open.
    async fn close(&self) {}
}

/// Which leases of the record are meant: those that are like every field that is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordFilter {
    pub state: Option<LeaseState>,
    pub owner: Option<Owner>,
}

/// Reads the record, for those who run the service.
#[async_trait]
pub trait LeaseRecords: Send + Sync + 'static {
    /// The leases that `filter` means, oldest first, after `after`, at most `limit` rows.
    async fn records(
        &self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, LeaseError>;

    /// What became of every block, by the running totals that each transaction keeps.
    async fn account(&self) -> Result<Account, LeaseError>;
}

/// A whole lease store.
pub trait LeaseStore: Leases + LeaseRecords {}

impl<T: Leases + LeaseRecords> LeaseStore for T {}
