//! Claims: the rows that make one instance the only user of one block.

use async_trait::async_trait;
use token_service::{Block, Fingerprint, IdSpace, Owner};

use super::StoreError;

/// What came of claiming a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The block is the owner's, from `first_unused` to its end: all of it, or what an earlier owner handed back.
    Granted { first_unused: u64 },
    /// Somebody else has it, or has used it up.
    Refused,
}

/// What came of pinning an id space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// The store belongs to this id space, now or since earlier.
    Ours,
    /// The store belongs to another id space: its codes were made under another key. Use neither.
    Theirs(Fingerprint),
}

/// Grants blocks. The safety of every id rests here:
/// - an id is used only by the holder of its block's claim;
/// - a block's claim is granted once, by the store that holds the links;
/// - a claim handed back names the first unused id, in a transaction conditional on the owner.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// Claims a block for `owner`: a lightweight transaction, serialised with every other claim of the same block, durable
    /// before it is answered. A block that the same owner was granted by an earlier call is *refused*: leases may overlap, and
    /// its ids are in use. An implementation that gets no answer from its database reads the claim back serially, tells this
    /// call's attempt from earlier ones, and grants what turns out to be this attempt's; after [`StoreError::Unavailable`]
    /// the caller goes on to the next block.
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError>;

    /// Hands a claimed block back at `first_unused`, an id of the block or its end (then nothing can be claimed of it again). Only
    /// if `owner` holds it: `false`, and nothing changed, if not.
    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError>;

    /// Ties this store to an id space, the first time for ever, and keeps it whole: with its key, an instance reads codes
    /// without asking the lease store. Until then no link can be found by its code.
    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError>;

    /// The id space that this store is tied to; `None` before the first pin, and where an older version pinned the fingerprint
    /// alone, which the next pin makes good.
    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError>;
}
