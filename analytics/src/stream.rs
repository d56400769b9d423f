//! The contract of the seam "clicks in transit": clicks on their way from the click logs to the consumer.

use std::{collections::BTreeMap, error::Error as StdError, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::click::{Click, LogId};

/// Where an ordered sequence of clicks comes from: `local` (the click logs of this instance, merged), or a partition of a
/// topic. Part of the key of every rollup row: rows of several sources add up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(pub String);

/// What has been counted of one source: durable together with the rows it led to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest sequence number that was folded; 0 if none was.
    pub watermark: u64,
    /// The highest offset that was folded, for each log.
    pub logs: BTreeMap<LogId, u64>,
}

/// A click at its place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    /// Rising within a source, and greater than the watermark the stream was opened at.
    pub sequence: u64,
    pub click: Click,
}

/// Some clicks of one source, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub source: Source,
    /// May be empty, when there was nothing to deliver in time.
    pub clicks: Vec<Sequenced>,
    /// Logs from which nothing will ever come again: their entries in [`Progress::logs`] can go, with the next commit.
    pub gone: Vec<LogId>,
}

/// Why a stream did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Not now; the stream stays usable.
    #[error("the click stream failed: {0}")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
    /// And never again: every later call answers the same. A stream opened anew delivers what was not released.
    #[error("the click stream is lost: {0}")]
    Lost(#[source] Box<dyn StdError + Send + Sync>),
}

/// Delivers clicks at least once, in the order of their logs.
///
/// - Clicks of one log come in the order in which they were appended, without gaps.
/// - A click comes again if it was not released before the stream ended, for whatever reason; then every later click of its
///   log comes again as well (a suffix is replayed). Its `sequence` may differ the second time, its `(log, offset)` never does.
/// - After [`release`](ClickStream::release) it never comes again.
///
/// Opening a stream takes the [`Progress`] that the rollups store holds: sequence numbers go on from there.
#[async_trait]
pub trait ClickStream: Send {
    /// The next clicks, at most `max`; waits up to `wait` for the first. After
    /// [`StreamError::Failed`]: call again.
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Batch, StreamError>;

    /// Everything of `source` up to `progress` is durable where it is counted: it may be forgotten here. Failing to
    /// forget is no loss, only a replay.
    async fn release(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError>;

    /// Whether everything that was ever appended has been delivered and released. For the drain at the end.
    async fn is_drained(&mut self) -> bool;
}
