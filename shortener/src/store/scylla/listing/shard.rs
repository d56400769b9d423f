//! Which partition of its hour lists a link.
//!
//! The n-th link that an instance makes within a second goes to shard n modulo [`SHARDS`], counted from 0 in each second. So one partition an
//! hour takes what a quiet installation makes, and is all that a listing reads of it; and a busy one, at 64 per second and more, spreads each
//! second over all of them.
//!
//! **The bound.** Of n links in one second, one shard gets n / 64, rounded up: less than n / 64 + 1. Over an hour, a shard so gets less than a 64th of
//! all of an instance's links, and 3,600 more: the number of its seconds. Shard 0 gets the most.

use std::sync::atomic::{AtomicU64, Ordering};

/// Partitions of one hour, in each of the two listings.
pub const SHARDS: i16 = 64;

/// The shard of the n-th link of a second, counted from 0. Whoever knows every link of a second may number them itself, and
/// then gets the same shards whenever it does so again.
pub fn of_position(n: u64) -> i16 {
    i16::try_from(n % SHARDS.unsigned_abs() as u64).expect("it is less than SHARDS")
}

/// Bits of [`Turns`] that count links. They last for sixteen million links in one second.
const COUNT_BITS: u32 = 24;

/// Numbers the links of each second: the second, and how many it has had, in one word.
#[derive(Debug, Default)]
pub struct Turns(AtomicU64);

impl Turns {
    /// How many links this second has had so far. Tasks that overtake each other at a second's end are numbered on.
    pub fn next(&self, created_at_ms: i64) -> u64 {
        const COUNT: u64 = (1 << COUNT_BITS) - 1;
        const SECONDS: u64 = u64::MAX >> COUNT_BITS;
        let second = created_at_ms.div_euclid(1_000).cast_unsigned() & SECONDS;
        let turn = |word: u64| {
            let (last, count) = (word >> COUNT_BITS, word & COUNT);
            if second == last || second == last.wrapping_sub(1) & SECONDS { (last, count) } else { (second, 0) }
        };
        let next = |word| {
            let (second, n) = turn(word);
            Some(second << COUNT_BITS | (n + 1) & COUNT)
        };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|word| word);
        turn(before).1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    /// Seen to fail when numbers went on from second to second.
    #[test]
    fn a_quiet_hour_has_one_shard_and_a_busy_second_all() {
        let turns = Turns::default();
        let quiet = (0..100).map(|second| of_position(turns.next(NOW_MS + second * 1_000)));
        assert!(quiet.into_iter().all(|shard| shard == 0));
        let busy = (0..128).map(|n| of_position(turns.next(NOW_MS + 200_000 + n)));
        assert!(busy.eq((0..SHARDS).chain(0..SHARDS)));
    }

    /// Seen to fail when a link of the second before began the numbers anew.
    #[test]
    fn who_is_late_by_a_second_is_numbered_on() {
        let turns = Turns::default();
        let numbers = [999, 1_000, 999, 1_001, 999].map(|ms| turns.next(NOW_MS + ms));
        assert_eq!(numbers, [0, 0, 1, 2, 3]);
    }

    proptest! {
        /// Seen to fail when every second link went to shard 0.
        #[test]
        fn no_shard_gets_more_than_its_bound(seconds in prop::collection::vec(0..300_u64, 1..20)) {
            let turns = Turns::default();
            let mut shards = [0_u64; SHARDS as usize];
            for (second, links) in (0..).zip(&seconds) {
                for _ in 0..*links {
                    shards[of_position(turns.next(NOW_MS + second * 1_000)) as usize] += 1;
                }
            }
            let all: u64 = seconds.iter().sum();
            prop_assert!(shards.iter().all(|links| *links <= seconds.len() as u64 + all / SHARDS as u64));
            prop_assert_eq!(shards.iter().max(), Some(&shards[0]));
        }
    }
}
