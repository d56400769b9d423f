//! Rows as they stand in the store, kept so that a link that is clicked again is not read again.

use quick_cache::{Weighter, unsync::Cache};

use crate::rollups::{Changes, Day, DayRow, Subject, TotalRow};

/// What the cache itself takes for a row, about.
const ENTRY_BYTES: usize = 64;

/// A guess at a row's size, which sets how many entries the cache prepares for.
const USUAL_ROW_BYTES: usize = 1_200;

/// The part of the room that totals get; the rest is for days, which weigh some ten times as much.
const TOTALS_SHARE: usize = 10;

pub(super) struct RowCache {
    days: Cache<(u32, Subject, Day), DayRow, Bytes>,
    totals: Cache<(u32, Subject), TotalRow, Bytes>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(u32, Subject, Day), DayRow> for Bytes {
    fn weight(&self, key: &(u32, Subject, Day), row: &DayRow) -> u64 {
        (size_of_val(key) + row.bytes() + ENTRY_BYTES) as u64
    }
}

impl Weighter<(u32, Subject), TotalRow> for Bytes {
    fn weight(&self, key: &(u32, Subject), row: &TotalRow) -> u64 {
        (size_of_val(key) + size_of_val(row) + ENTRY_BYTES) as u64
    }
}

impl RowCache {
    pub(super) fn new(bytes_max: usize) -> RowCache {
        let totals = bytes_max / TOTALS_SHARE;
        let days = bytes_max - totals;
        RowCache {
            days: Cache::with_weighter(days / USUAL_ROW_BYTES, days as u64, Bytes),
            totals: Cache::with_weighter(totals / (2 * ENTRY_BYTES), totals as u64, Bytes),
        }
    }

    pub(super) fn take_day(&mut self, source: u32, subject: Subject, day: Day) -> Option<DayRow> {
        self.days.remove(&(source, subject, day)).map(|(_, row)| row)
    }

    pub(super) fn take_total(&mut self, source: u32, subject: Subject) -> Option<TotalRow> {
        self.totals.remove(&(source, subject)).map(|(_, row)| row)
    }

    /// Keeps what was written, as far as there is room.
    pub(super) fn put(&mut self, source: u32, written: Changes) {
        for (subject, day, mut row) in written.days {
            row.set_written();
            self.days.insert((source, subject, day), row);
        }
        for (subject, row) in written.totals {
            self.totals.insert((source, subject), row);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.days.weight() + self.totals.weight()
    }
}
