//! What became of every block that was ever handed out.

use serde::{Deserialize, Serialize};

use crate::BLOCK_COUNT;

/// The blocks of the id space, by what became of them. A block that is leased again is handed out again, and counts again.
///
/// [`is_balanced`](Self::is_balanced) holds after every transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "service", derive(utoipa::ToSchema))]
pub struct Account {
    /// Blocks that were leased at least once: all below the high-water mark.
    pub ever_leased: u64,
    /// Blocks of all leases together.
    pub handed_out: u64,
    /// Of these: reported as used up.
    pub used: u64,
    /// Of these: reported as lost, since somebody else had claimed them or their claim was not answered.
    pub lost: u64,
    /// Of these: in open leases and not reported yet.
    pub in_use: u64,
    /// Of these: came back unused with a lease that was returned.
    pub returned: u64,
    /// Of these: came back with a lease that expired. Their claims decide which of them are still of use.
    pub expired: u64,
    /// Blocks that came back and wait to be leased again.
    pub free: u64,
    /// Leases that are open.
    pub open_leases: u64,
    /// Blocks leased for the first time within the last day, by the clock of the database's host.
    pub first_leased_last_day: u64,
}

impl Account {
    /// Whether every block ever handed out is used, lost, in use, returned or expired; and every one that came back is free or
    /// was handed out again.
    pub fn is_balanced(&self) -> bool {
        // Wide enough for whatever a database may hold.
        let sum = |blocks: &[u64]| blocks.iter().copied().map(u128::from).sum::<u128>();
        let handed_out = sum(&[self.used, self.lost, self.in_use, self.returned, self.expired]);
        handed_out == u128::from(self.handed_out)
            && self.handed_out >= self.ever_leased
            && sum(&[self.handed_out, self.free]) == sum(&[self.ever_leased, self.returned, self.expired])
    }

    /// Blocks that can still be leased.
    pub fn left(&self) -> u64 {
        u64::from(BLOCK_COUNT).saturating_sub(self.ever_leased) + self.free
    }

    /// How many days the blocks left would last at the last day's rate; `None` if nothing new was leased during it.
    pub fn days_left(&self) -> Option<u64> {
        self.left().checked_div(self.first_leased_last_day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCED: Account = Account {
        ever_leased: 10,
        handed_out: 13,
        used: 4,
        lost: 1,
        in_use: 3,
        returned: 3,
        expired: 2,
        free: 2,
        open_leases: 2,
        first_leased_last_day: 10,
    };

    /// Seen to fail when either sum is not compared, and when two sums that cannot be are taken for equal.
    #[test]
    fn a_block_too_many_or_too_few_is_noticed() {
        assert!(Account::default().is_balanced() && BALANCED.is_balanced());
        let unbalanced = [
            Account { used: 5, ..BALANCED },
            Account { free: 1, ..BALANCED },
            Account { ever_leased: 9, ..BALANCED },
            Account { ever_leased: 14, ..BALANCED },
            Account { free: 6, ..BALANCED },
            Account { ever_leased: 14, free: 6, ..BALANCED },
            Account { handed_out: 14, in_use: 4, ..BALANCED },
        ];
        for account in unbalanced {
            assert!(!account.is_balanced(), "{account:?}");
        }
    }

    #[test]
    fn what_is_left_lasts_for_so_many_days() {
        assert_eq!(BALANCED.left(), u64::from(BLOCK_COUNT) - 10 + 2);
        assert_eq!(BALANCED.days_left(), Some(BALANCED.left() / 10));
        assert_eq!(Account::default().days_left(), None);
    }
}
