//! How many links there are.
//!
//! **What it costs.** The cluster reads every entry there is: each partition on record is counted where it lies, by a query of its own, some
//! at a time. An instance runs one count of a kind at a time: those who ask meanwhile share the next.
//!
//! **What it says.** Up to [`READ_MAX`] links, the links themselves are read, and counted. Beyond that entries are counted; one that nothing
//! stands behind counts until a listing passes over it and repairs it.

use std::{future::Future, time::Instant};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

use super::{
    Partition,
    hours::HOUR_MS,
    listings,
    page::{self, Read},
    registry::Registry,
    shard::SHARDS,
    tables::Tables,
    walk::Walk,
};
use crate::store::{Archived, Order, StoreError};

/// Entries up to which their links are read.
const READ_MAX: usize = 1_000;
/// Hours that are counted at the same time.
const HOURS_AT_ONCE: usize = 4;
/// Queries of one hour that are under way at the same time.
const QUERIES_AT_ONCE: usize = 16;
/// Entries that one query should count at most, so that its answer does not take too long.
const ENTRIES_PER_QUERY: u64 = 20_000;
/// Into how many spans an hour is cut, to count the busiest: at ten thousand creations per second, a shard has 47,000 entries in one.
const SPANS_PER_HOUR: i64 = 12;

/// Counts.
pub async fn count<T: Tables>(tables: &T, archived: Archived, now_ms: i64) -> Result<Read<u64>, StoreError> {
    let entries = entries(tables, archived).await?;
    if entries > READ_MAX as u64 {
        return Ok(Read { links: entries, repairs: Vec::new() });
    }
    let walk = Walk::new(tables, listings(archived), Order::NewestFirst, None);
    // Links may be made meanwhile.
    let Read { links, repairs } = page::links(tables, walk, archived, 0, 2 * READ_MAX, now_ms).await?;
    Ok(Read { links: links.len() as u64, repairs })
}

async fn entries<T: Tables>(tables: &T, archived: Archived) -> Result<u64, StoreError> {
    let mut registry = Registry::new(tables, listings(archived), Order::NewestFirst, i32::MAX);
    let mut sum = 0;
    while let Some(partitions) = registry.next().await? {
        let hours = partitions.chunk_by(|a, b| (a.archived, a.hour) == (b.archived, b.hour)).map(<[_]>::to_vec);
        sum += stream::iter(hours.collect::<Vec<_>>())
            .map(|hour| entries_of_hour(tables, hour))
            .buffer_unordered(HOURS_AT_ONCE)
            .try_fold(0, |sum, entries| async move { Ok(sum + entries) })
            .await?;
    }
    Ok(sum)
}

/// The entries of an hour. Only one with all of its shards may have large partitions, and of those its first is the largest: it says how
/// the others are to be counted.
async fn entries_of_hour<T: Tables>(tables: &T, partitions: Vec<Partition>) -> Result<u64, StoreError> {
    if partitions.len() < usize::from(SHARDS.unsigned_abs()) {
        return counted(tables, partitions, 1).await;
    }
    let (first, others) = partitions.split_at(1);
    let of_first = counted(tables, first.to_vec(), SPANS_PER_HOUR).await?;
    let spans = if of_first > ENTRIES_PER_QUERY { SPANS_PER_HOUR } else { 1 };
    Ok(of_first + counted(tables, others.to_vec(), spans).await?)
}

async fn counted<T: Tables>(tables: &T, partitions: Vec<Partition>, spans: i64) -> Result<u64, StoreError> {
    let queries =
        partitions.into_iter().flat_map(|partition| (0..spans).map(move |n| (partition, span(partition, n, spans))));
    stream::iter(queries.collect::<Vec<_>>())
        .map(|(partition, (from_ms, to_ms))| tables.count(partition, from_ms, to_ms))
        .buffer_unordered(QUERIES_AT_ONCE)
        .try_fold(0, |sum, entries| async move { Ok(sum + entries) })
        .await
}

/// The n-th of an hour's spans. The first begins, and the last ends, where time does.
fn span(partition: Partition, n: i64, spans: i64) -> (i64, i64) {
    let bound = |n| i64::from(partition.hour) * HOUR_MS + n * HOUR_MS / spans;
    (if n == 0 { i64::MIN } else { bound(n) }, if n + 1 == spans { i64::MAX } else { bound(n + 1) })
}

/// What a count said, or why there is none.
type Outcome = Result<u64, String>;

/// Lets one count run at a time, of each kind.
#[derive(Debug, Default)]
pub struct Counts {
    exclude: Mutex<Option<(Instant, Outcome)>>,
    include: Mutex<Option<(Instant, Outcome)>>,
}

impl Counts {
    /// The outcome of `count`, or of another one that began after this was called: what was answered before the call is in it.
    pub async fn joined<F>(&self, archived: Archived, count: impl FnOnce() -> F) -> Result<u64, StoreError>
    where
        F: Future<Output = Result<u64, StoreError>>,
    {
        let called_at = Instant::now();
        let last = match archived {
            Archived::Exclude => &self.exclude,
            Archived::Include => &self.include,
        };
        let mut last = last.lock().await;
        if let Some((begun_at, outcome)) = &*last
            && *begun_at > called_at
        {
            return outcome.clone().map_err(|why| StoreError::Unavailable(why.into()));
        }
        let begun_at = Instant::now();
        let outcome = count().await;
        *last = Some((begun_at, outcome.as_ref().copied().map_err(ToString::to_string)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use futures::executor::block_on;
    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        link::LinkId,
        store::scylla::listing::{
            Entry,
            fake::{Fake, NOW_MS, links as any_links},
        },
    };

    proptest! {
        /// Seen to fail when entries were counted though their links could be read, and when the last month was left out.
        #[test]
        fn a_few_links_are_counted_exactly(fake in any_links(), include: bool) {
            let archived = if include { Archived::Include } else { Archived::Exclude };
            let links = fake.sorted(archived, Order::NewestFirst).len() as u64;
            prop_assert_eq!(block_on(count(&fake, archived, NOW_MS)).unwrap().links, links);
        }
    }

    /// An hour of all shards, with so many entries in the first.
    fn busy_hour(of_first: i64) -> Fake {
        let hour_ms = NOW_MS - NOW_MS % HOUR_MS;
        let entry =
            |n, shard| Entry { archived: false, created_at_ms: hour_ms + n % HOUR_MS, shard, id: LinkId(n as u64) };
        let first = (0..of_first).map(|n| entry(n * 7, 0));
        Fake::unlinked(first.chain((1..SHARDS).flat_map(|shard| (0..20).map(move |n| entry(n * 180_000, shard)))))
    }

    /// Seen to fail when spans left out their first moment, and when large partitions were counted whole.
    #[test]
    fn a_busy_hour_is_counted_by_spans() {
        for (of_first, queries) in [(20_000, 12 + 63), (20_001, 12 * 64)] {
            let fake = busy_hour(of_first);
            let counted = block_on(count(&fake, Archived::Exclude, NOW_MS)).unwrap();
            assert_eq!((counted.links, fake.counts()), (of_first.unsigned_abs() + 63 * 20, queries));
        }
    }

    /// Seen to fail when everyone counted, and when those who came later were answered by the count that was under way.
    #[tokio::test]
    async fn who_asks_while_one_counts_shares_the_next() {
        let (counts, go, begun) =
            (Arc::new(Counts::default()), Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let ask = || {
            let (counts, go, begun) = (Arc::clone(&counts), Arc::clone(&go), Arc::clone(&begun));
            tokio::spawn(async move {
                let count = || async {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    go.acquire().await.unwrap().forget();
                    Ok(number)
                };
                counts.joined(Archived::Include, count).await.unwrap()
            })
        };
        let first = ask();
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Moments are told apart.
        std::thread::sleep(Duration::from_millis(1));
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        go.add_permits(1_000);
        assert_eq!(first.await.unwrap(), 1);
        for other in others {
            assert_eq!(other.await.unwrap(), 2);
        }
    }
}
