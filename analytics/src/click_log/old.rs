//! Logs of earlier processes: only read, and deleted.

use std::{
    fs::File,
    io::{self, Read},
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
    /// The length it was made with, unless its header is broken.
    pub made_bytes: Option<u64>,
}

impl OldLog {
    pub fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
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
        let segment = OldSegment { base: file.base, path: file.path, bytes, made_bytes };
        match logs.last_mut().filter(|log| log.id == file.log) {
            Some(log) => log.segments.push(segment),
            None => logs.push(OldLog { id: file.log, segments: vec![segment] }),
        }
    }
    Ok(logs)
}

fn read_header(path: &Path) -> io::Result<(u64, Found)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut head = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok((bytes, Header::decode(&head)))
}
