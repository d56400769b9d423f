//! The fold: clicks into rollup rows, each exactly once. Pure: no I/O, no clock; the same clicks in the same order lead to
//! the same rows.
//!
//! Two marks keep a click from counting twice. A row's watermark is the sequence number up to which it has counted: a row that became
//! durable before a crash, though the progress did not, skips what it holds already. The progress keeps the highest offset of each
//! click log: a click that comes again under another sequence number, because it was sent twice, is skipped for every row.
//!
//! The first mark needs a replay to bring the clicks of a source under the same sequence numbers as before, or else a store
//! that commits rows and progress together, so that after a crash there is nothing for it to skip. A partition of a topic
//! does the one, SQLite the other.

use foldhash::HashMap;

use crate::{
    click::Click,
    rollups::{Day, DayRow, Subject, TotalRow, row::Grouped},
    stream::{Progress, Sequenced},
};

/// Rows of one source, as far as they are loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    pub days: HashMap<(Subject, Day), DayRow>,
    pub totals: HashMap<Subject, TotalRow>,
}

/// What became of a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// It counts; `capped` of its values, over all rows and dimensions, went to `(other)`.
    Counted { capped: u64 },
    /// Its sequence number lies at or below the watermark.
    Replayed,
    /// It was counted under a lower sequence number.
    Duplicate,
}

/// The keys of the rows that a click touches.
pub fn touched(click: &Click) -> [(Subject, Day); 2] {
    let day = Day::of(click.at_ms);
    [(Subject::Link(click.link), day), (Subject::All, day)]
}

/// Counts a click. The rows it [touches](touched) must be loaded, if the store has them; one that is not in `rows` is
/// taken for one that never was.
pub fn fold(progress: &mut Progress, rows: &mut Rows, Sequenced { sequence, click }: &Sequenced) -> Folded {
    let sequence = *sequence;
    if sequence <= progress.watermark {
        return Folded::Replayed;
    }
    progress.watermark = sequence;
    let offset = progress.logs.entry(click.log).or_default();
    if click.offset <= *offset {
        return Folded::Duplicate;
    }
    *offset = click.offset;

    let grouped = Grouped::new(click);
    let mut capped = 0;
    for key in touched(click) {
        let row = rows.days.entry(key).or_default();
        if row.watermark < sequence {
            capped += row.add(key.0, &grouped);
            row.watermark = sequence;
        }
        let total = rows.totals.entry(key.0).or_default();
        if total.watermark < sequence {
            total.add(click);
            total.watermark = sequence;
        }
    }
    Folded::Counted { capped }
}

#[cfg(test)]
mod tests;
