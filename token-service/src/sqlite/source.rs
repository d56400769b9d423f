//! A lease store that is to be left: held by nobody else, and marked in the file itself before it is copied and afterwards, so that
//! nothing is leased from it any more.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    DIRECTORY_LOCK,
    database::{SqliteDatabase, SqliteTransaction},
    open::{MayBe, OpenError, StoredKey, bring_up_to_date, open_file, sqlite_error, stored_key},
    system_clock,
};
use crate::{Fingerprint, IdSpace, ledger::tables::Database};

/// Why a lease store cannot be left.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no lease store {path}: name the leases.db of an embedded Septet", path = path.display())]
    Missing { path: PathBuf },
    #[error("the lease store {path} is in use by another process: stop the Septet that runs on it first", path = path.display())]
    InUse { path: PathBuf },
    #[error("the lease store {path} has no id space yet: there is nothing to move", path = path.display())]
    NoIdSpace { path: PathBuf },
    #[error("the lock {path} cannot be taken: {source}", path = path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How far a lease store is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The database that it is left for: the fingerprint of the id space that one had until then.
    pub destination: Fingerprint,
    /// Whether that database has everything.
    pub done: bool,
}

/// A lease store that is to be left, locked until this is dropped.
pub struct Source {
    path: PathBuf,
    id_space: IdSpace,
    database: SqliteDatabase,
    _lock: File,
}

impl Source {
    /// Opens a lease store that is there, brings its schema up to date, and takes hold of its directory as an instance does.
    ///
    /// # Errors
    /// A sentence for a person, for each reason not to use this file.
    pub async fn open(path: &Path) -> Result<Self, SourceError> {
        if !path.is_file() {
            return Err(SourceError::Missing { path: path.to_owned() });
        }
        let lock = hold(path)?;
        let pool = open_file(path, MayBe::NothingElse).await?;
        let sqlite = |error| sqlite_error(path, error);
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(sqlite)?;
        bring_up_to_date(&mut tx, path).await?;
        match stored_key(&mut tx).await.map_err(sqlite)? {
            StoredKey::Found => {}
            StoredKey::NeverMade => return Err(SourceError::NoIdSpace { path: path.to_owned() }),
            StoredKey::Lost => return Err(OpenError::KeyLost { path: path.to_owned() }.into()),
        }
        tx.commit().await.map_err(sqlite)?;
        let database = SqliteDatabase { pool, clock: system_clock() };
        let id_space = database.id_space().await.map_err(sqlite)?;
        Ok(Self { path: path.to_owned(), id_space, database, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.id_space.fingerprint()
    }

    /// Whether `other` is the same file.
    pub fn is_file(&self, other: &Path) -> bool {
        let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
        identity(&self.path).is_some_and(|ours| identity(other) == Some(ours))
    }

    pub(crate) async fn begin_reading(&self) -> Result<SqliteTransaction, sqlx::Error> {
        self.database.begin_reading().await
    }

    /// How far it is left; `None` while it is not.
    pub(crate) async fn mark(&self) -> Result<Option<Mark>, sqlx::Error> {
        let row: Option<(String, bool)> =
            sqlx::query_as("SELECT destination, done FROM move").fetch_optional(&self.database.pool).await?;
        row.map(|(destination, done)| {
            let destination = destination.try_into().map_err(|what: String| sqlx::Error::Decode(what.into()))?;
            Ok(Mark { destination, done })
        })
        .transpose()
    }

    /// Leases nothing from here on, and remembers for whose sake.
    pub(crate) async fn leave_for(&self, destination: Fingerprint) -> Result<(), sqlx::Error> {
        let leave = sqlx::query("INSERT INTO move (only_row, destination, done) VALUES (1, ?, 0)");
        leave.bind(destination.to_string()).execute(&self.database.pool).await.map(drop)
    }

    /// The other database has everything.
    pub(crate) async fn left(&self) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE move SET done = 1").execute(&self.database.pool).await.map(drop)
    }

    /// Leases again: the other database has nothing, and will not have it later.
    pub(crate) async fn stay(&self) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM move WHERE NOT done").execute(&self.database.pool).await.map(drop)
    }

    /// Closes the file, so that it is whole without its log.
    pub async fn close(self) {
        self.database.close().await;
    }
}

/// Takes the lock that an embedded Septet holds on its data directory. Made where there is none, so that of two moves at once one is
/// refused.
fn hold(path: &Path) -> Result<File, SourceError> {
    let lock_path = path.with_file_name(DIRECTORY_LOCK);
    let io = |source| SourceError::Lock { path: lock_path.clone(), source };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SourceError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}
