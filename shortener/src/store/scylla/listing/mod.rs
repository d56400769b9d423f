//! The listing: links in order of their creation.
//!
//! An entry is a place: which listing (archived or not), which moment, which [`shard`] of its hour, which id. What the link is, the link
//! says: an entry that its link does not agree with is passed over, and [repaired](repair).
//!
//! - [`registry`] knows which partitions there are: an hour without links is never asked for.
//! - [`walk`] goes through the partitions in order and merges them; [`page`] reads the links of what it meets.
//! - [`count`] adds up.

use std::sync::Arc;

use analytics::cql::{Cql, CqlError};

use self::{
    count::Counts,
    hours::hour,
    registry::Registered,
    repair::{Repair, Repairs},
    shard::Turns,
    tables::{Cluster, Statements},
};
use super::{ScyllaStore, links::Reader};
use crate::{
    clock::now_ms,
    link::{Link, LinkId},
    store::{self, Archived, Cursor, Order, StoreError},
};

mod count;
#[cfg(test)]
mod fake;
mod hours;
mod metrics;
mod page;
mod registry;
mod repair;
pub(super) mod shard;
mod tables;
mod walk;

/// A link's place in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub archived: bool,
    pub created_at_ms: i64,
    pub shard: i16,
    pub id: LinkId,
}

impl Entry {
    fn partition(&self) -> Partition {
        Partition { archived: self.archived, hour: hour(self.created_at_ms), shard: self.shard }
    }

    fn cursor(&self) -> Cursor {
        Cursor { created_at_ms: self.created_at_ms, id: self.id }
    }
}

/// A partition of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Partition {
    archived: bool,
    hour: i32,
    shard: i16,
}

/// The tables `listing`, `listing_partitions` and `listing_months`.
#[derive(Debug)]
pub(super) struct Listing {
    statements: Arc<Statements>,
    turns: Turns,
    registered: Registered,
    repairs: Repairs,
    counts: Counts,
}

impl Listing {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        metrics::describe();
        Ok(Listing {
            statements: Arc::new(Statements::prepare(cql).await?),
            turns: Turns::default(),
            registered: Registered::default(),
            repairs: Repairs::default(),
            counts: Counts::default(),
        })
    }

    /// The shard for a link that is made now: see [`shard`].
    pub fn shard(&self, created_at_ms: i64) -> i16 {
        shard::of_position(self.turns.next(created_at_ms))
    }

    /// Lists a link, as its revision has it: a later revision's word on the same entry wins, whichever arrives first. Nothing is written to a
    /// partition that is not known to be registered: what nobody would find is not there.
    pub async fn enter(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        let partition = entry.partition();
        self.registered.ensure(partition, || self.statements.register(partition)).await?;
        self.statements.insert(entry, revision).await
    }

    /// Lists a link no more, from this revision on.
    pub async fn leave(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        self.statements.delete(entry, revision).await
    }

    /// Ends when no repair is under way any more; none begins after that.
    pub async fn close(&self) {
        self.repairs.close().await;
    }

    fn repair(&self, repairs: Vec<Repair>) {
        self.repairs.start(&self.statements, repairs);
    }

    fn cluster<'a>(&'a self, reader: &'a Reader) -> Cluster<'a> {
        Cluster { statements: &self.statements, reader }
    }
}

impl ScyllaStore {
    pub(super) async fn page(&self, listing: &store::Listing) -> Result<Vec<Link>, StoreError> {
        let read = page::page(&self.listing.cluster(&self.reader), listing, now_ms()).await?;
        self.listing.repair(read.repairs);
        Ok(read.links)
    }

    /// How many links there are: see [`count`].
    pub(super) async fn count_links(&self, archived: Archived) -> Result<u64, StoreError> {
        let count = || async {
            let counted = count::count(&self.listing.cluster(&self.reader), archived, now_ms()).await?;
            self.listing.repair(counted.repairs);
            Ok(counted.links)
        };
        self.listing.counts.joined(archived, count).await
    }
}

/// Which of the two listings are meant.
fn listings(archived: Archived) -> &'static [bool] {
    match archived {
        Archived::Exclude => &[false],
        Archived::Include => &[false, true],
    }
}

/// What sorts as `value` does in this order: the lower, the earlier.
fn rank(order: Order, value: i64) -> i64 {
    match order {
        Order::OldestFirst => value,
        Order::NewestFirst => !value,
    }
}

/// As [`rank`], of a place in the listing.
fn rank_of(order: Order, cursor: Cursor) -> (i64, i64) {
    (rank(order, cursor.created_at_ms), rank(order, super::row::bigint(cursor.id)))
}

/// What comes next in this order.
fn step(order: Order, value: i32) -> i32 {
    match order {
        Order::OldestFirst => value.saturating_add(1),
        Order::NewestFirst => value.saturating_sub(1),
    }
}
