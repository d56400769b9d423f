//! Tells what was changed here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::metrics::Counter;
use analytics::kafka::{KafkaOptions, logged};
use rdkafka::{
    ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use uuid::Uuid;

use super::{TOLD_WAITING_MAX, event::Event};
use crate::{key::Key, metrics};

/// How long the end waits for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_millis(500);

/// Hands changes to a producer of its own. Cheap to clone.
#[derive(Clone)]
pub struct Teller(Arc<Inner>);

struct Inner {
    producer: ThreadedProducer<Outcomes>,
    topic: String,
    instance: Uuid,
    beats: AtomicU64,
    told: Counter,
}

/// Counts what could not be told.
struct Outcomes {
    untold: Counter,
}

impl ClientContext for Outcomes {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        logged(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "changes cannot be told at the moment");
    }
}

impl ProducerContext for Outcomes {
    /// 1 for a change, 0 for a beat.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, changes: usize) {
        if result.is_err() {
            self.untold.increment(changes as u64);
        }
    }
}

impl Teller {
    /// A teller whose changes may wait for Kafka for so long.
    pub fn start(options: &KafkaOptions, told_within: Duration) -> Result<Self, KafkaError> {
        let mut config = options.config();
        config
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("message.timeout.ms", told_within.as_millis().to_string())
            .set("reconnect.backoff.max.ms", "1000")
            .set("queue.buffering.max.messages", TOLD_WAITING_MAX.to_string());
        let outcomes = Outcomes { untold: metrics::changes_untold() };
        Ok(Teller(Arc::new(Inner {
            producer: ThreadedProducer::from_config_and_context(&config, outcomes)?,
            topic: options.url.topic.clone(),
            instance: Uuid::new_v4(),
            beats: AtomicU64::new(0),
            told: metrics::changes_told(),
        })))
    }

    /// Tells that what is known of a key is out of date.
    pub fn changed(&self, key: &Key) {
        self.0.told.increment(1);
        self.send(&Event::changed(key), 1);
    }

    /// Says that this instance is there; the beat's number.
    pub fn beat(&self) -> u64 {
        let number = self.0.beats.fetch_add(1, Ordering::Relaxed);
        self.send(&Event::Beat { instance: self.0.instance, number }, 0);
        number
    }

    /// The number of a beat of this instance.
    pub fn own_beat(&self, event: &Event) -> Option<u64> {
        match event {
            Event::Beat { instance, number } if *instance == self.0.instance => Some(*number),
            _ => None,
        }
    }

    /// Waits for a moment until what is to be told is told.
    pub fn finish(&self) {
        if let Err(error) = self.0.producer.flush(FINISH_WITHIN) {
            tracing::debug!(%error, "not every change was told");
        }
    }

    fn send(&self, event: &Event, changes: usize) {
        let payload = serde_json::to_vec(event).expect("an event is plain data");
        let record = BaseRecord::<(), _, _>::with_opaque_to(&self.0.topic, changes).partition(0).payload(&payload);
        if self.0.producer.send(record).is_err() {
            self.0.producer.context().untold.increment(changes as u64);
        }
    }
}
