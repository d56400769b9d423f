//! The folder of the click logs: names, the lock, and what must be durable about a name.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::Error;
use crate::click::LogId;

const LOCK: &str = "lock";
const SEGMENT_EXTENSION: &str = "clicks";
const SPARE_EXTENSION: &str = "spare";

/// The folder, locked for this process as long as this lives.
pub struct Folder {
    path: PathBuf,
    /// For fsync of names.
    handle: File,
    lock: File,
}

/// A segment file found in the folder.
pub struct Found {
    pub log: LogId,
    pub base: u64,
    pub path: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { doing, path, source }
        };
        let missing = path.ancestors().take_while(|folder| !folder.exists()).count();
        fs::create_dir_all(path).map_err(failed("make", path))?;
        // A folder that a power failure takes away would take its files along.
        for parent in path.ancestors().skip(1).take(missing) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("flush", parent))?;
        }
        let handle = File::open(path).map_err(failed("open", path))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed("make", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), handle, lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(Error::Io { doing: "lock", path: lock_path, source }),
        }
    }

    /// The path of a segment.
    pub fn segment(&self, log: LogId, base: u64) -> PathBuf {
        self.path.join(format!("{log}-{base:016x}.{SEGMENT_EXTENSION}"))
    }

    /// A new path for a spare file.
    pub fn spare(&self) -> PathBuf {
        self.path.join(format!("{:016x}.{SPARE_EXTENSION}", rand::random::<u64>()))
    }

    /// Makes changes of names durable.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// The segments in the folder, by log and base. Deletes spare files, leaves alone what does not bear a name of the
    /// click log.
    pub fn scan(&self) -> Result<Vec<Found>, Error> {
        self.list().map_err(|source| Error::Io { doing: "read", path: self.path.clone(), source })?
    }

    fn list(&self) -> io::Result<Result<Vec<Found>, Error>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(SPARE_EXTENSION) => fs::remove_file(&path)?,
                Some(SEGMENT_EXTENSION) => match parse(&path) {
                    Some((log, base)) => found.push(Found { log, base, path }),
                    None => return Ok(Err(Error::Foreign(path))),
                },
                _ => {}
            }
        }
        found.sort_by_key(|found| (found.log, found.base));
        Ok(Ok(found))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing alone leaves the lock to a child process that is just being started, until its own program runs. A
        // failure to unlock is made up for by the closing.
        let _ = self.lock.unlock();
    }
}

fn parse(path: &Path) -> Option<(LogId, u64)> {
    let (log, base) = path.file_stem()?.to_str()?.split_once('-')?;
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
    Some((LogId(number(log)?), number(base)?))
}
