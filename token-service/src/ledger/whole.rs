//! The lease tables as a whole: what it takes to copy an id space from one database to another.

use async_trait::async_trait;
use sqlx::{ColumnIndex, Database as SqlDatabase, QueryBuilder, Row};
use tokio::time::{Duration, Instant, timeout};

use super::{
    free_runs::Run,
    sql::{
        Dialect, SELECT_LEASES, SELECT_RUNS, Value, id_space_of, number, read_all, read_lease, read_run, signed,
        the_one,
    },
    tables::{NewLease, Tables},
};
use crate::{IdSpace, LeaseId};

/// Rows that are read and written at a time.
const PAGE_ROWS: u32 = 1024;

/// How long the destination may take for a page.
const PAGE_LIMIT: Duration = Duration::from_secs(60);

/// How often it is said how far the copy is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// The lease tables in one transaction, from their first row to their last.
#[async_trait]
pub trait WholeTables: Tables {
    async fn id_space(&mut self) -> Result<IdSpace, sqlx::Error>;

    /// Gives the id space's row another key.
    async fn replace_id_space(&mut self, id_space: &IdSpace) -> Result<(), sqlx::Error>;

    /// The leases after this one, oldest first, at most `limit`.
    async fn leases_after(&mut self, after: Option<LeaseId>, limit: u32) -> Result<Vec<NewLease>, sqlx::Error>;

    /// The free runs that begin at this block or above, lowest first, at most `limit`.
    async fn runs_from(&mut self, first: u32, limit: u32) -> Result<Vec<Run>, sqlx::Error>;
}

#[async_trait]
impl<D> WholeTables for D
where
    D: Dialect,
    D: Tables,
    i64: Value<D::Sql>,
    String: Value<D::Sql>,
    Vec<u8>: Value<D::Sql>,
    for<'name> &'name str: ColumnIndex<<D::Sql as SqlDatabase>::Row>,
{
    async fn id_space(&mut self) -> Result<IdSpace, sqlx::Error> {
        let select = format!("SELECT {} FROM id_space", D::KEY_COLUMN);
        let key: Vec<u8> = the_one(self.fetch(QueryBuilder::new(select)).await?)?.try_get(D::KEY_COLUMN)?;
        id_space_of(key)
    }

    async fn replace_id_space(&mut self, id_space: &IdSpace) -> Result<(), sqlx::Error> {
        let mut query = QueryBuilder::new(format!("UPDATE id_space SET {} = ", D::KEY_COLUMN));
        query.push_bind(id_space.key().to_vec());
        self.execute(query).await
    }

    async fn leases_after(&mut self, after: Option<LeaseId>, limit: u32) -> Result<Vec<NewLease>, sqlx::Error> {
        let mut query = QueryBuilder::new(SELECT_LEASES);
        query.push("WHERE lease_id > ").push_bind(after.map_or(-1, |lease| signed(lease.0)));
        query.push(" ORDER BY lease_id LIMIT ").push_bind(i64::from(limit));
        read_all(self.fetch(query).await?, read_new_lease)
    }

    async fn runs_from(&mut self, first: u32, limit: u32) -> Result<Vec<Run>, sqlx::Error> {
        let mut query = QueryBuilder::new(SELECT_RUNS);
        query.push("WHERE first_block >= ").push_bind(i64::from(first));
        query.push(" ORDER BY first_block LIMIT ").push_bind(i64::from(limit));
        read_all(self.fetch(query).await?, read_run)
    }
}

/// Which of the two databases failed in a copy.
#[derive(Debug)]
pub enum CopyError {
    Source(sqlx::Error),
    Destination(sqlx::Error),
}

/// Copies the id space, how far it is leased, its totals, its free runs and every lease into tables without any. How many leases
/// there were. Nothing is committed.
pub async fn copy(from: &mut impl WholeTables, to: &mut impl WholeTables) -> Result<u64, CopyError> {
    use CopyError::Source;
    let id_space = from.id_space().await.map_err(Source)?;
    let space = from.lock_space().await.map_err(Source)?;
    written(to.replace_id_space(&id_space)).await?;
    written(to.save_space(&space)).await?;

    let mut from_block = 0;
    loop {
        let runs = from.runs_from(from_block, PAGE_ROWS).await.map_err(Source)?;
        let Some(last) = runs.last() else { break };
        from_block = last.end();
        written(to.insert_runs(&runs)).await?;
    }

    let (mut copied, mut after, mut told) = (0, None, Instant::now());
    loop {
        let leases = from.leases_after(after, PAGE_ROWS).await.map_err(Source)?;
        let Some(last) = leases.last() else { return Ok(copied) };
        after = Some(last.record.lease.id);
        written(to.insert_leases(&leases)).await?;
        copied += leases.len() as u64;
        if told.elapsed() >= PROGRESS_INTERVAL {
            let percent = last.record.lease.id.0.saturating_mul(100) / space.next_lease.0.max(1);
            tracing::info!(leases = copied, percent, "copying the record");
            told = Instant::now();
        }
    }
}

async fn written(page: impl Future<Output = Result<(), sqlx::Error>>) -> Result<(), CopyError> {
    let late = |_| CopyError::Destination(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(PAGE_LIMIT, page).await.map_err(late)?.map_err(CopyError::Destination)
}

fn read_new_lease<R: Row>(row: &R) -> Result<NewLease, sqlx::Error>
where
    i64: Value<R::Database>,
    String: Value<R::Database>,
    for<'name> &'name str: ColumnIndex<R>,
{
    let leased_again: i64 = number(row, "leased_again")?;
    Ok(NewLease { record: read_lease(row)?, leased_again: leased_again != 0 })
}
