//! A segment in use by this process: a file of fixed length, mapped into memory. All `unsafe` of the click log is here.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    path::PathBuf,
    slice,
    sync::Arc,
};

use memmap2::{MmapOptions, MmapRaw};

use super::{
    frame::FRAME_BYTES,
    header::{HEADER_BYTES, Header},
};
use crate::click::LogId;

/// An allocated file that belongs to no log.
pub struct Spare {
    map: Arc<MmapRaw>,
    pub path: PathBuf,
}

/// A file of a log.
pub struct Segment {
    map: Arc<MmapRaw>,
    /// The offset at which it begins in its log.
    pub base: u64,
    pub path: PathBuf,
}

impl Spare {
    /// Makes the file and reserves its blocks, so that a full disk shows here and never as a SIGBUS later.
    pub fn create(path: PathBuf, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        let map = reserve(&file, bytes).and_then(|()| MmapOptions::new().len(bytes as usize).map_raw(&file));
        match map {
            Ok(map) => Ok(Self { map: Arc::new(map), path }),
            Err(error) => {
                // Best effort: what is left is deleted at the next start.
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Makes it ready to be a segment: pages present, header and an empty first record on the disk.
    pub fn prepare(&mut self, log: LogId, base: u64) -> io::Result<()> {
        populate(&self.map);
        let header = Header { log, base, segment_bytes: self.map.len() as u64 };
        // SAFETY: a spare belongs to no writer and no reader, and `&mut self` is the only way to its bytes.
        let start = unsafe { slice::from_raw_parts_mut(self.map.as_mut_ptr(), HEADER_BYTES + FRAME_BYTES) };
        start[..HEADER_BYTES].copy_from_slice(&header.encode());
        start[HEADER_BYTES..].fill(0);
        self.map.flush_range(0, HEADER_BYTES + FRAME_BYTES)
    }

    /// The prepared file under its new name.
    pub fn into_segment(self, base: u64, path: PathBuf) -> Segment {
        Segment { map: self.map, base, path }
    }
}

impl Segment {
    /// The length of the file.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The offset of the log at which the next segment begins.
    pub fn end(&self) -> u64 {
        self.base + self.bytes() as u64
    }

    /// Everything from `from` to the end of the file.
    ///
    /// # Safety
    /// The caller must be the log's only writer, and everything from `from` on unpublished.
    #[expect(
        clippy::mut_from_ref,
        reason = "the memory is the file's; who may touch which part of it is the caller's promise"
    )]
    pub unsafe fn unpublished(&self, from: usize) -> &mut [u8] {
        assert!(from <= self.bytes());
        // SAFETY: in bounds by the check above; nobody else looks at unpublished bytes.
        unsafe { slice::from_raw_parts_mut(self.map.as_mut_ptr().add(from), self.bytes() - from) }
    }

    /// A part of the file.
    ///
    /// # Safety
    /// All of it must have been published by the writer (and that seen with acquire ordering), and the segment must not
    /// be recycled while the answer lives.
    pub unsafe fn published(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.bytes());
        // SAFETY: in bounds by the check above; published bytes are not written again before the segment is recycled.
        unsafe { slice::from_raw_parts(self.map.as_ptr().add(range.start), range.len()) }
    }

    /// Writes a part of the file to the disk, and waits for it.
    pub fn flush(&self, range: Range<usize>) -> io::Result<()> {
        self.map.flush_range(range.start, range.len())
    }

    /// The file under a spare's name, to be used again by another log.
    pub fn as_spare(&self, path: PathBuf) -> Spare {
        Spare { map: Arc::clone(&self.map), path }
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::{fs::FallocateFlags, io::Errno};
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, bytes),
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    write_zeros(file, bytes)
}

/// Reserves blocks where the file system has no call for it.
fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).map(drop)
}

/// Brings all pages into memory and makes them writable, so that an append meets no page fault (12 ms at the 99th
/// percentile were seen without). Only a matter of speed: an older kernel may refuse.
#[cfg(target_os = "linux")]
fn populate(map: &MmapRaw) {
    let _ = map.advise(memmap2::Advice::PopulateWrite);
}

#[cfg(not(target_os = "linux"))]
fn populate(_map: &MmapRaw) {}
