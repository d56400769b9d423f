//! Opens the file: refuses what is not a link store or is damaged, and brings its tables up to date.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use super::{
    SqliteStore, claims,
    writer::{BATCH_MAX, Writer},
};
use crate::code::Codec;

/// Marks the file as a link store of Septet: "SEPk".
const APPLICATION_ID: i32 = 0x5345_506B;
/// Files up to this size are checked for damage when they are opened; it takes about a second.
const CHECKED_BYTES_MAX: u64 = 512 << 20;
/// Connections for reading. More reads than these wait for one, [`READ_WAIT`] at most.
const READERS_MAX: u32 = 4;
/// How long a read waits for a connection before it is refused as overload.
const READ_WAIT: Duration = Duration::from_secs(1);
/// How long SQLite waits for a lock of another connection, such as that of a backup being made.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the switch to WAL is put off while another process makes it.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// What SQLite answers when another connection is in the way (`SQLITE_BUSY`).
const BUSY: &str = "5";
/// Prepared statements kept on a connection: one for each size of a batch, and the others.
const STATEMENTS_MAX: usize = BATCH_MAX + 64;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite/links");

/// Why a link store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the link store {path}: {source}", path = path.display())]
    Sqlite { path: PathBuf, source: sqlx::Error },
    #[error("{path} is an SQLite file, but not a link store of Septet: name another file", path = path.display())]
    Foreign { path: PathBuf },
    #[error("the link store {path} is damaged ({finding}): restore it from a backup", path = path.display())]
    Damaged { path: PathBuf, finding: String },
    #[error("the link store {path} was written by a newer Septet (schema {version}): start that one", path = path.display())]
    Newer { path: PathBuf, version: i64 },
    #[error("cannot migrate the link store {path}: {source}", path = path.display())]
    Migrate { path: PathBuf, source: MigrateError },
}

impl SqliteStore {
    /// Opens the file, making it if there is none. Links are found by their codes once an id space is pinned, now or earlier.
    ///
    /// # Errors
    /// A sentence for a person, for each reason not to use this file; it is left as it was.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        // By a connection that sets nothing: a file that is not ours must stay as it is.
        let mut probe = options.connect().await.map_err(sqlite)?;
        check_belongs(&mut probe, path).await?;
        check_sound(&mut probe, path).await?;
        probe.close().await.map_err(sqlite)?;

        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .statement_cache_capacity(STATEMENTS_MAX);
        let writing = options.clone().thread_name(|_| "links-writer".to_owned());
        // Switching to WAL fails at once while another process does the same, whatever the busy timeout says.
        let until = Instant::now() + BUSY_TIMEOUT;
        let mut writer = loop {
            match writing.connect().await {
                Err(error) if is_busy(&error) && Instant::now() < until => sleep(BUSY_PAUSE).await,
                outcome => break outcome.map_err(sqlite)?,
            }
        };
        migrate(&mut writer, path).await?;
        let pinned = claims::pinned(&mut writer).await.map_err(sqlite)?;
        let codec = pinned.map_or_else(OnceLock::new, |id_space| OnceLock::from(Codec::new(&id_space)));
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_WAIT)
            .connect_lazy_with(options.read_only(true).thread_name(|number| format!("links-reader-{number}")));
        Ok(SqliteStore { readers, writer: Writer::start(writer, writing), codec })
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == BUSY)
}

/// Ours, or empty.
async fn check_belongs(probe: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found: (i32, i64) = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(probe)
    .await
    .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    match found {
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

async fn check_sound(probe: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > CHECKED_BYTES_MAX {
        tracing::info!(file = %path.display(), bytes, "the link store is too large to be checked at every start");
        return Ok(());
    }
    let finding: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(probe).await;
    let finding = finding.unwrap_or_else(|error| error.to_string());
    if finding == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.to_owned(), finding }) }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    // One transaction: of two processes that start at once on a new file, the second finds what the first has done.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sqlite)?;
    let mark: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *tx).await.map_err(sqlite)?;
    if mark != APPLICATION_ID {
        // A pragma takes no parameters.
        let set = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
        sqlx::raw_sql(set).execute(&mut *tx).await.map_err(sqlite)?;
    }
    // `run` itself makes a future that is not `Send` here (rust-lang/rust#96865); this is what it calls.
    MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.to_owned(), version },
        source => OpenError::Migrate { path: path.to_owned(), source },
    })?;
    tx.commit().await.map_err(sqlite)
}
