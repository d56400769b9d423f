//! Where the reader is in one log, and which of its segments can go.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    frame::{self, Seed, Step},
    header::HEADER_BYTES,
    log::Log,
    old::OldLog,
    record::RawClick,
    segment::Segment,
    shared::Shared,
};
use crate::click::LogId;

/// A place in a log.
pub struct Cursor {
    files: Files,
    seed: Seed,
    current: Option<Current>,
    /// The next segment to open is the first at or after this.
    next_base: u64,
    /// Where it should begin, if that is known.
    expected_base: Option<u64>,
    /// Everything below was read.
    passed: u64,
    /// Where the last sound record ended.
    last_end: u64,
    /// Everything up to here may go.
    released: u64,
    /// Segments that were read to their ends, and are on the disk still.
    read: VecDeque<ReadSegment>,
    /// Nothing will come any more.
    ended: bool,
}

pub enum Files {
    Old(OldLog),
    Live(Arc<Log>),
}

struct ReadSegment {
    base: u64,
    last_end: u64,
}

struct Current {
    contents: Contents,
    base: u64,
    position: usize,
    /// Where the segment ends in the log, unless its header is broken.
    end: Option<u64>,
    /// It ends in a broken record.
    torn: bool,
}

enum Contents {
    Old { bytes: Vec<u8>, cut_short: bool },
    Live(Arc<Log>, Arc<Segment>),
}

/// How far a segment can be read.
struct Extent {
    bytes: usize,
    /// Nothing will be added to it.
    finished: bool,
}

impl Cursor {
    pub fn new(files: Files) -> Self {
        let id = match &files {
            Files::Old(log) => log.id,
            Files::Live(log) => log.id,
        };
        Self {
            seed: Seed::of(id),
            files,
            current: None,
            next_base: 0,
            expected_base: None,
            passed: 0,
            last_end: 0,
            released: 0,
            read: VecDeque::new(),
            ended: false,
        }
    }

    pub fn id(&self) -> LogId {
        match &self.files {
            Files::Old(log) => log.id,
            Files::Live(log) => log.id,
        }
    }

    /// What is left of the log.
    pub fn into_files(self) -> Files {
        self.files
    }

    /// Everything up to `offset` may go, and is not to be delivered if it was not yet.
    pub fn release(&mut self, offset: u64) {
        self.released = self.released.max(offset);
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether everything that was appended was read and released.
    pub fn is_drained(&self) -> bool {
        let read = match &self.files {
            Files::Old(_) => self.ended,
            Files::Live(log) => self.passed >= log.tail(),
        };
        read && self.last_end <= self.released
    }

    /// Delivers up to `max` clicks, and answers how many.
    pub fn read(
        &mut self,
        shared: &Shared,
        max: usize,
        each: &mut impl FnMut(LogId, u64, &RawClick<'_>),
    ) -> io::Result<usize> {
        let id = self.id();
        let mut delivered = 0;
        while delivered < max && !self.ended {
            if self.current.is_none() && !self.open(shared)? {
                break;
            }
            let Some(current) = &mut self.current else { break };
            let extent = current.contents.extent();
            let bytes = current.contents.bytes(&extent);
            while delivered < max && current.position < extent.bytes {
                let start = current.base + current.position as u64;
                match frame::read(&bytes[current.position..], start, self.seed) {
                    Step::Record(click, length) => {
                        current.position += length;
                        self.last_end = start + length as u64;
                        if self.last_end > self.released {
                            each(id, self.last_end, &click);
                            delivered += 1;
                        }
                    }
                    Step::End if extent.finished => current.position = extent.bytes,
                    // A segment that is still written has sound records up to its tail.
                    Step::End | Step::Torn => {
                        torn(shared, id, start, "a record is broken");
                        current.torn = true;
                        current.position = extent.bytes;
                    }
                }
            }
            self.passed = current.base + current.position as u64;
            if current.position < extent.bytes || !extent.finished {
                break;
            }
            self.finish(shared);
        }
        Ok(delivered)
    }

    /// Opens the next segment; false if there is none yet, or none ever again.
    fn open(&mut self, shared: &Shared) -> io::Result<bool> {
        let (contents, base, end) = match &self.files {
            Files::Old(log) => {
                let Some(segment) = log.segments.iter().find(|segment| segment.base >= self.next_base) else {
                    self.ended = true;
                    return Ok(false);
                };
                let bytes = segment.read()?;
                let cut_short = segment.made_bytes.is_some_and(|made_bytes| (bytes.len() as u64) < made_bytes);
                let end = segment.made_bytes.map(|made_bytes| segment.base + made_bytes);
                (Contents::Old { bytes, cut_short }, segment.base, end)
            }
            Files::Live(log) => {
                let sealed = log.is_sealed();
                let tail = log.tail();
                let Some(segment) = log.segment_from(self.next_base).filter(|segment| segment.base < tail) else {
                    self.ended = sealed;
                    return Ok(false);
                };
                (Contents::Live(Arc::clone(log), Arc::clone(&segment)), segment.base, Some(segment.end()))
            }
        };
        if let Some(expected) = self.expected_base.filter(|expected| *expected != base) {
            torn(shared, self.id(), expected, "a part of it is missing");
        }
        self.current = Some(Current { contents, base, position: HEADER_BYTES, end, torn: false });
        Ok(true)
    }

    /// Leaves the segment: everything in it was read.
    fn finish(&mut self, shared: &Shared) {
        let Some(current) = self.current.take() else { return };
        if matches!(current.contents, Contents::Old { cut_short: true, .. }) && !current.torn {
            torn(shared, self.id(), self.passed, "a segment was cut short");
        }
        self.passed = self.passed.max(current.end.unwrap_or(0));
        self.next_base = current.end.unwrap_or(current.base + 1);
        self.expected_base = current.end;
        self.read.push_back(ReadSegment { base: current.base, last_end: self.last_end });
    }

    /// Removes the segments that were read and released; once the log has ended and all of it is released, removes what
    /// is left of it. Answers whether the log is gone from the disk, for good.
    pub fn collect(&mut self, shared: &Shared) -> io::Result<bool> {
        while let Some(read) = self.read.front().filter(|read| read.last_end <= self.released) {
            match &mut self.files {
                Files::Old(log) => {
                    let segment = log.segments.iter().position(|segment| segment.base == read.base);
                    if let Some(index) = segment {
                        shared.delete(&log.segments[index].path, log.segments[index].disk_bytes)?;
                        log.segments.remove(index);
                    }
                }
                Files::Live(log) => remove(shared, log, read.base)?,
            }
            self.read.pop_front();
        }
        if !self.ended || !self.read.is_empty() {
            return Ok(false);
        }
        if let Files::Live(log) = &self.files {
            // With the right to grow in hand, no segment is added behind our back: the log is sealed.
            let _growth = log.grow();
            while let Some(unused) = log.segment_from(0) {
                remove(shared, log, unused.base)?;
            }
            shared.forget(log);
        }
        Ok(true)
    }
}

fn remove(shared: &Shared, log: &Log, base: u64) -> io::Result<()> {
    if let Some(segment) = log.segment_from(base).filter(|segment| segment.base == base) {
        shared.recycle(&segment)?;
        log.forget(base);
    }
    Ok(())
}

fn torn(shared: &Shared, log: LogId, offset: u64, what: &str) {
    shared.metrics.torn.increment(1);
    tracing::warn!(%log, offset, "the click log is torn: {what}");
}

impl Contents {
    fn extent(&self) -> Extent {
        match self {
            Self::Old { bytes, .. } => Extent { bytes: bytes.len(), finished: true },
            Self::Live(log, segment) => {
                // In this order: a sealed log's tail does not move.
                let sealed = log.is_sealed();
                let tail = log.tail();
                let bytes = (tail.min(segment.end()) - segment.base) as usize;
                Extent { bytes, finished: sealed || tail >= segment.end() }
            }
        }
    }

    fn bytes(&self, extent: &Extent) -> &[u8] {
        match self {
            Self::Old { bytes, .. } => &bytes[..extent.bytes],
            // SAFETY: the extent was taken from the tail, read with acquire ordering; segments are recycled by
            // `Cursor::collect` only, after they were left, and there is one cursor for each log.
            Self::Live(_, segment) => unsafe { segment.published(0..extent.bytes) },
        }
    }
}
