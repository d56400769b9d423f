//! A click, as it is counted.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Names a click log: a random number made with the log, which is made anew for every worker thread of every process
/// start and never reopened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(pub u64);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Text of an event: an empty one means "unknown". Shared, as few values recur in many clicks.
pub type Text = Arc<str>;

/// One counted redirect, enriched. `(log, offset)` names it for ever: the same click delivered twice carries the same pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    pub log: LogId,
    /// Where its record ends in its log, in bytes from the log's beginning: greater than zero, rising within a log.
    pub offset: u64,
    /// When the redirect was answered, in Unix milliseconds, by the instance's clock.
    pub at_ms: i64,
    /// The id of the link.
    pub link: u64,
    /// Tells visitors of about two days apart: a hash under a random salt that is thrown away. Uniform over all of `u64`.
    pub visitor: u64,
    /// Made by a program that says so, or that behaves like one.
    pub bot: bool,
    pub place: Place,
    /// `Chrome`, `Safari`, ...
    pub browser: Text,
    /// `Windows`, `iOS`, ...
    pub os: Text,
    /// `Desktop`, `Mobile`, `Tablet`, ...
    pub device: Text,
    /// The registrable domain of the referring page: `example.co.uk`.
    pub referer: Text,
}

/// Where a click came from; each field may be unknown on its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Two letters: `EU`, `NA`, ...
    pub continent: Text,
    /// ISO 3166-1 alpha-2: `DE`.
    pub country: Text,
    /// ISO 3166-2 with its country: `DE-BY`.
    pub region: Text,
    /// The name in English.
    pub city: Text,
}
