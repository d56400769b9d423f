//! The writer of one log.

use std::sync::{Arc, mpsc::Receiver};

use super::{
    LogFull,
    frame::{self, FRAME_BYTES, Seed},
    header::HEADER_BYTES,
    log::Log,
    record::RawClick,
    segment::Segment,
    shared::Shared,
};
use crate::click::LogId;

/// Appends clicks to a log of its own. Kept by one thread; the log is sealed when this is dropped.
pub struct ClickWriter {
    shared: Arc<Shared>,
    log: Arc<Log>,
    seed: Seed,
    /// The segment that is written; none when there is no room for one.
    current: Option<Arc<Segment>>,
    /// Where the next record goes in it.
    position: usize,
    /// What is left of it, in bytes: none without one.
    room: usize,
    /// Whether there was no segment at the last try: the next one comes from the preparer.
    starved: bool,
    next: Receiver<Arc<Segment>>,
}

impl ClickWriter {
    pub(super) fn new(shared: Arc<Shared>, log: Arc<Log>, next: Receiver<Arc<Segment>>) -> Self {
        let seed = Seed::of(log.id);
        let mut writer = Self { shared, log, seed, current: None, position: 0, room: 0, starved: false, next };
        writer.prepare();
        writer
    }

    /// The log that is written.
    pub fn log(&self) -> LogId {
        self.log.id
    }

    /// Appends a click, and answers the offset at which its record ends. Headers that are too long are cut (see
    /// [`super::record`]).
    ///
    /// # Errors
    /// There is no room on the disk: the click was not recorded, and that was counted.
    pub fn append(&mut self, click: &RawClick<'_>) -> Result<u64, LogFull> {
        let (click, cuts) = click.cut();
        if cuts > 0 {
            self.shared.metrics.truncated_fields.increment(cuts);
        }
        let needed = FRAME_BYTES + click.encoded_bytes();
        if needed > self.room {
            self.roll()?;
        }
        let segment = self.current.as_ref().expect("there is room in it");
        // SAFETY: this is the log's only writer, and nothing from `position` on is published.
        let area = unsafe { segment.unpublished(self.position) };
        let length = frame::write(area, segment.base + self.position as u64, self.seed, &click);
        self.position += length;
        self.room -= length;
        let end = segment.base + self.position as u64;
        self.log.publish(end);
        Ok(end)
    }

    /// Leaves the segment for the next one. The longest record fits into an empty segment.
    #[cold]
    fn roll(&mut self) -> Result<(), LogFull> {
        self.current = None;
        self.room = 0;
        match self.next.try_recv() {
            Ok(segment) => self.enter(segment),
            Err(_) if self.starved => {}
            Err(_) => {
                self.shared.metrics.stalls.increment(1);
                self.prepare();
            }
        }
        if self.current.is_none() {
            self.shared.metrics.dropped_log_full.increment(1);
            return Err(LogFull);
        }
        Ok(())
    }

    /// Takes the next segment, and has the one after it prepared.
    fn enter(&mut self, segment: Arc<Segment>) {
        self.position = HEADER_BYTES;
        self.room = segment.bytes() - HEADER_BYTES;
        self.current = Some(segment);
        self.starved = false;
        self.log.want_segment();
        self.shared.wake_preparer();
    }

    /// Prepares a segment on this thread, unless the preparer was just about to.
    fn prepare(&mut self) {
        let log = Arc::clone(&self.log);
        let mut growth = log.grow();
        let segment = self
            .next
            .try_recv()
            .ok()
            .or_else(|| self.shared.acquire(log.id, growth.next_base()).map(|segment| growth.add(segment)));
        match segment {
            Some(segment) => self.enter(segment),
            None => self.starved = true,
        }
    }
}

impl Drop for ClickWriter {
    fn drop(&mut self) {
        self.log.seal();
    }
}
