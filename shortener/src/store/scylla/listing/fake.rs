//! The listing's tables in memory, for tests of all that reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;

use super::{
    Entry, Partition,
    hours::{HOUR_MS, month},
    rank, rank_of,
    tables::{Found, Tables},
};
use crate::{
    link::{Link, LinkId},
    store::{Archived, Cursor, Order, StoreError, conformance},
};

/// Most entries are of about now.
pub const NOW_MS: i64 = 1_795_000_000_000;

/// The link that an entry speaks of.
pub fn link(entry: Entry) -> Link {
    let Entry { archived, created_at_ms, id, .. } = entry;
    Link { id, archived, created_at_ms, ..conformance::aliased(id.0, "any") }
}

/// Entries and links in memory.
#[derive(Debug, Default)]
pub struct Fake {
    entries: BTreeMap<Partition, BTreeSet<(i64, LinkId)>>,
    links: BTreeMap<LinkId, Found>,
    /// Rounds: what is asked while something asked before has not been answered is of the same.
    clock: AtomicU64,
    answered: AtomicU64,
    entries_read: AtomicU64,
    links_read: AtomicU64,
    counts: AtomicU64,
}

impl Fake {
    /// Entries, each with its link.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut fake = Fake::default();
        for entry in entries {
            fake.enter(entry);
            fake.links.insert(entry.id, Found { link: link(entry), shard: Some(entry.shard) });
        }
        fake
    }

    /// Entries without links.
    pub fn unlinked(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut fake = Fake::default();
        entries.into_iter().for_each(|entry| fake.enter(entry));
        fake
    }

    fn enter(&mut self, entry: Entry) {
        self.entries.entry(entry.partition()).or_default().insert((entry.created_at_ms, entry.id));
    }

    /// The links that are there, as a listing should have them.
    pub fn sorted(&self, archived: Archived, order: Order) -> Vec<Link> {
        let listed = |link: &&Link| archived == Archived::Include || !link.archived;
        let mut links: Vec<Link> = self.links.values().map(|found| &found.link).filter(listed).cloned().collect();
        links.sort_by_key(|link| rank_of(order, Cursor { created_at_ms: link.created_at_ms, id: link.id }));
        links
    }

    /// How many queries waited for the answer of the one before.
    pub fn longest_wait(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub fn entries_read(&self) -> u64 {
        self.entries_read.load(Ordering::SeqCst)
    }

    pub fn links_read(&self) -> u64 {
        self.links_read.load(Ordering::SeqCst)
    }

    pub fn counts(&self) -> u64 {
        self.counts.load(Ordering::SeqCst)
    }

    /// Answers after everything that is asked at the same time has been asked.
    async fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        let asked_at = self.answered.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.answered.load(Ordering::SeqCst) == asked_at {
            self.clock.fetch_add(1, Ordering::SeqCst);
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
        Ok(answer)
    }
}

/// The first of a set in an order, from a place on.
fn first<T: Copy>(
    all: impl Iterator<Item = T>,
    limit: usize,
    rank: impl Fn(&T) -> (i64, i64),
    begins: impl Fn((i64, i64)) -> bool,
) -> Vec<T> {
    assert!((1..=1_000).contains(&limit), "nothing is asked for without a limit");
    let mut found: Vec<T> = all.filter(|item| begins(rank(item))).collect();
    found.sort_by_key(rank);
    found.truncate(limit);
    found
}

impl Tables for Fake {
    async fn months(&self, archived: bool, from: i32, order: Order, limit: usize) -> Result<Vec<i32>, StoreError> {
        let all: BTreeSet<i32> =
            self.entries.keys().filter(|at| at.archived == archived).map(|at| month(at.hour)).collect();
        let from = (rank(order, from.into()), i64::MIN);
        let months = first(all.into_iter(), limit, |month| (rank(order, (*month).into()), 0), |at| at >= from);
        self.answer(months).await
    }

    async fn partitions(
        &self,
        archived: bool,
        of_month: i32,
        from_hour: i32,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        let all = self.entries.keys().filter(|at| at.archived == archived && month(at.hour) == of_month).copied();
        let from = (rank(order, from_hour.into()), i64::MIN);
        // Newest first, shards rise; oldest first, all is the other way round.
        let shard = |shard: i16| if order == Order::NewestFirst { shard.into() } else { !i64::from(shard) };
        let at = |at: &Partition| (rank(order, at.hour.into()), shard(at.shard));
        self.answer(first(all, limit, at, |at| at >= from)).await
    }

    async fn entries(
        &self,
        partition: Partition,
        after: Cursor,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let Partition { archived, shard, .. } = partition;
        let entry = |&(created_at_ms, id)| Entry { archived, created_at_ms, shard, id };
        let all = self.entries.get(&partition).into_iter().flatten().map(entry);
        let entries = first(all, limit, |entry| rank_of(order, entry.cursor()), |at| at > rank_of(order, after));
        self.entries_read.fetch_add(entries.len() as u64, Ordering::SeqCst);
        self.answer(entries).await
    }

    async fn count(&self, partition: Partition, from_ms: i64, to_ms: i64) -> Result<u64, StoreError> {
        self.counts.fetch_add(1, Ordering::SeqCst);
        let entries = self.entries.get(&partition).into_iter().flatten();
        self.answer(entries.filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms)).count() as u64).await
    }

    async fn link(&self, id: LinkId) -> Result<Option<Found>, StoreError> {
        self.links_read.fetch_add(1, Ordering::SeqCst);
        self.answer(self.links.get(&id).cloned()).await
    }
}

/// What may become of a link.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Listed,
    /// Listed in both, as in the midst of a change.
    ListedInBoth,
    /// Listed in another shard as well, as a creation does that was taken up again.
    ListedTwice,
    /// Listed, and not there.
    Unlinked,
}

/// A moment in one of a few crowded hours, in hours near and far, or anywhere around 1970 and the ends of years.
fn moments() -> impl Strategy<Value = i64> {
    let new_year = 1_767_225_600_000_i64;
    prop_oneof![
        4 => (0..3_i64, 0..5_i64).prop_map(|(hour, ms)| NOW_MS - hour * HOUR_MS - ms),
        2 => (0..2_000_i64).prop_map(|hour| NOW_MS - hour * HOUR_MS),
        1 => (-5_000..5_000_i64).prop_map(move |ms| new_year + ms),
        1 => -5_000..5_000_i64,
        1 => any::<i32>().prop_map(|days| i64::from(days) * 24 * HOUR_MS),
    ]
}

/// Some links and what interrupted writes have left, in few or many shards.
pub fn links() -> impl Strategy<Value = Fake> {
    let fate = prop_oneof![
        6 => Just(Fate::Listed),
        1 => Just(Fate::ListedInBoth),
        1 => Just(Fate::ListedTwice),
        1 => Just(Fate::Unlinked),
    ];
    let one = (moments(), 0..8_i16, prop::bool::weighted(0.2), fate);
    (prop::collection::vec(one, 0..250), prop_oneof![Just(1_i16), Just(8)]).prop_map(|(links, shards)| {
        let mut fake = Fake::default();
        for (number, (created_at_ms, shard, archived, fate)) in (0_u64..).zip(links) {
            // Ids do not rise with time.
            let id = LinkId(number * 7_919 % 10_007);
            let entry = Entry { archived, created_at_ms, shard: shard % shards, id };
            fake.enter(entry);
            match fate {
                Fate::ListedInBoth => fake.enter(Entry { archived: !archived, ..entry }),
                Fate::ListedTwice => fake.enter(Entry { shard: shard % shards + 1, ..entry }),
                Fate::Listed | Fate::Unlinked => {}
            }
            if !matches!(fate, Fate::Unlinked) {
                fake.links.insert(id, Found { link: link(entry), shard: Some(entry.shard) });
            }
        }
        fake
    })
}
