//! What one side did in one turn.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use septet_tests::bench::moment::Stretch;
use serde::Serialize;

use super::Store;
use crate::clicks::{draw::Spread, scrape::Scrape, topic::Filled};

/// What processes are called in the figures.
pub const SEPTET: &str = "septet";
/// The process of the benchmark: the bare client, or next to nothing.
pub const CLIENT: &str = "client";
pub const KAFKA: &str = "kafka";
pub const CASSANDRA: &str = "cassandra";

/// Who reads the topic, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A client, for nothing.
    Bare,
    /// The service, to count into Cassandra.
    Cassandra,
    /// The service, to count into a file.
    Sqlite,
}

impl Side {
    pub(super) fn of(store: Store) -> Self {
        match store {
            Store::Cassandra => Side::Cassandra,
            Store::Sqlite => Side::Sqlite,
        }
    }

    /// Whose work it is.
    pub fn process(self) -> &'static str {
        match self {
            Side::Bare => CLIENT,
            Side::Cassandra | Side::Sqlite => SEPTET,
        }
    }
}

/// CPU times are for each click, in microseconds.
#[derive(Debug, Serialize)]
pub struct Turn {
    pub round: usize,
    pub spread: Spread,
    pub partitions: u32,
    pub side: Side,
    pub clicks: u64,
    /// A service's from when it has the partitions, a client's from its first record; to the last click's end.
    pub seconds: f64,
    pub per_second: f64,
    pub cpu_us: BTreeMap<&'static str, f64>,
    /// Of the side's own process.
    pub cpu_us_by_thread: BTreeMap<String, f64>,
    /// Cores that were busy with something else, interrupts included: where that is much, the turn says little.
    pub others_cores: f64,
    /// Nothing where the client is alone.
    pub written: Option<Written>,
}

/// What counting wrote and read.
#[derive(Debug, Serialize)]
pub struct Written {
    /// Days and totals written for a million clicks.
    pub rows_per_million: f64,
    /// Days read for a million clicks, new ones included.
    pub days_read_per_million: f64,
    /// Bytes of days' rows that were written for each click; only Cassandra's are counted.
    pub day_bytes: f64,
    /// Attempts that failed, and were repeated.
    pub failures: f64,
    /// Bytes of the file for each click, at the end.
    pub file_bytes: Option<f64>,
}

impl Turn {
    pub fn new(round: usize, filled: &Filled, spread: Spread, side: Side, stretch: &Stretch) -> Self {
        let clicks = filled.clicks;
        Turn {
            round,
            spread,
            partitions: filled.partitions,
            side,
            clicks,
            seconds: stretch.seconds,
            per_second: clicks as f64 / stretch.seconds,
            cpu_us: stretch.cpu_us(clicks),
            cpu_us_by_thread: stretch.cpu_us_by_thread(side.process(), clicks),
            others_cores: stretch.others_cores,
            written: None,
        }
    }

    pub fn is(&self, spread: Spread, partitions: u32, side: Side) -> bool {
        (self.spread, self.partitions, self.side) == (spread, partitions, side)
    }

    /// What the client takes, or the service.
    pub fn own_cpu_us(&self) -> f64 {
        self.of(self.side.process())
    }

    /// The same, with what is done for it elsewhere.
    pub fn all_cpu_us(&self) -> f64 {
        self.own_cpu_us() + self.of(KAFKA) + self.of(CASSANDRA)
    }

    /// What a process takes.
    pub fn of(&self, process: &str) -> f64 {
        self.cpu_us.get(process).copied().unwrap_or_default()
    }
}

impl Written {
    /// Of a service that has counted so many clicks and nothing else.
    pub fn of(scrape: &Scrape, clicks: u64, file_bytes: Option<u64>) -> Result<Self> {
        let each = |name: &str| scrape.sum(name) / clicks as f64;
        let rows = each("septet_rollup_rows_written_total");
        ensure!(rows > 0.0, "the service does not say what it has written");
        Ok(Written {
            rows_per_million: rows * 1e6,
            days_read_per_million: each("septet_rollup_rows_read_total") * 1e6,
            day_bytes: each("septet_rollups_day_bytes_written_total"),
            failures: scrape.sum("septet_consumer_failures_total"),
            file_bytes: file_bytes.map(|bytes| bytes as f64 / clicks as f64),
        })
    }
}
