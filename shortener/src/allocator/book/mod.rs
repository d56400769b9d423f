//! What is leased, claimed and used: the allocator's bookkeeping. It does no I/O and reads no clock.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use token_service::{Block, Lease, LeaseId, LeaseRequest, Owner, Usage};
use tokio::time::Instant;
use uuid::Uuid;

/// Claimed blocks with unused ids at most: what a crash may cost.
pub(super) const CLAIMED_BLOCKS_MAX: usize = 2;

/// A lease is to last this long at the rate of late.
const LEASE_WORK: Duration = Duration::from_secs(600);

/// A rate measured over less than this is no rate: a burst right after the start would lease far too much.
const RATE_WINDOW_MIN: Duration = Duration::from_secs(10);

/// However short a lease lives, it is not renewed more often.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How many blocks to lease when this many were used up in this time: about ten minutes' worth, 1 to [`Lease::BLOCKS_MAX`].
fn blocks_to_lease(blocks_used_up: u32, in_time: Duration) -> u32 {
    let seconds = in_time.max(RATE_WINDOW_MIN).as_secs_f64();
    let blocks = f64::from(blocks_used_up) / seconds * LEASE_WORK.as_secs_f64();
    (blocks.ceil() as u32).clamp(1, Lease::BLOCKS_MAX)
}

/// What became of a block after its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    InUse,
    UsedUp,
    /// Refused, or never answered: somebody else's, as far as we know.
    Refused,
}

/// A lease we hold.
#[derive(Debug)]
struct Held {
    serial: u64,
    lease: Lease,
    /// Of its first blocks, in order; the rest is unclaimed.
    fates: Vec<Fate>,
    renew_at: Instant,
    /// After a failure to give it back.
    give_back_not_before: Instant,
    give_backs_failed: u32,
}

impl Held {
    fn unclaimed(&self) -> u32 {
        self.lease.blocks - self.fates.len() as u32
    }

    fn is_finished(&self) -> bool {
        self.unclaimed() == 0 && !self.fates.contains(&Fate::InUse)
    }

    /// The blocks that are done with, up to the first that is not: those after it must stay free to come back.
    fn usage(&self) -> Usage {
        let done = self.fates.iter().take_while(|fate| **fate != Fate::InUse);
        done.fold(Usage::default(), |usage, fate| match fate {
            Fate::Refused => Usage { refused: usage.refused + 1, ..usage },
            _ => Usage { used: usage.used + 1, ..usage },
        })
    }

    fn set_fate(&mut self, block: Block, fate: Fate) {
        let index = (block.0 - self.lease.first.0) as usize;
        if index == self.fates.len() {
            self.fates.push(fate);
        } else {
            self.fates[index] = fate;
        }
    }
}

/// A block of a lease, which is named by our own count: a lease store that was restored from a copy gives the same
/// [`LeaseId`] again, to other blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeasedBlock {
    lease_serial: u64,
    pub block: Block,
}

/// A block claimed by us that still has unused ids, from `first_unused` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClaimedBlock {
    pub block: LeasedBlock,
    pub first_unused: u64,
}

/// What is to be done about leases next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Lease(LeaseRequest),
    Renew(LeaseId, Usage),
    GiveBack(LeaseId, Usage),
    /// Nothing before this moment, unless blocks are claimed or used up before.
    Wait(Option<Instant>),
}

#[derive(Debug)]
pub(super) struct Book {
    owner: Owner,
    /// In the order in which they came and are claimed. Few: one is leased only when the others run out.
    held: VecDeque<Held>,
    /// In the order in which their ids are taken. A claim outlives the lease that led to it.
    claimed: VecDeque<ClaimedBlock>,
    /// The request that has no answer yet: repeated as it is, so that it cannot lease twice.
    asking: Option<LeaseRequest>,
    ask_not_before: Instant,
    used_up_since_leased: u32,
    leased_at: Instant,
    next_serial: u64,
}

impl Book {
    pub(super) fn new(owner: Owner, now: Instant) -> Self {
        Self {
            owner,
            held: VecDeque::new(),
            claimed: VecDeque::new(),
            asking: None,
            ask_not_before: now,
            used_up_since_leased: 0,
            leased_at: now,
            next_serial: 0,
        }
    }

    pub(super) fn unclaimed_blocks(&self) -> u32 {
        self.held.iter().map(Held::unclaimed).sum()
    }

    /// The block to claim now, if another may be claimed and one is leased.
    pub(super) fn next_to_claim(&self) -> Option<LeasedBlock> {
        if self.claimed.len() == CLAIMED_BLOCKS_MAX {
            return None;
        }
        self.held.iter().find_map(|held| {
            let block = held.lease.blocks().nth(held.fates.len())?;
            Some(LeasedBlock { lease_serial: held.serial, block })
        })
    }

    /// The block was claimed: its ids from `first_unused` on are ours.
    pub(super) fn granted(&mut self, block: LeasedBlock, first_unused: u64) {
        self.claimed.push_back(ClaimedBlock { block, first_unused });
        self.set_fate(block, Fate::InUse);
    }

    /// The block is somebody else's, or must be taken to be.
    pub(super) fn refused(&mut self, block: LeasedBlock) {
        self.set_fate(block, Fate::Refused);
    }

    /// The ids of the first `count` claimed blocks are used up.
    pub(super) fn used_up(&mut self, count: u32) {
        for _ in 0..count {
            let Some(claimed) = self.claimed.pop_front() else { return };
            self.set_fate(claimed.block, Fate::UsedUp);
            self.used_up_since_leased += 1;
        }
    }

    /// A claimed block turned out to hold no code at all.
    pub(super) fn holds_no_code(&mut self, block: LeasedBlock) {
        self.claimed.retain(|claimed| claimed.block != block);
        self.set_fate(block, Fate::UsedUp);
    }

    /// Notes what became of a block, unless its lease was lost meanwhile.
    fn set_fate(&mut self, block: LeasedBlock, fate: Fate) {
        if let Some(held) = self.held.iter_mut().find(|held| held.serial == block.lease_serial) {
            held.set_fate(block.block, fate);
        }
    }

    /// What to do about leases now.
    pub(super) fn next_step(&mut self, now: Instant) -> Step {
        if self.wants_lease() && self.ask_not_before <= now {
            return Step::Lease(self.ask(now));
        }
        for held in &self.held {
            if held.is_finished() {
                if held.give_back_not_before <= now {
                    return Step::GiveBack(held.lease.id, held.usage());
                }
            } else if held.renew_at <= now {
                return Step::Renew(held.lease.id, held.usage());
            }
        }
        let upkeep =
            self.held.iter().map(|held| if held.is_finished() { held.give_back_not_before } else { held.renew_at });
        Step::Wait(upkeep.chain(self.wants_lease().then_some(self.ask_not_before)).min())
    }

    /// At most half of the newest lease is left, all leases taken together.
    fn wants_lease(&self) -> bool {
        self.held.back().is_none_or(|newest| self.unclaimed_blocks() * 2 <= newest.lease.blocks)
    }

    fn ask(&mut self, now: Instant) -> LeaseRequest {
        let request = self.asking.take().unwrap_or_else(|| LeaseRequest {
            request_id: Uuid::new_v4(),
            owner: self.owner,
            blocks: blocks_to_lease(self.used_up_since_leased, now - self.leased_at),
        });
        self.asking.insert(request).clone()
    }

    /// A lease arrived that was asked for at `asked_at`.
    pub(super) fn leased(&mut self, lease: Lease, asked_at: Instant) {
        // One of the same id is unknown to the lease store by now.
        self.forget(lease.id);
        self.asking = None;
        self.used_up_since_leased = 0;
        self.leased_at = asked_at;
        self.next_serial += 1;
        self.held.push_back(Held {
            serial: self.next_serial,
            renew_at: asked_at + renewal_interval(&lease),
            give_back_not_before: asked_at,
            give_backs_failed: 0,
            fates: Vec::with_capacity(lease.blocks as usize),
            lease,
        });
    }

    /// Ask for a lease again, not before `at`.
    pub(super) fn ask_again(&mut self, at: Instant) {
        self.ask_not_before = at;
    }

    /// The lease store will never grant this request: the next one is another.
    pub(super) fn forget_request(&mut self) {
        self.asking = None;
    }

    pub(super) fn renewed(&mut self, lease: LeaseId, asked_at: Instant) {
        if let Some(held) = self.find(lease) {
            held.renew_at = asked_at + renewal_interval(&held.lease);
        }
    }

    pub(super) fn renew_again(&mut self, lease: LeaseId, at: Instant) {
        if let Some(held) = self.find(lease) {
            held.renew_at = at;
        }
    }

    /// The usage of every lease is reported now, whenever it was due.
    pub(super) fn report_now(&mut self, now: Instant) {
        for held in &mut self.held {
            held.renew_at = held.renew_at.min(now);
        }
    }

    /// A finished lease could not be given back: try again, or leave it to expire after `attempts_max`. Whether it is left.
    pub(super) fn give_back_again(&mut self, lease: LeaseId, at: Instant, attempts_max: u32) -> bool {
        let Some(held) = self.find(lease) else { return false };
        held.give_backs_failed += 1;
        held.give_back_not_before = at;
        let given_up = held.give_backs_failed >= attempts_max;
        if given_up {
            self.forget(lease);
        }
        given_up
    }

    /// The lease is over: given back, or lost. Blocks claimed already stay ours; the others are dropped.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.held.retain(|held| held.lease.id != lease);
    }

    /// At the end: the claimed blocks with unused ids, when `first_left` is the first id that nobody took, or `None` if there is
    /// none. Blocks before it are used up.
    pub(super) fn left_over(&mut self, first_left: Option<u64>) -> Vec<ClaimedBlock> {
        let block_left = first_left.map(Block::of);
        let used_up = self.claimed.iter().take_while(|claimed| Some(claimed.block.block) != block_left).count();
        self.used_up(used_up as u32);
        if let (Some(claimed), Some(first_left)) = (self.claimed.front_mut(), first_left) {
            claimed.first_unused = first_left;
        }
        self.claimed.drain(..).collect()
    }

    /// At the end: every lease we hold, with its usage.
    pub(super) fn held_leases(&self) -> Vec<(LeaseId, Usage)> {
        self.held.iter().map(|held| (held.lease.id, held.usage())).collect()
    }

    fn find(&mut self, lease: LeaseId) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.lease.id == lease)
    }
}

/// A lease is renewed at a third of its time to live, so that two renewals may fail.
fn renewal_interval(lease: &Lease) -> Duration {
    (lease.ttl() / 3).max(RENEWAL_INTERVAL_MIN)
}
