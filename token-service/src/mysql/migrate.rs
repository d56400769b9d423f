//! Makes the tables and the id space's key, and tells whether they are there.

use std::time::Duration;

use rand::{TryRng, rngs::SysRng};
use sqlx::{
    ConnectOptions, Connection, MySqlConnection,
    migrate::{MigrateError, Migrator},
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPool},
};
use tokio::time::timeout;

/// How long a migration waits for another one that is under way.
const MIGRATION_WAIT: Duration = Duration::from_secs(60);

/// How long the database may take to let a migration in.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// How long all of a migration may take once it has the lock: an instance of MySQL that is stuck is not waited for for ever.
const MIGRATION_LIMIT: Duration = Duration::from_secs(600);

/// `ER_NO_SUCH_TABLE`
const NO_SUCH_TABLE: u16 = 1146;

/// Why a database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the database has no tables of the token service, or old ones: run `septet-token-service migrate` first")]
    NotMigrated,
    #[error("the database was migrated by a newer token service (schema {0}): start that version, or a later one")]
    Newer(i64),
    #[error(
        "the database has leases on record but no id space key; a new key would give codes out again: restore it from a copy"
    )]
    KeyLost,
    #[error("another migration has been under way for {} seconds", MIGRATION_WAIT.as_secs())]
    Busy,
    #[error("the operating system gives no random bytes for the id space key: {0}")]
    NoRandomness(String),
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[source] MigrateError),
    /// It answers, and will not have us, until somebody changes the URL or the rights.
    #[error("the database refuses: {0}")]
    Refused(#[source] sqlx::Error),
    /// It may answer later.
    #[error("the database does not answer: {0}")]
    Database(#[source] sqlx::Error),
}

/// `ER_DBACCESS_DENIED_ERROR`, `ER_ACCESS_DENIED_ERROR`, `ER_BAD_DB_ERROR`, `ER_TABLEACCESS_DENIED_ERROR`,
/// `ER_COLUMNACCESS_DENIED_ERROR`, `ER_ACCESS_DENIED_NO_PASSWORD_ERROR`
const REFUSALS: [u16; 6] = [1044, 1045, 1049, 1142, 1143, 1698];

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        let configured_wrong = matches!(error, sqlx::Error::Configuration(_) | sqlx::Error::Tls(_));
        if configured_wrong || number(&error).is_some_and(|number| REFUSALS.contains(&number)) {
            SchemaError::Refused(error)
        } else {
            SchemaError::Database(error)
        }
    }
}

/// What takes too long has not answered.
async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, SchemaError>>) -> Result<T, SchemaError> {
    let late = || SchemaError::Database(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(limit, asked).await.unwrap_or_else(|_| Err(late()))
}

impl SchemaError {
    /// Whether the same may turn out well later, without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, SchemaError::Database(_) | SchemaError::Busy)
    }
}

fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../migrations/mysql");
    // The lock is taken here: sqlx's own waits for ever on MySQL, and not at all on MariaDB.
    migrations.set_locking(false);
    migrations
}

pub(super) async fn check(pool: &MySqlPool, limit: Duration) -> Result<(), SchemaError> {
    within(limit, look(pool)).await
}

async fn look(pool: &MySqlPool) -> Result<(), SchemaError> {
    let versions: Vec<i64> =
        match sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(pool).await {
            Ok(versions) => versions,
            Err(error) if number(&error) == Some(NO_SUCH_TABLE) => return Err(SchemaError::NotMigrated),
            Err(error) => return Err(error.into()),
        };
    let migrations = migrations();
    if let Some(newer) = versions.iter().find(|version| !migrations.version_exists(**version)) {
        return Err(SchemaError::Newer(*newer));
    }
    if migrations.iter().any(|migration| !versions.contains(&migration.version)) {
        return Err(SchemaError::NotMigrated);
    }
    let made: Option<i64> = sqlx::query_scalar("SELECT CAST(1 AS SIGNED) FROM id_space").fetch_optional(pool).await?;
    made.map(drop).ok_or(SchemaError::NotMigrated)
}

pub(super) async fn migrate(options: &MySqlConnectOptions) -> Result<(), SchemaError> {
    let mut connection = within(CONNECT_WAIT, async { Ok(options.connect().await?) }).await?;
    // Let go when the connection ends, however it ends. Its name may have 64 characters; md5() is gone since MySQL 9.
    let locked: Option<i64> =
        sqlx::query_scalar("SELECT GET_LOCK(concat('septet leases ', left(sha2(database(), 256), 40)), ?)")
            .bind(MIGRATION_WAIT.as_secs())
            .fetch_one(&mut connection)
            .await?;
    if locked != Some(1) {
        return Err(SchemaError::Busy);
    }
    within(MIGRATION_LIMIT, bring_up_to_date(&mut connection)).await?;
    Ok(connection.close().await?)
}

async fn bring_up_to_date(connection: &mut MySqlConnection) -> Result<(), SchemaError> {
    forget_interrupted(&mut *connection).await?;
    migrations().run_direct(None, &mut *connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => SchemaError::Newer(version),
        error => SchemaError::Migrate(error),
    })?;
    make_key(connection).await
}

/// DDL is not transactional: a migration that was interrupted is on record as not successful, which would stop every later one.
/// Each of its statements may be run again, so it is simply run once more.
async fn forget_interrupted(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    match sqlx::query("DELETE FROM _sqlx_migrations WHERE NOT success").execute(connection).await {
        Err(error) if number(&error) == Some(NO_SUCH_TABLE) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Makes the id space's key unless there is one: once, for ever.
async fn make_key(connection: &mut MySqlConnection) -> Result<(), SchemaError> {
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM id_space").fetch_one(&mut *connection).await?;
    if made > 0 {
        return Ok(());
    }
    let leased: i64 = sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM leases LIMIT 1) AS leased")
        .fetch_one(&mut *connection)
        .await?;
    if leased > 0 {
        return Err(SchemaError::KeyLost);
    }
    let mut key = [0; 32];
    SysRng.try_fill_bytes(&mut key).map_err(|error| SchemaError::NoRandomness(error.to_string()))?;
    sqlx::query(
        "INSERT INTO id_space (only_row, secret_key, high_water_block, next_lease_id, handed_out, used, lost, in_use, \
         returned, expired, free, open_leases) VALUES (1, ?, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)",
    )
    .bind(key.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

fn number(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}
