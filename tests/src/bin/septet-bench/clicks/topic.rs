//! A topic full of clicks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use analytics::kafka::event::Event;
use anyhow::{Result, ensure};
use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use septet_tests::{
    analytics_service::{self, Topic},
    bench::files,
    engines::{Engine, kafka::Kafka},
};

use super::{draw::Clicks, progress::Progress};

/// How long Kafka keeps the clicks, in milliseconds: by their own times, which lie up to three months back.
const KEPT_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// How long the last clicks may take to be acknowledged.
const FLUSH_LIMIT: Duration = Duration::from_secs(60);

/// How long a full producer is left alone.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// A topic, and what is in it.
pub struct Filled {
    pub topic: Topic,
    pub partitions: u32,
    pub clicks: u64,
    /// Clicks of each link.
    pub links: BTreeMap<u64, u64>,
    /// Bytes of all events.
    pub event_bytes: u64,
    /// Bytes that Kafka keeps of them.
    pub kafka_bytes: u64,
}

impl Filled {
    /// Makes a topic, and writes clicks to it: as a forwarder that has much to catch up with writes them.
    ///
    /// # Errors
    /// When the topic is not made, or a click is not acknowledged.
    pub fn new(kafka: &Kafka, partitions: u32, clicks: Clicks) -> Result<Self> {
        let topic = make(kafka, partitions)?;
        let count = clicks.total();
        let mut progress = Progress::begin(format!("writing {count} clicks to {partitions} partitions"), count);
        let acknowledged = Acknowledged::default();
        let producer: ThreadedProducer<_> =
            ThreadedProducer::from_config_and_context(&config(&topic), acknowledged.clone())?;
        let (mut links, mut event_bytes) = (BTreeMap::new(), 0);
        for (click, sent) in clicks.zip(0..) {
            progress.at(sent);
            *links.entry(click.link).or_insert(0) += 1;
            let (key, at_ms) = (click.link.to_be_bytes(), click.at_ms);
            let event = Event::Click(click).encode();
            event_bytes += event.len() as u64;
            send(&producer, BaseRecord::to(&topic.name).key(&key).payload(&event).timestamp(at_ms))?;
        }
        producer.flush(FLUSH_LIMIT)?;
        let acknowledged = acknowledged.0.load(Ordering::Acquire);
        ensure!(acknowledged == count, "{acknowledged} of {count} clicks were acknowledged");
        let kafka_bytes = (0..partitions)
            .map(|partition| files::bytes(&kafka.server().data().join(format!("{}-{partition}", topic.name)), ".log"));
        let kafka_bytes = kafka_bytes.sum::<Result<u64>>()?;
        Ok(Filled { topic, partitions, clicks: count, links, event_bytes, kafka_bytes })
    }
}

/// Makes a topic as it is made for a service.
fn make(kafka: &Kafka, partitions: u32) -> Result<Topic> {
    let topic = Topic::new(&kafka.bootstrap());
    let directory = tempfile::tempdir()?;
    let launch = analytics_service::launch(&topic, directory.path())
        .flag("--partitions", partitions.to_string())
        .flag("--clicks-retention-ms", KEPT_MS.to_string());
    let migrated = launch.run_to_end("migrate");
    ensure!(migrated.status.success(), "{}", migrated.stderr_text());
    Ok(topic)
}

/// As the forwarder's: `analytics/src/kafka/forwarder/session.rs`. It tells the partition of each key itself, as Java's clients would and this
/// one is told to.
fn config(topic: &Topic) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &topic.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        .set("compression.codec", "lz4")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "65536")
        .set("partitioner", "murmur2_random");
    config
}

fn send(producer: &ThreadedProducer<Acknowledged>, mut record: BaseRecord<'_, [u8; 8], Vec<u8>>) -> Result<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                record = unsent;
                thread::sleep(FULL_PAUSE);
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// How many clicks Kafka has.
#[derive(Debug, Clone, Default)]
struct Acknowledged(Arc<AtomicU64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if delivered.is_ok() {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}
