//! What the columns of a day's row are called.

use crate::rollups::{Part, Wanted, stored::column};

pub(super) const WATERMARK: &str = "watermark";

/// Whether a part has a column for its [sum of the day](crate::rollups::DayRow::encode_daily) as well: visitors are those of the day as they are.
pub(super) fn has_daily(part: Part) -> bool {
    part != Part::Visitors
}

/// That column.
pub(super) fn daily(part: Part) -> String {
    format!("{}_daily", column(part))
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// A part, with its quarter-hours where they have not ended.
    Part(Part),
    /// The sum of the day, or what is kept in its place.
    Daily(Part),
}

impl Read {
    /// What is read for a question.
    pub fn of(wanted: Wanted) -> Vec<Read> {
        let read = match wanted {
            Wanted::WholeDays(_) => Read::Daily,
            Wanted::Part(_) | Wanted::ClicksAndVisitors => Read::Part,
        };
        wanted.parts().map(read).collect()
    }

    /// Its columns, in the order in which they are read.
    pub fn columns(self) -> String {
        match self {
            Read::Part(part) if has_daily(part) => format!("{}, {}", column(part), daily(part)),
            Read::Part(part) => column(part).to_owned(),
            Read::Daily(part) => daily(part),
        }
    }
}

/// The columns of all that is read.
pub(super) fn list(reads: &[Read]) -> String {
    let columns: Vec<_> = reads.iter().map(|read| read.columns()).collect();
    columns.join(", ")
}
