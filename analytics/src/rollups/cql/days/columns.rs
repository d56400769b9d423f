//! What the columns of a day's row are called.

use crate::rollups::{Part, stored::column};

pub(super) const WATERMARK: &str = "watermark";

/// Whether a part has a column for its [sum of the day](crate::rollups::DayRow::daily) as well: visitors are those of the day as they are.
pub(super) fn has_daily(part: Part) -> bool {
    part != Part::Visitors
}

/// That column.
pub(super) fn daily(part: Part) -> String {
    format!("{}_daily", column(part))
}

/// Every column of a part, in the order in which they are read.
pub(super) fn of(part: Part) -> String {
    match has_daily(part) {
        true => format!("{}, {}", column(part), daily(part)),
        false => column(part).to_owned(),
    }
}
