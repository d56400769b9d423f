//! A process of a shortener: `shortener/src/allocator/`, its book (`book/`), its claiming (`claiming.rs`) and its end
//! (`drain.rs`).

use std::collections::{BTreeSet, VecDeque};

use crate::link_store::{BLOCK_IDS, Block, Request};

/// Claimed blocks with unused ids at most, as in `book/mod.rs`.
const CLAIMED_BLOCKS_MAX: usize = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    NotStarted,
    Running,
    /// The queue of ready codes is closed, and what is unused is being handed back.
    Stopping,
    /// Crashed, or ended.
    Gone,
}

/// A claimed block that has unused ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claimed {
    pub block: Block,
    pub first_unused: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    pub phase: Phase,
    /// A block that is leased to it, and not claimed yet; unless leasing needs no state.
    pub leased: Option<Block>,
    /// In the order in which their ids are used. A claim outlives the lease that led to it.
    pub claimed: VecDeque<Claimed>,
    /// The request to the link store whose answer is awaited: one at a time.
    pub awaits: Option<Request>,
    /// Claims begun so far.
    pub attempts: u8,
    /// Blocks that are unused or handed back, and whose leases were not given back yet.
    pub to_give_back: BTreeSet<Block>,
}

impl Process {
    /// Whether it would try to claim another block.
    pub fn wants_block(&self, attempts_max: u8) -> bool {
        matches!(self.phase, Phase::NotStarted | Phase::Running)
            && self.awaits.is_none()
            && self.claimed.len() < CLAIMED_BLOCKS_MAX
            && self.attempts < attempts_max
    }

    pub fn leased(&mut self, block: Block) {
        self.phase = Phase::Running;
        self.leased = Some(block);
    }

    /// The block is its own, from an id on.
    pub fn granted(&mut self, block: Block, first_unused: u8) {
        self.done_with_lease(block);
        self.claimed.push_back(Claimed { block, first_unused });
    }

    /// The block is somebody else's, or must be taken to be.
    pub fn skip(&mut self, block: Block) {
        self.awaits = None;
        self.done_with_lease(block);
    }

    fn done_with_lease(&mut self, block: Block) {
        self.leased.take_if(|leased| *leased == block);
    }

    /// The next id to be used: a pop from the queue of ready codes (`ready.rs`).
    pub fn take(&mut self) -> Option<(Block, u8)> {
        let claimed = self.claimed.front_mut()?;
        let taken = (claimed.block, claimed.first_unused);
        claimed.first_unused += 1;
        if claimed.first_unused == BLOCK_IDS {
            self.claimed.pop_front();
        }
        Some(taken)
    }

    /// Closes the queue. A claim under way is awaited still.
    pub fn stop(&mut self) {
        self.phase = Phase::Stopping;
        if self.awaits.is_none() {
            self.to_give_back.extend(self.leased.take());
        }
    }

    /// A claimed block was handed back, or could not be and stays claimed for ever. Its lease is given back in either
    /// case, as of a block that is not used up.
    pub fn let_go(&mut self, block: Block) {
        self.awaits = None;
        self.claimed.retain(|claimed| claimed.block != block);
        self.to_give_back.insert(block);
    }

    pub fn gave_back(&mut self, block: Block) {
        self.to_give_back.remove(&block);
    }

    /// All that it knew is lost.
    pub fn crash(&mut self) {
        *self = Process { phase: Phase::Gone, ..Process::default() };
    }

    /// Ends once there is nothing that it would do any more: states that differ in what nobody knows are made one.
    pub fn settle(&mut self, attempts_max: u8) {
        let would_claim = self.phase != Phase::Stopping && (self.attempts < attempts_max || self.leased.is_some());
        let is_idle = self.awaits.is_none() && self.claimed.is_empty() && self.to_give_back.is_empty();
        if is_idle && !would_claim {
            self.crash();
        }
    }
}
