//! A pool of connections as the ledger uses it: a transaction begun by hand, on a connection that nobody uses again if it was not
//! ended in order.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Executor, MySql, QueryBuilder,
    mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions, MySqlRow},
    pool::PoolConnection,
};

use super::MysqlOptions;
use crate::{
    IdSpace,
    ledger::{
        sql::{Dialect, id_space_of},
        tables::Database,
    },
};

/// How long a transaction waits at the database for one of another service, before it is tried again.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The database ends connections that are silent for so long. A service that is stopped in the middle of a transaction (and not dead,
/// or its connection would break) so holds up the others for no longer.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Connections that are not used for so long are closed: before the database does it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// `ER_CHECKREAD`, `ER_LOCK_WAIT_TIMEOUT`, `ER_LOCK_DEADLOCK`: the transaction was in the way of another one.
const CONFLICTS: [u16; 3] = [1020, 1205, 1213];

/// A pool that connects when it is used.
pub(super) fn pool(connect: MySqlConnectOptions, options: &MysqlOptions) -> MySqlPool {
    let session = format!(
        "SET SESSION innodb_lock_wait_timeout = {}, SESSION wait_timeout = {}",
        LOCK_WAIT.as_secs(),
        SILENCE_MAX.as_secs()
    );
    MySqlPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(options.timeout)
        // Too slow is an error then, which is counted and answered; not a line in the log for each.
        .acquire_slow_threshold(options.timeout)
        .idle_timeout(IDLE_MAX)
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move {
                // A reading after the lock then sees what was committed before the lock was given.
                connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                connection.execute(AssertSqlSafe(session)).await?;
                Ok(())
            })
        })
        .connect_lazy_with(connect.timezone(Some("+00:00".to_owned())))
}

/// A database with the lease tables.
pub struct MysqlDatabase {
    pub(super) pool: MySqlPool,
}

#[async_trait]
impl Database for MysqlDatabase {
    type Transaction = MysqlTransaction;

    async fn begin(&self) -> Result<MysqlTransaction, sqlx::Error> {
        let mut transaction = self.begin_reading().await?;
        transaction.connection.execute("START TRANSACTION").await?;
        Ok(transaction)
    }

    async fn begin_reading(&self) -> Result<MysqlTransaction, sqlx::Error> {
        Ok(MysqlTransaction { connection: self.pool.acquire().await?, ended: false })
    }

    async fn id_space(&self) -> Result<IdSpace, sqlx::Error> {
        let key: Vec<u8> = sqlx::query_scalar("SELECT secret_key FROM id_space").fetch_one(&self.pool).await?;
        id_space_of(key)
    }

    fn is_conflict(&self, error: &sqlx::Error) -> bool {
        let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
        error.is_some_and(|error: &sqlx::mysql::MySqlDatabaseError| CONFLICTS.contains(&error.number()))
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// One transaction, on a connection that goes back to the pool only if it was committed. Otherwise the connection is closed, with
/// which the database rolls back: whatever was cut off in the middle, nobody inherits it.
pub struct MysqlTransaction {
    connection: PoolConnection<MySql>,
    ended: bool,
}

#[async_trait]
impl Dialect for MysqlTransaction {
    type Sql = MySql;

    const LOCK_ROWS: &'static str = "FOR UPDATE";

    const KEY_COLUMN: &'static str = "secret_key";

    /// The database's own clock: one for all services.
    fn now_ms(&self) -> String {
        "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)".to_owned()
    }

    async fn fetch(&mut self, mut query: QueryBuilder<MySql>) -> Result<Vec<MySqlRow>, sqlx::Error> {
        query.build().fetch_all(&mut *self.connection).await
    }

    async fn execute(&mut self, mut query: QueryBuilder<MySql>) -> Result<(), sqlx::Error> {
        query.build().execute(&mut *self.connection).await.map(drop)
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.connection.execute("COMMIT").await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for MysqlTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}
