//! A log of this process, as its writer, its reader and the background threads share it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use parking_lot::{Mutex, MutexGuard};

use super::segment::Segment;
use crate::click::LogId;

/// A log of this process.
pub struct Log {
    pub id: LogId,
    /// The place of this log among all of this process, in the order they were made.
    pub number: u64,
    /// Everything below is published; zero before the first record.
    tail: AtomicU64,
    /// Nothing will be appended any more; set after the last change of `tail`.
    sealed: AtomicBool,
    /// What lies below is on the disk, as far as the flusher knows.
    pub flushed: AtomicU64,
    /// The writer has no segment ahead.
    wants_segment: AtomicBool,
    /// Hands the writer the next segment, which is in `segments` already.
    ahead: SyncSender<Arc<Segment>>,
    /// The base of the next segment. Whoever adds or removes segments at the end holds this, through file work and all.
    growth: Mutex<u64>,
    /// In the order of their bases; a lock held for moments only.
    segments: Mutex<VecDeque<Arc<Segment>>>,
}

impl Log {
    /// A log without segments, and where its writer finds the next one.
    pub fn new(id: LogId, number: u64) -> (Arc<Self>, Receiver<Arc<Segment>>) {
        let (ahead, next) = sync_channel(1);
        let log = Self {
            id,
            number,
            tail: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            flushed: AtomicU64::new(0),
            wants_segment: AtomicBool::new(true),
            ahead,
            growth: Mutex::new(0),
            segments: Mutex::default(),
        };
        (Arc::new(log), next)
    }

    pub fn publish(&self, tail: u64) {
        self.tail.store(tail, Ordering::Release);
    }

    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    pub fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub fn want_segment(&self) {
        self.wants_segment.store(true, Ordering::Release);
    }

    pub fn wants_segment(&self) -> bool {
        self.wants_segment.load(Ordering::Acquire) && !self.is_sealed()
    }

    pub fn grow(&self) -> Growth<'_> {
        Growth { log: self, next_base: self.growth.lock() }
    }

    /// The first segment at or after `base`.
    pub fn segment_from(&self, base: u64) -> Option<Arc<Segment>> {
        self.segments.lock().iter().find(|segment| segment.base >= base).cloned()
    }

    /// The segments that hold anything between two offsets.
    pub fn segments_between(&self, from: u64, to: u64) -> Vec<Arc<Segment>> {
        self.segments.lock().iter().filter(|segment| segment.base < to && segment.end() > from).cloned().collect()
    }

    /// Forgets a segment, once its file is gone.
    pub fn forget(&self, base: u64) {
        self.segments.lock().retain(|segment| segment.base != base);
    }
}

/// The right to add segments to a log, or to remove its last ones.
pub struct Growth<'a> {
    log: &'a Log,
    next_base: MutexGuard<'a, u64>,
}

impl Growth<'_> {
    pub fn next_base(&self) -> u64 {
        *self.next_base
    }

    /// Adds a segment to the log, for the writer to use next.
    pub fn add(&mut self, segment: Segment) -> Arc<Segment> {
        let segment = Arc::new(segment);
        *self.next_base = segment.end();
        self.log.segments.lock().push_back(Arc::clone(&segment));
        segment
    }

    /// Adds a segment, and hands it to the writer to take when it needs it.
    pub fn add_ahead(&mut self, segment: Segment) {
        let segment = self.add(segment);
        self.log.wants_segment.store(false, Ordering::Release);
        // The place is free: the writer took what was there before it wanted more. A writer that is gone needs nothing.
        let _ = self.log.ahead.try_send(segment);
    }
}
