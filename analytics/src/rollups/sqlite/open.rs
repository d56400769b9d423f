//! Opening the file: that it is ours, that it is whole, that it has the current tables.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    error::DatabaseError,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite/analytics");

/// Marks the file as Septet's rollups: "7rol" in ASCII.
const APPLICATION_ID: i32 = 0x3772_6f6c;

/// Files up to this size are checked for damage when they are opened (about a second); larger ones are not.
pub const QUICK_CHECK_BYTES_MAX: u64 = 512 << 20;

/// Questions answered at the same time; more of them wait.
const READERS_MAX: u32 = 4;

/// How long a question waits for a reader, and a commit for the writer, before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages that the writer keeps in memory, in KiB.
const WRITER_CACHE_KIB: u32 = 32 << 10;

/// The write-ahead log is cut to this size, in bytes, when it is done with.
const WAL_BYTES_KEPT: u32 = 64 << 20;

/// Pages of the write-ahead log, of 4 KiB each, after which it is written back. Rows of hot links change at every commit:
/// a longer log writes them back less often.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Why the file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is not a file of Septet's rollups (application_id {found}); name another file")]
    Foreign { path: String, found: i32 },
    #[error("{path} is damaged ({finding}); restore it from a backup, or move it away and lose the counts")]
    Damaged { path: String, finding: String },
    #[error("{path} cannot be brought to the current version: {source}")]
    Migrate { path: String, source: MigrateError },
    #[error("{path} cannot be opened: {source}")]
    Sqlite { path: String, source: sqlx::Error },
}

/// The one writer and the readers.
pub(super) async fn pools(path: &Path) -> Result<(SqlitePool, SqlitePool), OpenError> {
    let shown = || path.display().to_string();
    let fail = |source| OpenError::Sqlite { path: shown(), source };

    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(ACQUIRE_TIMEOUT)
        .disable_statement_logging();
    let writing = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string());
    let check = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
    let checked = check_file(path, &check).await;
    check.close().await;
    checked?;

    let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    let writer = pool(1).after_release(|connection, _| Box::pin(is_at_rest(connection)));
    let writer = writer.connect_with(writing).await.map_err(fail)?;
    MIGRATIONS.run(&writer).await.map_err(|source| OpenError::Migrate { path: shown(), source })?;
    let readers = pool(READERS_MAX).connect_with(options.pragma("query_only", "1")).await.map_err(fail)?;
    Ok((writer, readers))
}

/// Whether SQLite found the file damaged: SQLITE_CORRUPT or SQLITE_NOTADB, which are the lowest byte of their extended codes.
pub(super) fn is_damage(error: &dyn DatabaseError) -> bool {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xff), Some(11 | 26))
}

/// Whether no transaction is open on a connection; one that is closes, and the pool opens another.
///
/// When a commit fails, at a full disk for one, SQLite has rolled back by itself. The driver, whose own rollback then fails as well,
/// takes the transaction for open and begins no other on this connection ever.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The rollback of a transaction that was dropped waits in line: after the answer it is done.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Refuses what is not ours before anything is written to it, and marks what is new.
async fn check_file(path: &Path, pool: &SqlitePool) -> Result<(), OpenError> {
    let shown = || path.display().to_string();
    let fail = |source: sqlx::Error| match &source {
        sqlx::Error::Database(e) if is_damage(&**e) => {
            OpenError::Damaged { path: shown(), finding: e.message().to_owned() }
        }
        _ => OpenError::Sqlite { path: shown(), source },
    };
    let found: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.map_err(fail)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(pool).await.map_err(fail)?;
    if found != APPLICATION_ID {
        if tables != 0 || found != 0 {
            return Err(OpenError::Foreign { path: shown(), found });
        }
        let mark = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
        sqlx::query(mark).execute(pool).await.map_err(fail)?;
    }
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes <= QUICK_CHECK_BYTES_MAX {
        let finding: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await.map_err(fail)?;
        if finding != "ok" {
            return Err(OpenError::Damaged { path: shown(), finding });
        }
    }
    Ok(())
}
