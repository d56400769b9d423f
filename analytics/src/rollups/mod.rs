//! The contract of the seam "rollups": clicks added up per link and day, kept.

use std::{error::Error as StdError, ops::RangeInclusive};

use async_trait::async_trait;

use crate::{
    query::{Dimension, Totals},
    stream::{Progress, Source},
};

#[cfg(feature = "cql-rollups")]
pub mod cql;
pub mod row;
pub mod slots;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "cql-rollups", feature = "sqlite"))]
mod stored;
pub mod top_links;
pub mod values;
pub mod visitors;

pub use row::{DayRow, TotalRow};

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// All links together.
    All,
    /// One link, by its id.
    Link(u64),
}

/// A day in UTC: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of a time in Unix milliseconds; a time beyond some million years is taken for the nearest day there is.
    pub fn of(at_ms: i64) -> Day {
        let days = at_ms.div_euclid(DAY_MS);
        Day(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The quarter-hour of its day in which a time lies, in Unix milliseconds.
    pub fn slot_of(at_ms: i64) -> u8 {
        (at_ms.rem_euclid(DAY_MS) / SLOT_MS) as u8
    }

    /// When it begins, in Unix milliseconds.
    pub fn start_ms(self) -> i64 {
        i64::from(self.0) * DAY_MS
    }
}

/// A day in UTC.
pub const DAY_MS: i64 = 86_400_000;

/// A quarter-hour: the finest time that is kept.
pub const SLOT_MS: i64 = DAY_MS / slots::SLOTS_PER_DAY as i64;

/// A part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Clicks per quarter-hour.
    Clicks,
    /// Clicks per quarter-hour and value.
    Values(Dimension),
    /// Visitor sketches.
    Visitors,
}

/// What a question needs of the rows: a store reads no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// One part.
    Part(Part),
    /// Clicks and visitors.
    ClicksAndVisitors,
    /// Clicks per value of whole days: all of a day may be in its first quarter-hour ([`DayRow::encode_daily`]).
    WholeDays(Dimension),
}

impl From<Part> for Wanted {
    fn from(part: Part) -> Self {
        Wanted::Part(part)
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RollupsError {
    /// Not now: asking again may help.
    #[error("the rollups store does not answer: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// It answers, and will not do this: rights were taken away, or tables are gone. Asking again does not help until somebody has
    /// changed that there.
    #[error(
        "the rollups store refuses: {0}; look at the rights of its user, at its tables, and at how long rows are to be kept"
    )]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// What is stored is damaged, or of a newer version ([`row::DecodeError`]): asking again does not help.
    #[error(
        "the rollups hold what this version cannot read: {0}; run the version that wrote them, or restore them from a backup"
    )]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
}

/// Rows of one source to be written: absolute values, so that writing them twice is writing them once.
#[derive(Debug, Default)]
pub struct Changes {
    pub days: Vec<(Subject, Day, DayRow)>,
    pub totals: Vec<(Subject, TotalRow)>,
}

/// Keeps rollup rows. A row belongs to one source (part of its key); reads for questions add up over all sources.
///
/// - Each row carries the watermark up to which it has counted. A write with a lower watermark than the stored row's changes nothing:
///   a late writer can only write what is there already, or lose.
/// - A store may keep quarter-hours for less time than their day: then all clicks of that day are in its first one, for questions and for
///   counting on ([`DayRow::encode_daily`]).
/// - [`commit`](Rollups::commit) makes the progress durable only after every row: after a failure at any moment, any of
///   the rows may be new, the progress never is ahead of a row. What is durable survives a crash of the process and of the machine.
#[async_trait]
pub trait Rollups: Send + Sync + 'static {
    /// What has been counted of a source; the default for one never seen.
    async fn progress(&self, source: &Source) -> Result<Progress, RollupsError>;

    /// The rows of one source under these keys, in their order; the default for one that is not there.
    async fn days(&self, source: &Source, keys: &[(Subject, Day)]) -> Result<Vec<DayRow>, RollupsError>;

    /// The same for totals.
    async fn source_totals(&self, source: &Source, subjects: &[Subject]) -> Result<Vec<TotalRow>, RollupsError>;

    /// Writes the rows, then the progress; entries of logs that are not in `progress` any more are deleted.
    async fn commit(&self, source: &Source, changes: &Changes, progress: &Progress) -> Result<(), RollupsError>;

    /// For questions: the rows of all sources, any order, each with at least what is wanted filled in. A store may need a read for each day,
    /// whether it has a row or not: whoever asks keeps to days that may have some, and to few at a time.
    async fn read(
        &self,
        subject: Subject,
        days: RangeInclusive<Day>,
        wanted: Wanted,
    ) -> Result<Vec<(Day, DayRow)>, RollupsError>;

    /// For questions: totals over all sources, in the order of `subjects`.
    async fn totals(&self, subjects: &[Subject]) -> Result<Vec<Totals>, RollupsError>;

    /// The first day of this subject: of a click that was ever counted. Its row may have ended.
    async fn first_day(&self, subject: Subject) -> Result<Option<Day>, RollupsError>;

    /// Ends what was begun, and closes the store: afterwards everything is [`RollupsError::Unavailable`], closing again excepted.
    async fn close(&self);
}
