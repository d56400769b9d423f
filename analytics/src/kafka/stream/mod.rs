//! The distributed implementation of [`ClickStream`]: the partitions of a topic, shared out among the consumers of a group.
//!
//! A source is a partition, and a click's sequence number its offset there plus one. So a source's sequence is the same for everybody who ever
//! reads it, and what was counted of it says where to go on: offsets that are committed to Kafka only tell others how far counting is. A
//! thread of its own speaks to Kafka ([`poller`]); before a source begins, and now and then afterwards, it is made sure that its partition is still the
//! one that was counted ([`beginning`], [`origin`]).
//!
//! # Limits
//! | limit | when it is reached | metric |
//! |---|---|---|
//! | [`BATCHES_MAX`] batches of [`BATCH_CLICKS_MAX`](crate::stream::BATCH_CLICKS_MAX) clicks read ahead | the partitions are paused; what waits, waits in Kafka | `septet_consumer_paused` |
//! | [`FETCHED_KBYTES_MAX`] kilobytes fetched ahead of that | nothing more is fetched; it waits in Kafka | `septet_consumer_lag` |
//! | Kafka's retention | clicks are gone before they were counted, each is counted as lost | `septet_clicks_lost_total` |

use std::{sync::mpsc as commands, time::Duration};

use async_trait::async_trait;
use metrics::{describe_counter, describe_gauge};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::KafkaOptions;
use crate::stream::{Batch, ClickStream, Delivery, Progress, Source, StreamError};

mod beginning;
mod group;
mod lag;
mod origin;
mod poller;

use beginning::Beginnings;
use lag::Lag;
use poller::{Command, Poller};

/// Batches that wait for the one who counts.
pub const BATCHES_MAX: usize = 16;
/// Kilobytes that the client fetches ahead, over all partitions.
pub const FETCHED_KBYTES_MAX: u32 = 32 << 10;

/// How long leaving the group may take. Longer, Kafka is away: it then misses this consumer, and nothing is lost by that.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Clicks of the partitions that this consumer has of its group.
pub struct KafkaStream {
    topic: String,
    beginnings: Beginnings,
    lag: Lag,
    delivered: mpsc::Receiver<Result<Delivery, StreamError>>,
    commands: commands::Sender<Command>,
    /// What was too much for one call.
    rest: Option<Batch>,
    has_ended: bool,
}

impl KafkaStream {
    /// Joins the group. The topic must be there ([`topic`](super::topic)).
    ///
    /// # Errors
    /// When the client's properties make no sense.
    pub fn join(options: &KafkaOptions, group: &str) -> Result<Self, StreamError> {
        describe();
        let (deliver, delivered) = mpsc::channel(BATCHES_MAX);
        let (command, commands) = commands::channel();
        let poller = Poller::new(options, group, deliver, commands).map_err(failed)?;
        let thread = std::thread::Builder::new().name("kafka-poll".to_owned());
        // When it ends, it lets go of its end of `delivered`.
        thread.spawn(move || poller.run()).map_err(|error| StreamError::Failed(error.into()))?;
        Ok(KafkaStream {
            topic: options.url.topic.clone(),
            beginnings: Beginnings::new(options, command.clone()),
            lag: Lag::new(options),
            delivered,
            commands: command,
            rest: None,
            has_ended: false,
        })
    }

    fn partition(&self, source: &Source) -> Option<i32> {
        let (topic, partition) = source.0.rsplit_once('/')?;
        if topic == self.topic { partition.parse().ok() } else { None }
    }

    /// Leaves the group, after which others have the partitions.
    async fn leave(&mut self) {
        let _ = self.command(Command::Leave);
        let left = timeout(LEAVE_TIMEOUT, async { while self.delivered.recv().await.is_some() {} });
        if left.await.is_err() {
            tracing::info!("the group of consumers was left without a word, as Kafka does not answer");
        }
    }

    fn command(&self, command: Command) -> Result<(), StreamError> {
        self.commands.send(command).map_err(|_| StreamError::Lost("the thread that polls Kafka has ended".into()))
    }
}

/// The source that a partition is.
fn source(topic: &str, partition: i32) -> Source {
    Source(format!("{topic}/{partition}"))
}

fn failed(error: rdkafka::error::KafkaError) -> StreamError {
    StreamError::Failed(error.into())
}

/// At most `max` clicks of a batch, and what is left of it.
fn cut(mut batch: Batch, max: usize) -> (Batch, Option<Batch>) {
    if batch.clicks.len() <= max {
        return (batch, None);
    }
    let clicks = batch.clicks.split_off(max);
    let rest = Batch {
        clicks,
        through: batch.through,
        source: batch.source.clone(),
        gone: std::mem::take(&mut batch.gone),
        sent_in: None,
    };
    batch.through = batch.clicks.last().map_or(0, |last| last.sequence);
    (batch, Some(rest))
}

#[async_trait]
impl ClickStream for KafkaStream {
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Delivery, StreamError> {
        if self.has_ended {
            return Ok(Delivery::Nothing);
        }
        self.beginnings.look_again();
        let delivery = match self.rest.take() {
            Some(rest) => Delivery::Clicks(rest),
            None => tokio::select! {
                biased;
                refused = self.beginnings.refused() => return Err(refused),
                delivered = self.delivered.recv() => match delivered {
                    Some(delivered) => delivered?,
                    None => return Err(StreamError::Lost("the thread that polls Kafka has ended".into())),
                },
                () = sleep(wait) => Delivery::Nothing,
            },
        };
        Ok(match delivery {
            Delivery::Clicks(batch) => {
                let (batch, rest) = cut(batch, max);
                self.rest = rest;
                Delivery::Clicks(batch)
            }
            Delivery::Closed(source) => {
                if let Some(partition) = self.partition(&source) {
                    self.beginnings.end(partition);
                    self.lag.end(partition);
                }
                Delivery::Closed(source)
            }
            other => other,
        })
    }

    async fn begin(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        let Some(partition) = self.partition(source) else {
            return Err(StreamError::Failed(format!("there is no source {:?} here", source.0).into()));
        };
        self.beginnings.begin(partition, progress.clone());
        self.lag.counted(partition, progress.watermark);
        Ok(())
    }

    async fn release(&mut self, source: &Source, progress: &Progress) -> Result<(), StreamError> {
        match self.partition(source) {
            Some(partition) => {
                self.beginnings.counted(partition, progress);
                self.lag.counted(partition, progress.watermark);
                self.command(Command::Commit { partition, through: progress.watermark })
            }
            None => Ok(()),
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
    }

    async fn is_drained(&mut self) -> bool {
        if self.has_ended {
            self.leave().await;
        }
        self.has_ended
    }
}

impl Drop for KafkaStream {
    fn drop(&mut self) {
        // Whoever drops it before its end does not wait until it has left.
        let _ = self.command(Command::Leave);
    }
}

fn describe() {
    describe_gauge!("septet_consumer_lag", "Records of a partition that are not counted yet.");
    describe_gauge!("septet_consumer_partitions", "Partitions that this consumer has.");
    describe_gauge!("septet_consumer_paused", "1 while nothing is read, as counting does not keep up.");
    describe_counter!("septet_clicks_lost_total", "Clicks that were gone from Kafka before they were counted.");
    describe_counter!(
        "septet_records_unreadable_total",
        "Records of the topic that are no events; they are passed over."
    );
}

#[cfg(test)]
mod tests;
