//! The id space: `[0, 62^7)`, cut into aligned blocks.

use serde::{Deserialize, Serialize};

/// How many ids there are: every code has 7 base62 characters.
pub const ID_COUNT: u64 = 62u64.pow(7);

/// Ids in one block.
pub const BLOCK_IDS: u64 = 4096;

/// Whole blocks in the id space. The last, partial one (3,968 ids) is never leased.
pub const BLOCK_COUNT: u32 = (ID_COUNT / BLOCK_IDS) as u32;

/// A block: [`BLOCK_IDS`] consecutive ids, aligned, named by its index in `[0, BLOCK_COUNT)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Block(pub u32);

impl Block {
    /// The block that holds `id`.
    pub fn of(id: u64) -> Self {
        Block((id / BLOCK_IDS) as u32)
    }

    /// The first id of this block.
    pub fn first_id(self) -> u64 {
        u64::from(self.0) * BLOCK_IDS
    }

    /// One past the last id of this block.
    pub fn end_id(self) -> u64 {
        self.first_id() + BLOCK_IDS
    }
}
