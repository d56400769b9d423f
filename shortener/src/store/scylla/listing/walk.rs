//! A walk through the listing: the entries of many partitions, in one order.
//!
//! It goes in rounds. Each asks some partitions for a few entries behind the place that was reached; of one that answers with as many as it
//! was asked for, there may be more. So the merged answers are whole as far as the first of those goes, and the next round begins there. Where
//! hours turn out to be sparse, a round takes twice as many partitions as the one before: a hundred links in a hundred hours are
//! found in five rounds.

use std::collections::VecDeque;

use futures::{StreamExt, TryStreamExt, stream};

use super::{Entry, Partition, hours::hour, rank, rank_of, registry::Registry, tables::Tables};
use crate::{
    link::LinkId,
    store::{Cursor, Order, StoreError},
};

/// Queries of one walk that are under way at the same time.
pub const QUERIES_AT_ONCE: usize = 64;

/// Partitions of the first round, unless its first hour has more.
const PARTITIONS_AT_FIRST: usize = 8;
/// Partitions of a round, unless its first hour has more: both listings' are 128.
const PARTITIONS_AT_ONCE_MAX: usize = 128;
/// Entries that are asked of a partition beyond its share: so that a round seldom ends early because one has a little more than others.
const ENTRIES_SPARE: usize = 8;
/// Entries that one query gives at most.
const ENTRIES_PER_ANSWER: usize = 1_000;

/// What a query with a limit gave, in order.
#[derive(Debug)]
pub struct Answer<T> {
    pub items: Vec<T>,
    /// There may be more behind them.
    pub more: bool,
}

impl<T> Answer<T> {
    pub fn new(items: Vec<T>, limit: usize) -> Self {
        Answer { more: items.len() >= limit, items }
    }
}

/// Answers put together.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged<T> {
    /// In order, and whole as far as they go; equals stand in the order of their answers.
    pub items: Vec<T>,
    /// There may be more behind the last of them.
    pub cut: bool,
}

/// Puts answers together, as far as each of them is known.
pub fn merge<T, R: Ord>(answers: Vec<Answer<T>>, rank: impl Fn(&T) -> R) -> Merged<T> {
    let ends = answers.iter().filter(|answer| answer.more).filter_map(|answer| answer.items.last());
    let end = ends.map(&rank).min();
    let mut items: Vec<T> = answers.into_iter().flat_map(|answer| answer.items).collect();
    if let Some(end) = &end {
        items.retain(|item| rank(item) <= *end);
    }
    items.sort_by_key(&rank);
    Merged { items, cut: end.is_some() }
}

/// A walk.
pub struct Walk<'a, T> {
    tables: &'a T,
    order: Order,
    registry: Registry<'a, T>,
    registry_ended: bool,
    /// What was reached: entries up to here have been given.
    after: Cursor,
    /// What lies ahead, in order of their hours.
    partitions: VecDeque<Partition>,
    partitions_at_once: usize,
}

impl<'a, T: Tables> Walk<'a, T> {
    /// A walk that begins behind a place, or at the beginning.
    pub fn new(tables: &'a T, listings: &'static [bool], order: Order, after: Option<Cursor>) -> Self {
        let after = after.unwrap_or(match order {
            Order::NewestFirst => Cursor { created_at_ms: i64::MAX, id: LinkId(i64::MAX.unsigned_abs()) },
            Order::OldestFirst => Cursor { created_at_ms: i64::MIN, id: LinkId(0) },
        });
        Walk {
            tables,
            order,
            registry: Registry::new(tables, listings, order, hour(after.created_at_ms)),
            registry_ended: false,
            after,
            partitions: VecDeque::new(),
            partitions_at_once: PARTITIONS_AT_FIRST,
        }
    }

    /// Some more entries, in order, about as many as are wanted; all that stand at one place come together. May be empty; `None` at the end.
    pub async fn next(&mut self, wanted: usize) -> Result<Option<Vec<Entry>>, StoreError> {
        self.look_ahead().await?;
        if self.partitions.is_empty() {
            return Ok(None);
        }
        let (tables, order, after) = (self.tables, self.order, self.after);
        let round = self.round();
        let limit = (2 * wanted / round + ENTRIES_SPARE).min(ENTRIES_PER_ANSWER);
        let answers = stream::iter(self.partitions.range(..round).copied().collect::<Vec<_>>())
            .map(|partition| async move {
                let entries = tables.entries(partition, after, order, limit).await?;
                Ok::<_, StoreError>(Answer::new(entries, limit))
            })
            .buffered(QUERIES_AT_ONCE)
            .try_collect()
            .await?;
        let merged = merge(answers, |entry: &Entry| rank_of(order, entry.cursor()));
        match merged.cut.then(|| merged.items.last()).flatten() {
            Some(last) => {
                self.after = last.cursor();
                let reached = rank(order, hour(last.created_at_ms).into());
                while self.partitions.front().is_some_and(|first| rank(order, first.hour.into()) < reached) {
                    self.partitions.pop_front();
                }
                self.partitions_at_once = PARTITIONS_AT_FIRST;
            }
            None => {
                self.partitions.drain(..round);
                self.partitions_at_once = (self.partitions_at_once * 2).min(PARTITIONS_AT_ONCE_MAX);
            }
        }
        Ok(Some(merged.items))
    }

    /// Learns of enough partitions for a round.
    async fn look_ahead(&mut self) -> Result<(), StoreError> {
        while !self.registry_ended && self.partitions.len() < self.partitions_at_once {
            match self.registry.next().await? {
                Some(partitions) => self.partitions.extend(partitions),
                None => self.registry_ended = true,
            }
        }
        Ok(())
    }

    /// How many partitions the round takes: whole hours, one at least.
    fn round(&self) -> usize {
        let end_of_hour = |from: usize| {
            let hour = self.partitions[from].hour;
            from + self.partitions.range(from..).take_while(|partition| partition.hour == hour).count()
        };
        let mut round = end_of_hour(0);
        while round < self.partitions.len() && end_of_hour(round) <= self.partitions_at_once {
            round = end_of_hour(round);
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Seen to fail when an answer that had reached its limit was taken for all there is.
        #[test]
        fn what_is_merged_is_the_beginning_of_all(
            sequences in prop::collection::vec(prop::collection::vec(0..50_u8, 0..12), 0..6),
            limit in 1..8_usize,
        ) {
            let sorted = |mut sequence: Vec<u8>| { sequence.sort_unstable(); sequence };
            let sequences: Vec<_> = sequences.into_iter().map(sorted).collect();
            let all = sorted(sequences.concat());
            let answer = |sequence: &Vec<u8>| Answer::new(sequence.iter().copied().take(limit).collect(), limit);
            let merged = merge(sequences.iter().map(answer).collect(), |item| *item);
            prop_assert!(merged.cut || merged.items == all);
            prop_assert!(!merged.cut || !merged.items.is_empty());
            prop_assert_eq!(&all[..merged.items.len()], merged.items);
        }
    }
}
