//! The file as the ledger uses it: one connection, a transaction at a time.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

use super::Clock;
use crate::{
    IdSpace,
    ledger::{
        sql::{Dialect, id_space_of},
        tables::Database,
    },
};

/// An open file with the lease tables.
pub struct SqliteDatabase {
    pub(super) pool: SqlitePool,
    pub(super) clock: Clock,
}

#[async_trait]
impl Database for SqliteDatabase {
    type Transaction = SqliteTransaction;

    /// `BEGIN IMMEDIATE`: it writes from its start, so it never has to be upgraded half-way.
    async fn begin(&self) -> Result<SqliteTransaction, sqlx::Error> {
        let now_ms = (self.clock)();
        Ok(SqliteTransaction { tx: self.pool.begin_with("BEGIN IMMEDIATE").await?, now_ms })
    }

    async fn begin_reading(&self) -> Result<SqliteTransaction, sqlx::Error> {
        Ok(SqliteTransaction { tx: self.pool.begin().await?, now_ms: (self.clock)() })
    }

    async fn id_space(&self) -> Result<IdSpace, sqlx::Error> {
        let key: Vec<u8> = sqlx::query_scalar("SELECT key FROM id_space").fetch_one(&self.pool).await?;
        id_space_of(key)
    }

    /// The file has one writer at a time, which waits for its turn: nothing is in the way of anything.
    fn is_conflict(&self, _: &sqlx::Error) -> bool {
        false
    }

    /// The last connection empties SQLite's log into the file.
    async fn close(&self) {
        self.pool.close().await;
    }
}

/// One transaction, rolled back when it is dropped.
pub struct SqliteTransaction {
    tx: Transaction<'static, Sqlite>,
    now_ms: i64,
}

#[async_trait]
impl Dialect for SqliteTransaction {
    type Sql = Sqlite;

    /// The whole file is locked.
    const LOCK_ROWS: &'static str = "";

    const KEY_COLUMN: &'static str = "key";

    fn now_ms(&self) -> String {
        self.now_ms.to_string()
    }

    async fn fetch(&mut self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<SqliteRow>, sqlx::Error> {
        query.build().fetch_all(&mut *self.tx).await
    }

    async fn execute(&mut self, mut query: QueryBuilder<Sqlite>) -> Result<(), sqlx::Error> {
        query.build().execute(&mut *self.tx).await.map(drop)
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }
}
