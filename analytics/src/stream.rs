//! The contract of the seam "clicks in transit": clicks on their way from the click logs to the consumer.

use std::{collections::BTreeMap, error::Error as StdError, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use traces::Traceparent;

use crate::click::{Click, LogId};

/// Clicks that are asked of a stream at once, and so the most that a batch need have.
pub const BATCH_CLICKS_MAX: usize = 4_096;

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
    pub clicks: Vec<Sequenced>,
    /// Everything up to this sequence number has been delivered: that of the last click, or a later one where others than clicks have numbers.
    pub through: u64,
    /// Logs from which nothing will ever come again: their entries in [`Progress::logs`] can go, with the next commit.
    pub gone: Vec<LogId>,
    /// What the first of the clicks was sent in that was sent in something traced.
    pub sent_in: Option<Traceparent>,
}

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A source is this consumer's from here on, maybe once more: what it has in memory of it is out of date. Nothing of it comes
    /// before [`begin`](ClickStream::begin).
    Opened(Source),
    Clicks(Batch),
    /// A source is another consumer's now. What was not released comes there.
    Closed(Source),
    /// There was nothing in time.
    Nothing,
}

impl Delivery {
    /// Whether it concerns this source.
    #[cfg(feature = "kafka")]
    pub(crate) fn is_of(&self, source: &Source) -> bool {
        match self {
            Delivery::Opened(of) | Delivery::Closed(of) | Delivery::Clicks(Batch { source: of, .. }) => of == source,
            Delivery::Nothing => false,
        }
    }
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
/// - Clicks of one log come in the order in which they were appended, each source's by itself, and all sources' together without gaps.
/// - A click comes from the same source each time.
/// - A click comes again if it was not released before the source was closed or the stream ended, for whatever reason; then every later click of its
///   log comes again as well (a suffix is replayed). Its `sequence` may differ the second time, its `(log, offset)` never does.
/// - After [`release`](ClickStream::release) it never comes again, to a consumer that begins where the progress is.
#[async_trait]
pub trait ClickStream: Send {
    /// What comes next: of clicks at most `max`; waits up to `wait`. After [`StreamError::Failed`]: call again.
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Delivery, StreamError>;

    /// Begins to deliver a source that was opened, behind what the rollups store has counted of it.
    async fn begin(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError>;

    /// Everything of `source` up to `progress` is durable where it is counted: it may be forgotten here. Failing to
    /// forget is no loss, only a replay. A source that is not open is nobody's business here, and no error.
    async fn release(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError>;

    /// The consumer is to end. A stream of clicks that only this process can deliver goes on until there are none left; one whose clicks
    /// another consumer can have as well delivers nothing more.
    fn end(&mut self);

    /// Whether everything that this stream is to deliver before the end has been delivered and released.
    async fn is_drained(&mut self) -> bool;
}
