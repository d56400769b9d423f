//! The data directory: made if it is not there, and held by one process at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, flock},
    process::umask,
};
use token_service::sqlite::DIRECTORY_LOCK;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("--data-dir {path} cannot be used: {source}")]
    Io { path: String, source: io::Error },
    #[error("--data-dir {path} is in use by another process; stop it, or name another directory")]
    InUse { path: String },
}

/// A data directory, held until it is dropped; a killed process lets go of it too.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory, readable by this user alone (the id space's key is in it), and takes hold of it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let name = || path.display().to_string();
        let io = |source| DataDirError::Io { path: name(), source };
        // Whatever is made from here on is for this user alone, also in a directory that others may read.
        umask(Mode::from_raw_mode(0o077));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(path.join(DIRECTORY_LOCK)).map_err(io)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::InUse { path: name() }),
            Err(error) => Err(io(error.into())),
        }
    }

    /// Takes hold of the data directory that `file` is in, if it is in one.
    pub fn hold_of(file: &Path) -> Result<Option<Self>, DataDirError> {
        let directory = file.parent().filter(|directory| directory.join(DIRECTORY_LOCK).exists());
        directory.map(Self::open).transpose()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}
