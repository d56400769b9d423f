//! One producer, and the click logs as they are read for it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use metrics::counter;
use rdkafka::{
    config::{ClientConfig, FromClientConfigAndContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout},
};
use traces::Traceparent;

use super::{
    Failure, POLL_WAIT, WINDOW_MAX,
    routes::{Routes, RoutesError},
    trace::BatchTrace,
    window::{Hearing, Sent, Window},
};
use crate::{
    click::LogId,
    kafka::{
        KafkaOptions,
        event::Event,
        topic::{self, TopicError},
    },
    local::LocalStream,
    stream::{ClickStream, Delivery, Progress, Sequenced, Source},
};

/// How often the click log is told what is acknowledged.
const RELEASE_INTERVAL: Duration = Duration::from_millis(200);
/// How often it is looked whether partitions were added.
const PARTITIONS_INTERVAL: Duration = Duration::from_secs(10);
/// Kilobytes that the producer keeps of clicks on their way. A click has a few hundred bytes.
pub(super) const QUEUE_KBYTES_MAX: usize = 256 << 10;

pub(super) type Sender = ThreadedProducer<Hearing>;
type Look = JoinHandle<Result<u32, TopicError>>;

pub(super) struct Session {
    options: KafkaOptions,
    window: Arc<Window>,
    producer: Arc<Sender>,
    routes: Routes,
    pub logs: LocalStream,
    source: Source,
    /// What was acknowledged before.
    acknowledged_before: BTreeMap<LogId, u64>,
    /// What an earlier producer may have written: to be sent again before routes may change.
    unsettled: BTreeMap<LogId, u64>,
    /// How many partitions the topic has.
    found: u32,
    look: Option<Look>,
    looked_at: Instant,
    released_at: Instant,
}

impl Session {
    /// Makes a producer, and begins to read the click logs behind what was acknowledged.
    pub async fn begin(
        options: &KafkaOptions,
        folder: &Path,
        mut logs: LocalStream,
        acknowledged: &BTreeMap<LogId, u64>,
        unsettled: BTreeMap<LogId, u64>,
    ) -> Result<Self, Failure> {
        let window = Arc::new(Window::default());
        let producer = Arc::new(producer(options, Arc::clone(&window))?);
        let found = look(&producer, options).await.expect("looking at a topic does not panic")?;
        let routes = Routes::open(folder, &options.url.topic, found)?;
        let Delivery::Opened(source) = logs.next(0, Duration::ZERO).await? else {
            unreachable!("a stream of click logs begins by opening its source")
        };
        let mut acknowledged_before = routes.acknowledged.clone();
        acknowledged_before.extend(acknowledged);
        logs.begin(&source, &Progress { watermark: 0, logs: acknowledged_before.clone() }).await?;
        let now = Instant::now();
        Ok(Session {
            options: options.clone(),
            window,
            producer,
            routes,
            logs,
            source,
            acknowledged_before,
            unsettled,
            found,
            look: None,
            looked_at: now,
            released_at: now,
        })
    }

    /// The number of partitions that keys are spread over.
    pub fn partitions(&self) -> u32 {
        self.routes.partitions
    }

    /// How many are on their way.
    pub fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// Fails once the producer has.
    pub fn check(&self) -> Result<(), Failure> {
        self.window.failure().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits until something is acknowledged, or fails.
    pub async fn changed(&mut self, wait: Duration) {
        let _ = timeout(wait, self.window.changed()).await;
    }

    /// How far each log is acknowledged.
    pub fn acknowledged(&self) -> BTreeMap<LogId, u64> {
        let mut acknowledged = self.acknowledged_before.clone();
        acknowledged.extend(self.window.acknowledged());
        acknowledged
    }

    /// Whether Kafka takes what it is sent, as far as is known.
    pub fn has_acknowledged(&self) -> bool {
        self.window.len() == 0 || self.window.has_acknowledged()
    }

    /// Keeps in mind, on disk, that there will be clicks of these logs in the topic, before there are any.
    pub fn meet(&mut self, logs: impl Iterator<Item = LogId>) {
        kept(self.routes.meet(logs));
    }

    /// Says to every partition that a log has ended.
    pub async fn tell_end(&mut self, log: LogId) -> Result<(), Failure> {
        let event = Event::LogEnded(log).encode();
        for partition in 0..self.partitions() {
            let is_last = partition + 1 == self.partitions();
            let place = if is_last { Sent::LogEnded(log) } else { Sent::LogEndedToo };
            self.produce(place, partition.cast_signed(), None, &event, None).await?;
        }
        Ok(())
    }

    /// Logs whose end every partition was told of since the last call. Nothing is kept of them.
    pub fn take_ended(&mut self) -> Vec<LogId> {
        let ended = self.window.take_ended();
        self.acknowledged_before.retain(|log, _| !ended.contains(log));
        kept(self.routes.forget(&ended));
        ended
    }

    /// Gives something to the producer; waits while that is full.
    pub async fn produce(
        &mut self,
        sent: Sent,
        partition: i32,
        key: Option<&[u8; 8]>,
        payload: &[u8],
        traceparent: Option<&str>,
    ) -> Result<(), Failure> {
        if let Sent::Click { log, offset } = sent
            && self.unsettled.get(&log).is_some_and(|until| offset >= *until)
        {
            self.unsettled.remove(&log);
        }
        loop {
            let ticket = self.window.push(sent);
            let record =
                BaseRecord::with_opaque_to(&self.options.url.topic, ticket).partition(partition).payload(payload);
            let record = match key {
                Some(key) => record.key(key.as_slice()),
                None => record,
            };
            let record = match traceparent {
                Some(value) => {
                    let header = Header { key: Traceparent::HEADER, value: Some(value) };
                    record.headers(OwnedHeaders::new_with_capacity(1).insert(header))
                }
                None => record,
            };
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.window.take_back();
                    self.changed(POLL_WAIT).await;
                    self.check()?;
                }
                Err((error, _)) => {
                    self.window.take_back();
                    return Err(error.into());
                }
            }
        }
    }

    /// Begins to trace a batch, if the ratio says so, and not too many are traced that are not acknowledged.
    pub fn begin_trace(&self, clicks: &[Sequenced]) -> BatchTrace {
        if traces::is_on() && self.window.has_room_for_trace() {
            BatchTrace::begin(clicks)
        } else {
            BatchTrace::default()
        }
    }

    /// Traces what was given to the producer last until all of it is acknowledged.
    pub fn trace(&self, batch: BatchTrace) {
        if let Some(sent) = batch.sent() {
            self.window.trace(sent);
        }
    }

    /// Tells the click log, now and then, what it need not keep.
    pub async fn release(&mut self) -> Result<(), Failure> {
        if self.released_at.elapsed() >= RELEASE_INTERVAL {
            self.release_now().await?;
        }
        Ok(())
    }

    async fn release_now(&mut self) -> Result<(), Failure> {
        let progress = Progress { watermark: 0, logs: self.window.acknowledged() };
        self.logs.release(&self.source, &progress).await?;
        self.released_at = Instant::now();
        Ok(())
    }

    /// Whether all that was ever appended is acknowledged, and not kept any more.
    pub async fn is_drained(&mut self) -> bool {
        self.window.len() == 0 && self.release_now().await.is_ok() && self.logs.is_drained().await
    }

    /// Looks from time to time whether partitions were added, and uses them once nothing is on its way.
    pub async fn follow_partitions(&mut self) -> Result<(), Failure> {
        if let Some(look) = self.look.take_if(|look| look.is_finished()) {
            match look.await.expect("looking at a topic does not panic") {
                Ok(found) => self.found = self.routes.checked(found)?,
                Err(error @ TopicError::Missing { .. }) => return Err(error.into()),
                // What is on its way will say more.
                Err(error) => tracing::debug!(%error, "the topic cannot be looked at"),
            }
        }
        if self.look.is_none() && self.looked_at.elapsed() >= PARTITIONS_INTERVAL {
            self.looked_at = Instant::now();
            self.look = Some(look(&self.producer, &self.options));
        }
        if self.window.len() == 0 && self.waits_for_more_partitions().await {
            match self.routes.change(self.found, &self.acknowledged()) {
                Ok(()) => tracing::info!(partitions = self.found, "clicks go to more partitions from here on"),
                Err(error) => {
                    not_kept(&error, "clicks go to as many partitions as before");
                    // Found again at the next look.
                    self.found = self.routes.partitions;
                }
            }
        }
        Ok(())
    }

    /// Whether partitions were added, and everything that was ever written is on its way or acknowledged: nothing may be sent until all
    /// of it is.
    pub async fn waits_for_more_partitions(&mut self) -> bool {
        self.found > self.routes.partitions && self.unsettled.is_empty() && !self.logs.has_undelivered_old().await
    }
}

/// Clicks do not wait for a disk that is full: forwarding is what makes room on it. The next time, all of it is written.
fn kept(result: Result<(), RoutesError>) {
    if let Err(error) = result {
        not_kept(&error, "if this goes on, the topic is not told which click logs have ended");
    }
}

fn not_kept(error: &RoutesError, what_follows: &str) {
    counter!("septet_forwarder_failures_total", "step" => "keep").increment(1);
    tracing::warn!(%error, "{what_follows}");
}

fn look(producer: &Arc<Sender>, options: &KafkaOptions) -> Look {
    let (producer, options) = (Arc::clone(producer), options.clone());
    spawn_blocking(move || topic::partitions_by(producer.client(), &options))
}

/// A producer whose acknowledgements `window` hears of.
pub(super) fn producer(options: &KafkaOptions, window: Arc<Window>) -> Result<Sender, KafkaError> {
    Sender::from_config_and_context(&config(options), Hearing(window))
}

fn config(options: &KafkaOptions) -> ClientConfig {
    let mut config = options.config();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // One click that cannot be written ends the session; none is passed over.
        .set("enable.gapless.guarantee", "true")
        // A producer that is new to a partition may begin there with any sequence number: with two requests on their way, the first one refused
        // and the second one written, librdkafka takes both for written.
        .set("max.in.flight", "1")
        // No click is ever too late.
        .set("message.timeout.ms", "0")
        .set("retries", i32::MAX.to_string())
        .set("reconnect.backoff.max.ms", "2000")
        .set("compression.codec", "lz4")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", (2 * WINDOW_MAX).to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX.to_string());
    config
}
