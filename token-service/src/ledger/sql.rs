//! The lease tables in SQL, one text for every database: rows read and written, nothing decided.
//!
//! Numbers are `i64` and everything else is text, in all tables, so that one statement serves them all. What differs is in
//! [`Dialect`].

use async_trait::async_trait;
use sqlx::{ColumnIndex, Database as SqlDatabase, Decode, Encode, QueryBuilder, Row, Type};
use uuid::Uuid;

use super::{
    free_runs::Run,
    space::{Space, Totals},
    tables::{NewLease, Tables, expires_at_ms},
};
use crate::{Account, Block, Ended, IdSpace, Lease, LeaseId, LeaseRecord, LeaseState, Owner, RecordFilter, Usage};

/// What differs between databases: a connection in a transaction, and some words.
#[async_trait]
pub trait Dialect: Send + Sync + 'static {
    type Sql: SqlDatabase;

    /// What a reading ends with to lock the rows that it found until the transaction ends.
    const LOCK_ROWS: &'static str;

    /// What the column with the id space's key is called.
    const KEY_COLUMN: &'static str;

    /// The clock by which leases expire, in Unix milliseconds, as an expression.
    fn now_ms(&self) -> String;

    async fn fetch(
        &mut self,
        query: QueryBuilder<Self::Sql>,
    ) -> Result<Vec<<Self::Sql as SqlDatabase>::Row>, sqlx::Error>;

    async fn execute(&mut self, query: QueryBuilder<Self::Sql>) -> Result<(), sqlx::Error>;

    async fn commit(self) -> Result<(), sqlx::Error>;
}

/// A type that goes into the database and comes back.
pub trait Value<Sql: SqlDatabase>: Type<Sql> + for<'q> Encode<'q, Sql> + for<'r> Decode<'r, Sql> {}

impl<Sql: SqlDatabase, T: Type<Sql> + for<'q> Encode<'q, Sql> + for<'r> Decode<'r, Sql>> Value<Sql> for T {}

/// The time over which the rate of leasing is measured.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The longest list in one statement.
const PIECE_MAX: usize = 256;

pub(super) const SELECT_LEASES: &str = "SELECT lease_id, request_id, owner, first_block, blocks, leased_again, ttl_ms, leased_at_ms, \
    renewed_at_ms, ended_at_ms, ended, blocks_used, blocks_refused FROM leases ";

pub(super) const SELECT_RUNS: &str = "SELECT first_block, end_block FROM free_runs ";

const SPACE_COLUMNS: &str =
    "high_water_block, next_lease_id, handed_out, used, lost, in_use, returned, expired, free, open_leases";

#[async_trait]
impl<D> Tables for D
where
    D: Dialect,
    i64: Value<D::Sql>,
    String: Value<D::Sql>,
    for<'q> Option<i64>: Encode<'q, D::Sql>,
    for<'q> Option<String>: Encode<'q, D::Sql>,
    for<'name> &'name str: ColumnIndex<<D::Sql as SqlDatabase>::Row>,
{
    async fn lock_space(&mut self) -> Result<Space, sqlx::Error> {
        let now_ms = self.now_ms();
        let select = format!("SELECT {now_ms} AS now_ms, {SPACE_COLUMNS} FROM id_space {}", D::LOCK_ROWS);
        let row = the_one(self.fetch(QueryBuilder::new(select)).await?)?;
        Ok(Space {
            now_ms: row.try_get("now_ms")?,
            high_water: number(&row, "high_water_block")?,
            next_lease: LeaseId(number(&row, "next_lease_id")?),
            totals: read_totals(&row)?,
        })
    }

    async fn of_requests(&mut self, requests: &[Uuid]) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        let mut found = Vec::new();
        for piece in pieces(requests) {
            let mut query = QueryBuilder::new(SELECT_LEASES);
            push_list(query.push("WHERE request_id IN "), piece.iter().map(Uuid::to_string));
            found.extend(read_all(self.fetch(query).await?, read_lease)?);
        }
        Ok(found)
    }

    async fn by_ids(&mut self, leases: &[LeaseId]) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        let mut found = Vec::new();
        for piece in pieces(leases) {
            let mut query = QueryBuilder::new(SELECT_LEASES);
            push_list(query.push("WHERE lease_id IN "), piece.iter().map(|id| signed(id.0)));
            found.extend(read_all(self.fetch(query).await?, read_lease)?);
        }
        Ok(found)
    }

    async fn overdue(&mut self, now_ms: i64, limit: u32) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        let mut query = QueryBuilder::new(SELECT_LEASES);
        query.push("WHERE ended IS NULL AND expires_at_ms <= ").push_bind(now_ms);
        query.push(" ORDER BY expires_at_ms LIMIT ").push_bind(i64::from(limit));
        read_all(self.fetch(query).await?, read_lease)
    }

    async fn unused_of(&mut self, owners: &[Owner]) -> Result<Vec<(Owner, u64)>, sqlx::Error> {
        let mut found = Vec::new();
        for piece in pieces(owners) {
            let mut query = QueryBuilder::new(
                "SELECT owner, CAST(sum(blocks - blocks_used - blocks_refused) AS SIGNED) AS unused FROM leases \
                 WHERE ended IS NULL AND owner IN ",
            );
            push_list(&mut query, piece.iter().map(|owner| owner.0.to_string()));
            query.push(" GROUP BY owner");
            let unused = |row: &<D::Sql as SqlDatabase>::Row| Ok((Owner(uuid(row, "owner")?), number(row, "unused")?));
            found.extend(read_all(self.fetch(query).await?, unused)?);
        }
        Ok(found)
    }

    async fn lowest_runs(&mut self, limit: u32) -> Result<Vec<Run>, sqlx::Error> {
        let mut query = QueryBuilder::new(SELECT_RUNS);
        query.push("ORDER BY first_block LIMIT ").push_bind(i64::from(limit));
        read_all(self.fetch(query).await?, read_run)
    }

    async fn runs_beside(&mut self, firsts: &[u32], ends: &[u32]) -> Result<Vec<Run>, sqlx::Error> {
        let mut found = Vec::new();
        for (edge, blocks) in [("WHERE first_block IN ", ends), ("WHERE end_block IN ", firsts)] {
            for piece in pieces(blocks) {
                let mut query = QueryBuilder::new(SELECT_RUNS);
                push_list(query.push(edge), piece.iter().map(|block| i64::from(*block)));
                found.extend(read_all(self.fetch(query).await?, read_run)?);
            }
        }
        Ok(found)
    }

    async fn insert_leases(&mut self, leases: &[NewLease]) -> Result<(), sqlx::Error> {
        for piece in pieces(leases) {
            let mut query = QueryBuilder::new(
                "INSERT INTO leases (lease_id, request_id, owner, first_block, blocks, leased_again, ttl_ms, leased_at_ms, \
                 renewed_at_ms, expires_at_ms, ended_at_ms, ended, blocks_used, blocks_refused) ",
            );
            query.push_values(piece, |mut row, NewLease { record, leased_again }| {
                row.push_bind(signed(record.lease.id.0))
                    .push_bind(record.request_id.to_string())
                    .push_bind(record.owner.0.to_string())
                    .push_bind(i64::from(record.lease.first.0))
                    .push_bind(i64::from(record.lease.blocks))
                    .push_bind(i64::from(*leased_again))
                    .push_bind(signed(record.lease.ttl_ms))
                    .push_bind(record.leased_at_ms)
                    .push_bind(record.renewed_at_ms)
                    .push_bind(expires_at_ms(record))
                    .push_bind(record.ended_at_ms)
                    .push_bind(record.ended.map(|ended| ended.name().to_owned()))
                    .push_bind(i64::from(record.usage.used))
                    .push_bind(i64::from(record.usage.refused));
            });
            self.execute(query).await?;
        }
        Ok(())
    }

    async fn update_leases(&mut self, leases: &[LeaseRecord]) -> Result<(), sqlx::Error> {
        for record in leases {
            let mut query = QueryBuilder::new("UPDATE leases SET renewed_at_ms = ");
            query.push_bind(record.renewed_at_ms);
            query.push(", expires_at_ms = ").push_bind(expires_at_ms(record));
            query.push(", blocks_used = ").push_bind(i64::from(record.usage.used));
            query.push(", blocks_refused = ").push_bind(i64::from(record.usage.refused));
            if let (Some(ended), Some(at_ms)) = (record.ended, record.ended_at_ms) {
                query.push(", ended = ").push_bind(ended.name().to_owned());
                query.push(", ended_at_ms = ").push_bind(at_ms);
            }
            query.push(" WHERE lease_id = ").push_bind(signed(record.lease.id.0));
            self.execute(query).await?;
        }
        Ok(())
    }

    async fn remove_runs(&mut self, firsts: &[u32]) -> Result<(), sqlx::Error> {
        for piece in pieces(firsts) {
            let mut query = QueryBuilder::new("DELETE FROM free_runs WHERE first_block IN ");
            push_list(&mut query, piece.iter().map(|first| i64::from(*first)));
            self.execute(query).await?;
        }
        Ok(())
    }

    async fn insert_runs(&mut self, runs: &[Run]) -> Result<(), sqlx::Error> {
        for piece in pieces(runs) {
            let mut query = QueryBuilder::new("INSERT INTO free_runs (first_block, blocks, end_block) ");
            query.push_values(piece, |mut row, run| {
                row.push_bind(i64::from(run.first)).push_bind(i64::from(run.blocks)).push_bind(i64::from(run.end()));
            });
            self.execute(query).await?;
        }
        Ok(())
    }

    async fn save_space(&mut self, space: &Space) -> Result<(), sqlx::Error> {
        let totals = &space.totals;
        let values = [
            u64::from(space.high_water),
            space.next_lease.0,
            totals.handed_out,
            totals.used,
            totals.lost,
            totals.in_use,
            totals.returned,
            totals.expired,
            totals.free,
            totals.open_leases,
        ];
        let mut query = QueryBuilder::new("UPDATE id_space SET ");
        let mut list = query.separated(", ");
        for (column, value) in SPACE_COLUMNS.split(", ").zip(values) {
            list.push(column).push_unseparated(" = ").push_bind_unseparated(signed(value));
        }
        self.execute(query).await
    }

    async fn records(
        &mut self,
        filter: RecordFilter,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseRecord>, sqlx::Error> {
        let mut query = QueryBuilder::new(SELECT_LEASES);
        query.push("WHERE lease_id > ").push_bind(after.map_or(-1, |lease| signed(lease.0)));
        query.push(match filter.state {
            None => "",
            Some(LeaseState::Open) => " AND ended IS NULL",
            Some(LeaseState::Returned) => " AND ended = 'returned'",
            Some(LeaseState::Expired) => " AND ended = 'expired'",
        });
        if let Some(owner) = filter.owner {
            query.push(" AND owner = ").push_bind(owner.0.to_string());
        }
        query.push(" ORDER BY lease_id LIMIT ").push_bind(i64::from(limit));
        read_all(self.fetch(query).await?, read_lease)
    }

    async fn account(&mut self) -> Result<Account, sqlx::Error> {
        let now_ms = self.now_ms();
        let row = the_one(
            self.fetch(QueryBuilder::new(format!(
                "SELECT {SPACE_COLUMNS}, (SELECT CAST(coalesce(sum(blocks), 0) AS SIGNED) FROM leases \
                 WHERE leased_again = 0 AND leased_at_ms > {now_ms} - {DAY_MS} AND leased_at_ms <= {now_ms}) AS last_day FROM id_space"
            )))
            .await?,
        )?;
        Ok(read_totals(&row)?.account(number(&row, "high_water_block")?, number(&row, "last_day")?))
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        Dialect::commit(self).await
    }
}

/// Cuts a list into pieces of 256, 128, ... or 1, so that there are few different statements to prepare.
fn pieces<T>(mut list: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let longest = list.len().min(PIECE_MAX);
        let (piece, rest) = list.split_at((longest > 0).then(|| 1 << longest.ilog2())?);
        list = rest;
        Some(piece)
    })
}

fn push_list<Sql: SqlDatabase, T: Value<Sql>>(query: &mut QueryBuilder<Sql>, values: impl Iterator<Item = T>) {
    query.push("(");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

/// The id space of a key that a database holds.
pub(crate) fn id_space_of(key: Vec<u8>) -> Result<IdSpace, sqlx::Error> {
    let key = key.try_into().map_err(|_| sqlx::Error::Decode("the id space's key is not 32 bytes".into()))?;
    Ok(IdSpace::new(key))
}

/// Nothing here comes near the end of a signed integer.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn number<R: Row, N: TryFrom<i64>>(row: &R, column: &str) -> Result<N, sqlx::Error>
where
    i64: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    let number: i64 = row.try_get(column)?;
    N::try_from(number).map_err(|_| sqlx::Error::Decode(format!("{column} is {number}").into()))
}

fn uuid<R: Row>(row: &R, column: &str) -> Result<Uuid, sqlx::Error>
where
    String: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

pub(super) fn the_one<R>(rows: Vec<R>) -> Result<R, sqlx::Error> {
    rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}

pub(super) fn read_all<R, T>(rows: Vec<R>, read: impl Fn(&R) -> Result<T, sqlx::Error>) -> Result<Vec<T>, sqlx::Error> {
    rows.iter().map(read).collect()
}

fn read_totals<R: Row>(row: &R) -> Result<Totals, sqlx::Error>
where
    i64: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    Ok(Totals {
        handed_out: number(row, "handed_out")?,
        used: number(row, "used")?,
        lost: number(row, "lost")?,
        in_use: number(row, "in_use")?,
        returned: number(row, "returned")?,
        expired: number(row, "expired")?,
        free: number(row, "free")?,
        open_leases: number(row, "open_leases")?,
    })
}

pub(super) fn read_run<R: Row>(row: &R) -> Result<Run, sqlx::Error>
where
    i64: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    let (first, end): (u32, u32) = (number(row, "first_block")?, number(row, "end_block")?);
    match end.checked_sub(first) {
        Some(blocks) if blocks > 0 => Ok(Run { first, blocks }),
        _ => Err(sqlx::Error::Decode(format!("a free run from block {first} to {end}").into())),
    }
}

pub(super) fn read_lease<R: Row>(row: &R) -> Result<LeaseRecord, sqlx::Error>
where
    i64: Value<R::Database>,
    String: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    let ended: Option<String> = row.try_get("ended")?;
    Ok(LeaseRecord {
        lease: Lease {
            id: LeaseId(number(row, "lease_id")?),
            first: Block(number(row, "first_block")?),
            blocks: number(row, "blocks")?,
            ttl_ms: number(row, "ttl_ms")?,
        },
        request_id: uuid(row, "request_id")?,
        owner: Owner(uuid(row, "owner")?),
        usage: Usage { used: number(row, "blocks_used")?, refused: number(row, "blocks_refused")? },
        leased_at_ms: row.try_get("leased_at_ms")?,
        renewed_at_ms: row.try_get("renewed_at_ms")?,
        ended_at_ms: row.try_get("ended_at_ms")?,
        ended: ended.as_deref().and_then(Ended::from_name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_list() {
        for length in [0, 1, 2, 3, 100, 255, 256, 257, 1000] {
            let list: Vec<_> = (0..length).collect();
            let pieces: Vec<_> = pieces(&list).collect();
            assert_eq!(pieces.concat(), list);
            assert!(pieces.iter().all(|piece| piece.len().is_power_of_two() && piece.len() <= PIECE_MAX));
        }
    }
}
