//! Logs of earlier processes: only read, and deleted.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Error,
    folder::Folder,
    header::{Found, HEADER_BYTES, Header},
    metrics::Metrics,
    options::SEGMENT_MAX_BYTES,
};
use crate::click::LogId;

/// A log of an earlier process: what is left of it.
pub struct OldLog {
    pub id: LogId,
    /// In the order of their bases; never empty.
    pub segments: Vec<OldSegment>,
}

pub struct OldSegment {
    pub base: u64,
    pub path: PathBuf,
    /// The length of the file.
    pub bytes: u64,
    /// What the file takes on the disk.
    pub disk_bytes: u64,
    /// The length it was made with, unless its header is broken.
    pub made_bytes: Option<u64>,
}

impl OldLog {
    pub fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.disk_bytes).sum()
    }
}

impl OldSegment {
    /// The whole file. It is read, not mapped: a bad sector, or a file made shorter, is then an error and not the end
    /// of the process.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.bytes.min(SEGMENT_MAX_BYTES) as usize);
        File::open(&self.path)?.take(SEGMENT_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The logs in the folder, each segment's header checked.
pub fn find(folder: &Folder, metrics: &Metrics) -> Result<Vec<OldLog>, Error> {
    let mut logs: Vec<OldLog> = Vec::new();
    for file in folder.scan()? {
        let (bytes, found) =
            read_header(&file.path).map_err(|source| Error::Io { doing: "read", path: file.path.clone(), source })?;
        let made_bytes = match found {
            Found::Header(header) if (header.log, header.base) == (file.log, file.base) => Some(header.segment_bytes),
            Found::Header(_) | Found::Foreign => return Err(Error::Foreign(file.path)),
            Found::Newer(version) => return Err(Error::Newer { path: file.path, version }),
            Found::Torn => {
                tracing::warn!(path = %file.path.display(), "the header of a click log segment is broken; what can be read of it is");
                metrics.torn.increment(1);
                None
            }
        };
        let segment = OldSegment { base: file.base, path: file.path, bytes, disk_bytes: bytes, made_bytes };
        match logs.last_mut().filter(|log| log.id == file.log) {
            Some(log) => log.segments.push(segment),
            None => logs.push(OldLog { id: file.log, segments: vec![segment] }),
        }
    }
    for last in logs.iter_mut().filter_map(|log| log.segments.last_mut()) {
        let freed = free_unwritten(&last.path);
        last.disk_bytes = freed.map_err(|source| Error::Io { doing: "shorten", path: last.path.clone(), source })?;
    }
    Ok(logs)
}

/// Gives back the room for records that were never written, and answers what the file takes then. Without it a process that is
/// killed soon after every start would fill the disk with empty segments. The file keeps its length, and reads as before.
fn free_unwritten(path: &Path) -> io::Result<u64> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut contents = Vec::new();
    (&file).take(SEGMENT_MAX_BYTES).read_to_end(&mut contents)?;
    let written = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let kept = written.next_multiple_of(BLOCK_BYTES);
    #[cfg(target_os = "linux")]
    if kept < contents.len() {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = fallocate(&file, flags, kept as u64, (contents.len() - kept) as u64) {
            // Some file systems cannot; then it stays as large as it is until it is counted.
            tracing::debug!(%error, path = %path.display(), "the unwritten part of a segment keeps its room");
        }
    }
    Ok(file.metadata()?.blocks() * 512)
}

/// What file systems allocate at the least, as a rule.
const BLOCK_BYTES: usize = 4096;

fn read_header(path: &Path) -> io::Result<(u64, Found)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut head = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok((bytes, Header::decode(&head)))
}
