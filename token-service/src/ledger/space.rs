//! The one row that every transaction locks: how far the id space is leased, and the running totals.

use crate::{Account, Block, Ended, LeaseId, Usage, ids::BLOCK_COUNT};

/// The id space's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The database's clock when the row was asked for, in Unix milliseconds.
    pub now_ms: i64,
    /// Blocks below it were leased at least once, blocks from it on never.
    pub high_water: u32,
    pub next_lease: LeaseId,
    pub totals: Totals,
}

/// Sums over all leases, in blocks: see [`Account`](crate::Account).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub handed_out: u64,
    pub used: u64,
    pub lost: u64,
    pub in_use: u64,
    pub returned: u64,
    pub expired: u64,
    pub free: u64,
    pub open_leases: u64,
}

impl Space {
    /// Up to `wanted` blocks that were never leased.
    pub(super) fn raise(&mut self, wanted: u32) -> Option<(Block, u32)> {
        let first = self.high_water;
        let blocks = wanted.min(BLOCK_COUNT.saturating_sub(first));
        self.high_water += blocks;
        (blocks > 0).then_some((Block(first), blocks))
    }

    pub(super) fn take_lease_id(&mut self) -> LeaseId {
        let id = self.next_lease;
        self.next_lease = LeaseId(id.0 + 1);
        id
    }
}

impl Totals {
    pub(crate) fn account(&self, high_water: u32, first_leased_last_day: u64) -> Account {
        let Totals { handed_out, used, lost, in_use, returned, expired, free, open_leases } = *self;
        let ever_leased = u64::from(high_water);
        Account {
            ever_leased,
            handed_out,
            used,
            lost,
            in_use,
            returned,
            expired,
            free,
            open_leases,
            first_leased_last_day,
        }
    }

    // Nothing overflows while the sums agree. Were they changed by hand, leasing would go on, and the account would say so.

    pub(super) fn leased(&mut self, blocks: u32, again: bool) {
        let blocks = u64::from(blocks);
        add(&mut self.handed_out, blocks);
        add(&mut self.in_use, blocks);
        add(&mut self.open_leases, 1);
        if again {
            take(&mut self.free, blocks);
        }
    }

    pub(super) fn reported(&mut self, before: Usage, after: Usage) {
        add(&mut self.used, u64::from(after.used - before.used));
        add(&mut self.lost, u64::from(after.refused - before.refused));
        take(&mut self.in_use, u64::from(after.done() - before.done()));
    }

    pub(super) fn ended(&mut self, rest: u32, how: Ended) {
        let rest = u64::from(rest);
        take(&mut self.in_use, rest);
        match how {
            Ended::Returned => add(&mut self.returned, rest),
            Ended::Expired => add(&mut self.expired, rest),
        }
        add(&mut self.free, rest);
        take(&mut self.open_leases, 1);
    }
}

fn add(sum: &mut u64, number: u64) {
    *sum = sum.saturating_add(number);
}

fn take(sum: &mut u64, number: u64) {
    *sum = sum.saturating_sub(number);
}
