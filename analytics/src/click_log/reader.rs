//! The reader of all logs in the folder.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    cursor::{Cursor, Files},
    old::OldLog,
    record::RawClick,
    shared::Shared,
};
use crate::click::LogId;

/// How many clicks one log may deliver before the next one has its turn.
const TURN_CLICKS: usize = 256;
/// How soon a log whose files could not be read or deleted is tried again.
const FAILED_RETRY: Duration = Duration::from_secs(5);

/// Reads all logs, those of earlier processes first, and removes what is not needed any more. Each log is read in
/// order; those of this process take turns. After [`trim`](Self::trim) a click is not delivered again by this reader; a
/// later one, or a later process, delivers again what the remaining segments hold, unless told by `trim` where to
/// begin.
pub struct ClickReader {
    shared: Arc<Shared>,
    /// Those of old logs first.
    cursors: Vec<Place>,
    /// The log that has the next turn.
    turn: usize,
    /// The number of the next log of this process that is not known here yet.
    next_number: u64,
    gone: Vec<LogId>,
}

struct Place {
    cursor: Cursor,
    is_old: bool,
    /// After a failure: not before this.
    retry_at: Option<Instant>,
}

impl Place {
    fn new(files: Files) -> Self {
        Self { is_old: matches!(files, Files::Old(_)), cursor: Cursor::new(files), retry_at: None }
    }

    fn is_due(&self) -> bool {
        self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Sets a log aside after a failure, so that it does not hold up the others.
    fn settle<T>(&mut self, shared: &Shared, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.retry_at = None;
                Some(value)
            }
            Err(error) => {
                shared.metrics.read_failures.increment(1);
                tracing::error!(%error, log = %self.cursor.id(), "a click log could not be read or trimmed; it will be tried again");
                self.retry_at = Some(Instant::now() + FAILED_RETRY);
                None
            }
        }
    }

    fn read(&mut self, shared: &Shared, max: usize, each: &mut impl FnMut(LogId, u64, &RawClick<'_>)) -> usize {
        if self.cursor.has_ended() || !self.is_due() {
            return 0;
        }
        let mut delivered = 0;
        let result = self.cursor.read(shared, max, &mut |log, offset, click: &RawClick<'_>| {
            delivered += 1;
            each(log, offset, click);
        });
        self.settle(shared, result);
        delivered
    }
}

impl ClickReader {
    pub(super) fn new(shared: Arc<Shared>, old: Vec<OldLog>) -> Self {
        let cursors = old.into_iter().map(|log| Place::new(Files::Old(log))).collect();
        let mut reader = Self { shared, cursors, turn: 0, next_number: 0, gone: Vec::new() };
        reader.meet_new_logs();
        reader
    }

    /// Whether a log of this id is on the disk, with clicks in it or without.
    pub fn holds(&self, log: LogId) -> bool {
        self.cursors.iter().any(|place| place.cursor.id() == log)
    }

    /// Hands up to `max` clicks to `each`, with their logs and the offsets at which they end, and answers how many;
    /// none if there are none at the moment. Does not wait, but may read files. A log whose file cannot be read is told
    /// and counted, and set aside for some seconds.
    pub fn read(&mut self, max: usize, mut each: impl FnMut(LogId, u64, &RawClick<'_>)) -> usize {
        self.meet_new_logs();
        let mut delivered = 0;
        for place in self.cursors.iter_mut().filter(|place| place.is_old) {
            delivered += place.read(&self.shared, max - delivered, &mut each);
            if delivered == max {
                break;
            }
        }
        let mut idle = 0;
        while delivered < max && idle < self.cursors.len() {
            self.turn = (self.turn + 1) % self.cursors.len();
            let place = &mut self.cursors[self.turn];
            let turn = if place.is_old { 0 } else { TURN_CLICKS.min(max - delivered) };
            let got = place.read(&self.shared, turn, &mut each);
            delivered += got;
            idle = if got == 0 { idle + 1 } else { 0 };
        }
        self.collect();
        delivered
    }

    /// Whether logs of earlier processes hold clicks that were not read yet.
    pub fn has_unread_old(&self) -> bool {
        self.cursors.iter().any(|place| place.is_old && !place.cursor.has_ended())
    }

    /// Everything of `log` up to `offset` is not needed any more. Whole segments of it are removed, and a log of which
    /// nothing is left, and to which nothing will be appended, is deleted and reported by
    /// [`take_gone`](Self::take_gone). Files that cannot be deleted are tried again later.
    pub fn trim(&mut self, log: LogId, offset: u64) {
        for place in &mut self.cursors {
            if place.cursor.id() == log {
                place.cursor.release(offset);
            }
        }
        self.collect();
    }

    /// The logs that were deleted since the last call: not even a power failure brings them back.
    pub fn take_gone(&mut self) -> Vec<LogId> {
        std::mem::take(&mut self.gone)
    }

    /// Whether everything that was appended to any log was delivered and trimmed.
    pub fn is_drained(&mut self) -> bool {
        self.meet_new_logs();
        self.cursors.iter().all(|place| place.cursor.is_drained())
    }

    fn meet_new_logs(&mut self) {
        for log in self.shared.logs_from(self.next_number) {
            self.next_number = log.number + 1;
            self.cursors.push(Place::new(Files::Live(log)));
        }
    }

    fn collect(&mut self) {
        let Self { cursors, gone, shared, .. } = self;
        cursors.retain_mut(|place| {
            if !place.is_due() {
                return true;
            }
            let result = place.cursor.collect(shared);
            let is_gone = place.settle(shared, result).unwrap_or(false);
            if is_gone {
                gone.push(place.cursor.id());
            }
            !is_gone
        });
    }
}

impl Drop for ClickReader {
    fn drop(&mut self) {
        let old = self.cursors.drain(..).filter_map(|place| match place.cursor.into_files() {
            Files::Old(log) => Some(log),
            Files::Live(_) => None,
        });
        self.shared.put_back(old.collect());
    }
}
