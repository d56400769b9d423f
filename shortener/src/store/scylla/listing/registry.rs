//! Which partitions the listing has: put on record before anything is written to them, and walked through by whoever lists.
//!
//! What is on record stays there, though its links may go: an hour whose links were all deleted costs each walk through it one empty read.

use std::{collections::VecDeque, future::Future};

use futures::{StreamExt, TryStreamExt, stream};
use quick_cache::sync::Cache;

use super::{
    Partition,
    hours::month,
    metrics, rank,
    shard::SHARDS,
    step,
    tables::Tables,
    walk::{Answer, QUERIES_AT_ONCE, merge},
};
use crate::store::{Order, StoreError};

/// Partitions that this process remembers to be on record: some 32 hours of both listings. One that it has forgotten is put on
/// record again, which changes nothing.
const REGISTERED_MAX: usize = 4_096;

/// Partitions that this process knows to be on record.
#[derive(Debug)]
pub struct Registered(Cache<Partition, ()>);

impl Default for Registered {
    fn default() -> Self {
        Registered(Cache::new(REGISTERED_MAX))
    }
}

impl Registered {
    /// Sees to it that a partition is on record: one look, once it is. Of many who want one that is not, one puts it there while the others
    /// wait; if that fails, or is cut off, the next one does.
    pub async fn ensure<F>(&self, partition: Partition, register: impl FnOnce() -> F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        if self.0.get(&partition).is_some() {
            return Ok(());
        }
        let registration = async {
            register().await?;
            metrics::registered();
            Ok(())
        };
        self.0.get_or_insert_async(&partition, registration).await
    }
}

/// Months that one query gives at most.
const MONTHS_PER_ANSWER: usize = 120;
/// Months whose partitions are asked for at the same time, while the months before them had few.
const MONTHS_AT_ONCE_MAX: usize = 16;
/// Partitions that one query gives at most: more than an hour has.
const PARTITIONS_PER_ANSWER: usize = 512;
const _: () = assert!(PARTITIONS_PER_ANSWER > SHARDS as usize);

/// A walk through what is on record.
pub struct Registry<'a, T> {
    tables: &'a T,
    listings: &'static [bool],
    order: Order,
    from_hour: i32,
    /// Where the months go on; `None` once they are all known.
    from_month: Option<i32>,
    months: VecDeque<i32>,
    months_at_once: usize,
}

impl<'a, T: Tables> Registry<'a, T> {
    /// Begins at an hour.
    pub fn new(tables: &'a T, listings: &'static [bool], order: Order, from_hour: i32) -> Self {
        Registry {
            tables,
            listings,
            order,
            from_hour,
            from_month: Some(month(from_hour)),
            months: VecDeque::new(),
            months_at_once: 1,
        }
    }

    /// The partitions of some more hours, in order of their hours, each hour whole; those of one listing stand together within an hour.
    /// May be empty; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Partition>>, StoreError> {
        if self.months.is_empty() {
            self.find_months().await?;
        }
        if self.months.is_empty() {
            return Ok(None);
        }
        let (tables, order, from_hour) = (self.tables, self.order, self.from_hour);
        let at_once = self.months_at_once.min(self.months.len());
        let asked: Vec<(i32, bool)> = self.months.range(..at_once).flat_map(|month| self.each(*month)).collect();
        let answers = stream::iter(asked)
            .map(|(month, archived)| async move {
                let partitions = tables.partitions(archived, month, from_hour, order, PARTITIONS_PER_ANSWER).await?;
                Ok::<_, StoreError>(whole_hours(Answer::new(partitions, PARTITIONS_PER_ANSWER)))
            })
            .buffered(QUERIES_AT_ONCE)
            .try_collect()
            .await?;
        let merged = merge(answers, |partition: &Partition| rank(order, partition.hour.into()));
        match merged.cut.then(|| merged.items.last()).flatten() {
            Some(last) => {
                self.from_hour = step(order, last.hour);
                let month = month(last.hour);
                while self.months.front().is_some_and(|first| *first != month) {
                    self.months.pop_front();
                }
                self.months_at_once = 1;
            }
            None => {
                self.months.drain(..at_once);
                self.months_at_once = (self.months_at_once * 2).min(MONTHS_AT_ONCE_MAX);
            }
        }
        Ok(Some(merged.items))
    }

    async fn find_months(&mut self) -> Result<(), StoreError> {
        let Some(from) = self.from_month else { return Ok(()) };
        let (tables, order) = (self.tables, self.order);
        let answers = stream::iter(self.listings.iter().copied())
            .map(|archived| async move {
                let months = tables.months(archived, from, order, MONTHS_PER_ANSWER).await?;
                Ok::<_, StoreError>(Answer::new(months, MONTHS_PER_ANSWER))
            })
            .buffered(QUERIES_AT_ONCE)
            .try_collect()
            .await?;
        let mut merged = merge(answers, |month: &i32| rank(order, (*month).into()));
        merged.items.dedup();
        self.from_month = merged.cut.then(|| merged.items.last()).flatten().map(|last| step(order, *last));
        self.months = merged.items.into();
        Ok(())
    }

    fn each(&self, month: i32) -> impl Iterator<Item = (i32, bool)> + use<T> {
        self.listings.iter().map(move |archived| (month, *archived))
    }
}

/// Leaves out the last hour of what may have ended within it.
fn whole_hours(mut answer: Answer<Partition>) -> Answer<Partition> {
    if answer.more
        && let Some(last) = answer.items.last().map(|partition| partition.hour)
    {
        answer.items.retain(|partition| partition.hour != last);
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::executor::block_on;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        link::LinkId,
        store::{
            Order::{NewestFirst, OldestFirst},
            scylla::listing::{
                Entry,
                fake::{Fake, NOW_MS},
                hours::HOUR_MS,
            },
        },
    };

    const PARTITION: Partition = Partition { archived: false, hour: 1, shard: 0 };

    /// Who is let through before the registration has been answered writes what nobody finds. Seen to fail when each registered for
    /// itself, and when a registration was remembered as it began.
    #[tokio::test]
    async fn of_many_who_enter_a_new_partition_one_registers_it_and_all_wait() {
        let (registered, answer) = (Arc::new(Registered::default()), Arc::new(Semaphore::new(0)));
        let (begun, through) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (registered, answer) = (Arc::clone(&registered), Arc::clone(&answer));
                let (begun, through) = (Arc::clone(&begun), Arc::clone(&through));
                tokio::spawn(async move {
                    let register = || async {
                        begun.fetch_add(1, Ordering::SeqCst);
                        answer.acquire().await.unwrap().forget();
                        Ok(())
                    };
                    registered.ensure(PARTITION, register).await.unwrap();
                    through.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        // One thread runs all tasks: each has gone as far as it can.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((begun.load(Ordering::SeqCst), through.load(Ordering::SeqCst)), (1, 0));
        answer.add_permits(1);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((begun.load(Ordering::SeqCst), through.load(Ordering::SeqCst)), (1, 100));
    }

    /// Seen to fail when a registration was remembered as it began.
    #[tokio::test]
    async fn what_could_not_be_registered_is_registered_by_the_next() {
        let registered = Registered::default();
        let fails = || async { Err(StoreError::Overloaded) };
        assert!(registered.ensure(PARTITION, fails).await.is_err());
        assert!(registered.ensure(PARTITION, fails).await.is_err());
        registered.ensure(PARTITION, || async { Ok(()) }).await.unwrap();
        registered.ensure(PARTITION, fails).await.expect("it is on record");
    }

    /// Seen to fail when the last hour of an answer that was cut off counted as whole, and when months ended with an answer that was cut off.
    #[test]
    fn a_walk_meets_every_partition_once_in_order_of_hours() {
        let month_ms = 31 * 24 * HOUR_MS;
        let far_between = (-150..150).map(|month| (NOW_MS + month * month_ms, 1));
        let crowded = (0..40).map(|hour| (NOW_MS + month_ms / 2 - hour * HOUR_MS, SHARDS));
        let fake = Fake::unlinked(far_between.chain(crowded).flat_map(|(created_at_ms, shards)| {
            let entry = move |archived, shard| Entry { archived, created_at_ms, shard, id: LinkId(1) };
            (0..shards).flat_map(move |shard| [entry(false, shard), entry(true, shard)])
        }));
        for (listings, order) in [
            (&[false][..], NewestFirst),
            (&[false, true], NewestFirst),
            (&[true], OldestFirst),
            (&[false, true], OldestFirst),
        ] {
            let from = if order == NewestFirst { i32::MAX } else { i32::MIN };
            let mut registry = Registry::new(&fake, listings, order, from);
            let (mut met, mut last_hour) = (Vec::new(), None);
            while let Some(partitions) = block_on(registry.next()).unwrap() {
                let hours: Vec<i32> = partitions.iter().map(|partition| partition.hour).collect();
                assert!(hours.is_sorted_by_key(|hour| rank(order, (*hour).into())));
                assert!(hours.first().is_none_or(|first| last_hour != Some(*first)), "hours are whole");
                last_hour = hours.last().copied().or(last_hour);
                met.extend(partitions);
            }
            assert!(met.is_sorted_by_key(|partition| rank(order, partition.hour.into())));
            assert_eq!(met.len(), listings.len() * (300 + 40 * SHARDS as usize));
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len(), listings.len() * (300 + 40 * SHARDS as usize));
        }
    }

    /// Seen to fail when the set was a map without an end.
    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let registered = Registered::default();
        for hour in 0..3 * REGISTERED_MAX as i32 {
            registered.ensure(Partition { hour, ..PARTITION }, || async { Ok(()) }).await.unwrap();
        }
        assert!(registered.0.len() <= REGISTERED_MAX);
    }
}
