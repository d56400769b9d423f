//! Opens the file: refuses what is not a lease store or is damaged, migrates it, and makes the id space's key once.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{TryRng, rngs::SysRng};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

use super::{SqliteLeases, SqliteOptions, database::SqliteDatabase};
use crate::ledger::{Rules, sql::id_space_of};

/// What the header of a lease store's file says: "SEPl".
pub const APPLICATION_ID: i32 = 0x5345_506C;

/// Files up to this size are checked for damage when they are opened (some 0.1 s at most); larger ones are not.
pub const QUICK_CHECK_BYTES_MAX: u64 = 64 << 20;

/// How long a call waits while another process writes to the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opening is tried again after so long while SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// How long a transaction or a reading may take, the wait for the connection included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// `SQLITE_BUSY`
const BUSY: u32 = 5;

/// What SQLite answers about a file that is not its own (`SQLITE_NOTADB`).
const NOT_A_DATABASE: &str = "26";

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite/leases");

/// Why a lease store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the lease store {path} is not an SQLite database: name another file, or move this one away", path = path.display())]
    NotSqlite { path: PathBuf },
    #[error(
        "{path} is an SQLite database, but not a lease store of Septet (application_id {application_id:#x}): name another file",
        path = path.display()
    )]
    NotALeaseStore { path: PathBuf, application_id: i32 },
    #[error("the lease store {path} is damaged ({finding}): restore it from a copy, however old; claims keep ids unique", path = path.display())]
    Damaged { path: PathBuf, finding: String },
    #[error("the lease store {path} was written by a newer Septet (schema {version}): start that version, or a later one", path = path.display())]
    Newer { path: PathBuf, version: i64 },
    #[error(
        "the lease store {path} has leases on record but no id space key; a new key would give codes out again: restore it from a copy",
        path = path.display()
    )]
    KeyLost { path: PathBuf },
    #[error(
        "the id space of the lease store {path} was moved to a token service's database, and is leased from there: start with \
         --leases http://..., the URL of that token service",
        path = path.display()
    )]
    Moved { path: PathBuf },
    #[error(
        "the id space of the lease store {path} is being moved to a token service's database, which was not finished: run the same \
         `septet-token-service adopt` again, and then start with --leases http://..., the URL of that token service",
        path = path.display()
    )]
    Moving { path: PathBuf },
    #[error("cannot open the lease store {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot open the lease store {path}: {source}", path = path.display())]
    Sqlite { path: PathBuf, source: sqlx::Error },
    #[error("cannot migrate the lease store {path}: {source}", path = path.display())]
    Migrate { path: PathBuf, source: MigrateError },
    #[error("the operating system gives no random bytes for the id space key: {0}")]
    NoRandomness(String),
}

impl SqliteLeases {
    /// Opens the store, making the file if there is none; its directory must exist. The schema migrates itself.
    ///
    /// # Errors
    /// A sentence for a person, for each reason not to use this file; it is left as it was.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let pool = open_file(path, MayBe::New).await?;
        migrate(&pool, path).await?;
        let rules = Rules::new(options.ttl, options.unused_blocks_max, CALL_TIMEOUT);
        Ok(Self::start(SqliteDatabase { pool, clock: options.clock }, rules))
    }
}

/// What a file may be, besides a lease store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayBe {
    /// Not there, or empty. A large one that is there is not checked for damage.
    New,
    /// Nothing else; it is checked for damage, however large.
    #[cfg(feature = "service")]
    NothingElse,
}

/// Opens a file that is a sound lease store, of whatever schema.
pub(super) async fn open_file(path: &Path, may_be: MayBe) -> Result<SqlitePool, OpenError> {
    // By a connection that sets nothing: journal_mode would change a file that may not be ours.
    let create = may_be == MayBe::New;
    let foreign_safe = SqliteConnectOptions::new().filename(path).create_if_missing(create).busy_timeout(BUSY_TIMEOUT);
    let mut probe = SqliteConnection::connect_with(&foreign_safe).await.map_err(|e| sqlite_error(path, e))?;
    check_belongs(&mut probe, path, may_be).await?;
    check_sound(&mut probe, path, may_be).await?;
    probe.close().await.map_err(|e| sqlite_error(path, e))?;

    let settings = foreign_safe
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .optimize_on_close(true, None);
    connect(settings).await.map_err(|e| sqlite_error(path, e))
}

/// SQLite does not wait when two processes change the journal mode of a new file at the same time, but says that it is busy.
async fn connect(settings: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let begun = Instant::now();
    loop {
        let connecting = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(CALL_TIMEOUT)
            // SQLite rolls back by itself after a full disk or an I/O error, and sqlx's rollback then fails: to it the connection
            // is in a transaction for ever. Such a connection is closed, and another is opened.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(settings.clone());
        match connecting.await {
            Err(error) if is_busy(&error) && begun.elapsed() < BUSY_TIMEOUT => sleep(BUSY_PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Whether it is `SQLITE_BUSY`, or one of its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xFF == BUSY)
}

async fn check_belongs(probe: &mut SqliteConnection, path: &Path, may_be: MayBe) -> Result<(), OpenError> {
    let found: Result<(i32, i64), _> = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(probe)
    .await;
    match found {
        Ok((APPLICATION_ID, _)) => Ok(()),
        Ok((0, 0)) if may_be == MayBe::New => Ok(()),
        Ok((application_id, _)) => Err(OpenError::NotALeaseStore { path: path.to_owned(), application_id }),
        Err(error) => Err(sqlite_error(path, error)),
    }
}

async fn check_sound(probe: &mut SqliteConnection, path: &Path, may_be: MayBe) -> Result<(), OpenError> {
    let size = std::fs::metadata(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?.len();
    if size > QUICK_CHECK_BYTES_MAX && may_be == MayBe::New {
        tracing::info!(path = %path.display(), size, "the lease store is too large to be checked at every start");
        return Ok(());
    }
    let finding: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(probe).await;
    match finding {
        Ok(finding) if finding == "ok" => Ok(()),
        Ok(finding) => Err(OpenError::Damaged { path: path.to_owned(), finding }),
        Err(error) => Err(OpenError::Damaged { path: path.to_owned(), finding: error.to_string() }),
    }
}

/// Migrates and makes the key in one transaction, so that two processes starting at once agree on both.
async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| sqlite_error(path, e))?;
    bring_up_to_date(&mut tx, path).await?;
    refuse_moved(&mut tx, path).await?;
    match stored_key(&mut tx).await.map_err(|e| sqlite_error(path, e))? {
        StoredKey::Found => {}
        StoredKey::Lost => return Err(OpenError::KeyLost { path: path.to_owned() }),
        StoredKey::NeverMade => {
            sqlx::query("INSERT INTO id_space (only_row, key, high_water_block) VALUES (1, ?, 0)")
                .bind(random_key()?.as_slice())
                .execute(&mut *tx)
                .await
                .map_err(|e| sqlite_error(path, e))?;
        }
    }
    tx.commit().await.map_err(|e| sqlite_error(path, e))
}

pub(super) async fn bring_up_to_date(tx: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    // `run` itself makes a future that is not `Send` here (rust-lang/rust#96865); this is what it calls.
    MIGRATIONS.run_direct(None, tx, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.to_owned(), version },
        source => OpenError::Migrate { path: path.to_owned(), source },
    })
}

/// The triggers would refuse every lease; this says so at the start.
async fn refuse_moved(tx: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let done: Option<bool> =
        sqlx::query_scalar("SELECT done FROM move").fetch_optional(tx).await.map_err(|e| sqlite_error(path, e))?;
    match done {
        None => Ok(()),
        Some(true) => Err(OpenError::Moved { path: path.to_owned() }),
        Some(false) => Err(OpenError::Moving { path: path.to_owned() }),
    }
}

pub(super) enum StoredKey {
    Found,
    NeverMade,
    Lost,
}

pub(super) async fn stored_key(tx: &mut SqliteConnection) -> Result<StoredKey, sqlx::Error> {
    let key: Option<Vec<u8>> = sqlx::query_scalar("SELECT key FROM id_space").fetch_optional(&mut *tx).await?;
    if let Some(key) = key {
        return id_space_of(key).map(|_| StoredKey::Found);
    }
    let leased: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM leases)").fetch_one(tx).await?;
    Ok(if leased { StoredKey::Lost } else { StoredKey::NeverMade })
}

fn random_key() -> Result<[u8; 32], OpenError> {
    let mut key = [0; 32];
    SysRng.try_fill_bytes(&mut key).map_err(|e| OpenError::NoRandomness(e.to_string()))?;
    Ok(key)
}

pub(super) fn sqlite_error(path: &Path, source: sqlx::Error) -> OpenError {
    let not_sqlite = source.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == NOT_A_DATABASE);
    let path = path.to_owned();
    if not_sqlite { OpenError::NotSqlite { path } } else { OpenError::Sqlite { path, source } }
}
