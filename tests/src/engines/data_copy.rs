//! A copy of what an engine keeps: the backup of tests.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::watched_dir::WatchedDir;

/// What an engine kept when this was made. Removed when dropped.
#[derive(Debug)]
pub struct DataCopy(WatchedDir);

impl DataCopy {
    pub(super) fn of(data: &Path) -> Result<Self> {
        let copy = Self(WatchedDir::new("copy")?);
        copy_dir(data, &copy.0.path().join("data"))?;
        Ok(copy)
    }

    /// Makes `data` what it was, whatever it is now.
    pub(super) fn put_back(&self, data: &Path) -> Result<()> {
        if data.exists() {
            fs::remove_dir_all(data).with_context(|| format!("removing {}", data.display()))?;
        }
        copy_dir(&self.0.path().join("data"), data)
    }
}

/// Files and directories alone: engines keep nothing else.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy_dir(&from, &to)?,
            false => {
                fs::copy(&from, &to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
            }
        }
    }
    Ok(())
}
