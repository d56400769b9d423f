//! The link store in SQLite: the embedded implementation.
//!
//! One connection writes, and commits everything that waits at once ([`writer`]); a few others read. Answered writes
//! are on disk: WAL with `synchronous=FULL`.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, StoreError};
use crate::code::Codec;

mod api_keys;
mod claims;
mod links;
mod row;
mod writer;

use writer::Writer;

/// Marks the file as a link store of Septet ("SpLk").
const APPLICATION_ID: i64 = 0x5370_4c6b;
/// Connections for reading. More than these wait for one, [`READ_WAIT`] at most.
const READERS_MAX: u32 = 4;
/// How long a read waits for a connection before it is refused as [`StoreError::Overloaded`].
const READ_WAIT: Duration = Duration::from_secs(1);
/// How long SQLite waits for a lock of another connection, such as that of a backup being made.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept on a connection: one for each size of a batch, and the others.
const STATEMENTS_MAX: usize = writer::BATCH_MAX + 64;
/// Files up to this size are checked whole when they are opened; it takes about a second.
const CHECKED_BYTES_MAX: u64 = 1 << 30;

/// Why a link store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} cannot be opened: {source}")]
    Open { path: String, source: sqlx::Error },
    #[error("{path} is a SQLite file, but not a link store of Septet")]
    Foreign { path: String },
    #[error("{path} is damaged: {finding}; restore it from a backup")]
    Damaged { path: String, finding: String },
    #[error("{path} cannot be migrated: {source}")]
    Migrate { path: String, source: sqlx::migrate::MigrateError },
}

/// The link store in one SQLite file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    codec: Arc<Codec>,
}

impl SqliteStore {
    /// Opens the file, makes it if it is not there, checks it and brings its tables up to date. `codec` tells which id a
    /// code belongs to.
    pub async fn open(path: &Path, codec: Arc<Codec>) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let failed = |source| OpenError::Open { path: name.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        let mut connection = options.clone().thread_name(|_| "links-writer".to_owned()).connect().await.map_err(failed)?;
        let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await.map_err(failed)?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        match id {
            APPLICATION_ID => check(path, &name, &mut connection).await?,
            0 if tables == 0 => {
                // A pragma takes no parameters.
                let mark = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
                sqlx::raw_sql(mark).execute(&mut connection).await.map_err(failed)?;
            }
            _ => return Err(OpenError::Foreign { path: name }),
        }
        sqlx::migrate!("../migrations/sqlite/links")
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Migrate { path: name.clone(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_WAIT)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(SqliteStore { readers, writer: Writer::start(connection), codec })
    }
}

/// Looks for damage, as far as that takes no more than about a second.
async fn check(path: &Path, name: &str, connection: &mut sqlx::SqliteConnection) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > CHECKED_BYTES_MAX {
        tracing::info!(
            file = name,
            bytes,
            "too large to be checked at every start; `sqlite3 FILE 'PRAGMA quick_check'` checks it"
        );
        return Ok(());
    }
    let finding: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| error.to_string());
    match finding.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged { path: name.to_owned(), finding }),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// What a failed read means to the caller.
fn read_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::Overloaded,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Unreadable(error.to_string()),
        other => StoreError::Unavailable(other.into()),
    }
}
