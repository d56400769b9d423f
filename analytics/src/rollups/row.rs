//! The rows: a day of a subject, and its totals for ever.

/// A day (UTC) of one subject, from one source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayRow {
    pub watermark: u64,
}

/// All that was ever counted of one subject, from one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotalRow {
    pub watermark: u64,
    pub clicks: u64,
    pub bots: u64,
    pub last_ms: Option<i64>,
}
