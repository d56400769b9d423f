//! What can go wrong with the click log, in sentences for an operator.

use std::{io, path::PathBuf};

/// Why the click log could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the click log folder {0} is in use by another process: give each process a data directory of its own")]
    Locked(PathBuf),
    #[error("{0} is not a segment of a click log: move it out of the folder")]
    Foreign(PathBuf),
    #[error("{path} is of version {version} of the click log, and this program knows versions up to {known}: run a newer one", known = super::header::VERSION)]
    Newer { path: PathBuf, version: u32 },
    #[error("click log: {0}")]
    Options(String),
    #[error(
        "click log: {writers} writers need {needed_bytes} bytes on disk (two segments each), and disk_max_bytes is {disk_max_bytes}"
    )]
    TooManyWriters { writers: u64, needed_bytes: u64, disk_max_bytes: u64 },
    #[error("the click log is being read already")]
    ReaderInUse,
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// The click was not recorded: the log has reached its limit on disk, or the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the click log is full")]
pub struct LogFull;
