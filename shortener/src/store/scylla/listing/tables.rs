//! What the listing asks of its tables, and how that is said in CQL. Every answer is bounded: by a limit, or because it is one row.

use std::{future::Future, sync::Arc};

use analytics::cql::{Cql, CqlError, Kind, Statement};
use scylla::{deserialize::row::DeserializeRow, serialize::row::SerializeRow};

use super::{Entry, Partition, hours::month};
use crate::{
    link::{Link, LinkId},
    store::{
        Cursor, Order, StoreError,
        scylla::{error, links::Reader, row},
    },
};

/// The timestamp of what is on record for ever.
const REGISTERED_AT: i64 = 1;

/// A link, and the shard that lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub link: Link,
    pub shard: Option<i16>,
}

/// Reads of the listing and of links. Answers come in the order that is asked for, `limit` rows at most.
pub trait Tables: Sync {
    /// Months that have partitions, from this one on.
    fn months(
        &self,
        archived: bool,
        from: i32,
        order: Order,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<i32>, StoreError>> + Send;

    /// The partitions of a month, from this hour on; all that an hour has stand together, in order of their shards.
    fn partitions(
        &self,
        archived: bool,
        month: i32,
        from_hour: i32,
        order: Order,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Partition>, StoreError>> + Send;

    /// The entries of a partition behind this place.
    fn entries(
        &self,
        partition: Partition,
        after: Cursor,
        order: Order,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// How many entries of a partition lie between these moments: the first included, the last not.
    fn count(
        &self,
        partition: Partition,
        from_ms: i64,
        to_ms: i64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    fn link(&self, id: LinkId) -> impl Future<Output = Result<Option<Found>, StoreError>> + Send;
}

/// A statement for each order.
#[derive(Debug)]
struct Both {
    newest_first: Statement,
    oldest_first: Statement,
}

impl Both {
    async fn prepare(cql: &Cql, newest_first: &str, oldest_first: &str) -> Result<Self, CqlError> {
        Ok(Both {
            newest_first: cql.prepare(Kind::Read, newest_first).await?,
            oldest_first: cql.prepare(Kind::Read, oldest_first).await?,
        })
    }

    fn of(&self, order: Order) -> &Statement {
        match order {
            Order::NewestFirst => &self.newest_first,
            Order::OldestFirst => &self.oldest_first,
        }
    }
}

/// The listing's statements.
#[derive(Debug)]
pub struct Statements {
    cql: Arc<Cql>,
    insert: Statement,
    delete: Statement,
    insert_partition: Statement,
    insert_month: Statement,
    months: Both,
    partitions: Both,
    entries: Both,
    count: Statement,
}

impl Statements {
    pub async fn prepare(cql: &Arc<Cql>) -> Result<Self, CqlError> {
        let write = async |statement: &str| cql.prepare(Kind::Write, statement).await;
        let insert_partition = format!(
            "INSERT INTO listing_partitions (archived, month, hour, shard) VALUES (?, ?, ?, ?) USING TIMESTAMP {REGISTERED_AT}"
        );
        let insert_month =
            format!("INSERT INTO listing_months (archived, month) VALUES (?, ?) USING TIMESTAMP {REGISTERED_AT}");
        Ok(Statements {
            insert: write(
                "INSERT INTO listing (archived, hour, shard, created_at_ms, id) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
            )
            .await?,
            delete: write(
                "DELETE FROM listing USING TIMESTAMP ? \
                 WHERE archived = ? AND hour = ? AND shard = ? AND created_at_ms = ? AND id = ?",
            )
            .await?,
            insert_partition: write(&insert_partition).await?,
            insert_month: write(&insert_month).await?,
            months: Both::prepare(
                cql,
                "SELECT month FROM listing_months WHERE archived = ? AND month <= ? LIMIT ?",
                "SELECT month FROM listing_months WHERE archived = ? AND month >= ? ORDER BY month ASC LIMIT ?",
            )
            .await?,
            partitions: Both::prepare(
                cql,
                "SELECT hour, shard FROM listing_partitions WHERE archived = ? AND month = ? AND hour <= ? LIMIT ?",
                "SELECT hour, shard FROM listing_partitions WHERE archived = ? AND month = ? AND hour >= ? \
                 ORDER BY hour ASC LIMIT ?",
            )
            .await?,
            entries: Both::prepare(
                cql,
                "SELECT created_at_ms, id FROM listing WHERE archived = ? AND hour = ? AND shard = ? \
                 AND (created_at_ms, id) < (?, ?) LIMIT ?",
                "SELECT created_at_ms, id FROM listing WHERE archived = ? AND hour = ? AND shard = ? \
                 AND (created_at_ms, id) > (?, ?) ORDER BY created_at_ms ASC LIMIT ?",
            )
            .await?,
            count: cql
                .prepare(
                    Kind::Read,
                    "SELECT COUNT(*) FROM listing WHERE archived = ? AND hour = ? AND shard = ? \
                     AND created_at_ms >= ? AND created_at_ms < ?",
                )
                .await?,
            cql: Arc::clone(cql),
        })
    }

    /// Puts a partition on record: acknowledged, it is found by every walk that begins after.
    pub async fn register(&self, partition: Partition) -> Result<(), StoreError> {
        let Partition { archived, hour, shard } = partition;
        let month = month(hour);
        futures::try_join!(
            self.write(&self.insert_partition, (archived, month, hour, shard)),
            self.write(&self.insert_month, (archived, month)),
        )?;
        Ok(())
    }

    pub async fn insert(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        let (Partition { archived, hour, shard }, id) = (entry.partition(), row::bigint(entry.id));
        let values = (archived, hour, shard, entry.created_at_ms, id, revision.cast_signed());
        self.write(&self.insert, values).await
    }

    pub async fn delete(&self, entry: Entry, revision: u64) -> Result<(), StoreError> {
        let (Partition { archived, hour, shard }, id) = (entry.partition(), row::bigint(entry.id));
        let values = (revision.cast_signed(), archived, hour, shard, entry.created_at_ms, id);
        self.write(&self.delete, values).await
    }

    async fn write(&self, statement: &Statement, values: impl SerializeRow) -> Result<(), StoreError> {
        self.cql.write(statement, values).await.map_err(error)
    }

    async fn read<R>(&self, statement: &Statement, values: impl SerializeRow) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let unreadable = |error: &dyn std::fmt::Display| StoreError::Unreadable(error.to_string());
        let answer = self.cql.rows(statement, values).await.map_err(error)?;
        let rows = answer.rows::<R>().map_err(|error| unreadable(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| unreadable(&error))
    }
}

/// The tables in a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    pub statements: &'a Statements,
    pub reader: &'a Reader,
}

impl Tables for Cluster<'_> {
    async fn months(&self, archived: bool, from: i32, order: Order, limit: usize) -> Result<Vec<i32>, StoreError> {
        let statement = self.statements.months.of(order);
        let rows = self.statements.read::<(i32,)>(statement, (archived, from, int(limit))).await?;
        Ok(rows.into_iter().map(|(month,)| month).collect())
    }

    async fn partitions(
        &self,
        archived: bool,
        month: i32,
        from_hour: i32,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        let statement = self.statements.partitions.of(order);
        let values = (archived, month, from_hour, int(limit));
        let rows = self.statements.read::<(i32, i16)>(statement, values).await?;
        Ok(rows.into_iter().map(|(hour, shard)| Partition { archived, hour, shard }).collect())
    }

    async fn entries(
        &self,
        partition: Partition,
        after: Cursor,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let Partition { archived, hour, shard } = partition;
        let statement = self.statements.entries.of(order);
        let values = (archived, hour, shard, after.created_at_ms, row::bigint(after.id), int(limit));
        let rows = self.statements.read::<(i64, i64)>(statement, values).await?;
        let entry = |(created_at_ms, id)| Entry { archived, created_at_ms, shard, id: row::id(id) };
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn count(&self, partition: Partition, from_ms: i64, to_ms: i64) -> Result<u64, StoreError> {
        let Partition { archived, hour, shard } = partition;
        let values = (archived, hour, shard, from_ms, to_ms);
        let rows = self.statements.read::<(i64,)>(&self.statements.count, values).await?;
        Ok(rows.into_iter().map(|(count,)| count.cast_unsigned()).sum())
    }

    async fn link(&self, id: LinkId) -> Result<Option<Found>, StoreError> {
        let Some(row) = self.reader.row(id).await? else { return Ok(None) };
        let shard = row.listing_shard;
        Ok(row.link()?.map(|link| Found { link, shard }))
    }
}

fn int(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
