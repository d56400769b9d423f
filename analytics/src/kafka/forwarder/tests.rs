//! Forwarders that stop, on librdkafka's own imitation of a Kafka.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{pending, ready},
    net::{IpAddr, Ipv4Addr},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tempfile::TempDir;

use super::*;
use crate::{
    click::{Click, Place},
    click_log::{ClickLogs, Options, RawClick},
    kafka::texts::Texts,
};

const TOPIC: &str = "clicks";
const PARTITIONS: i32 = 3;
/// What must happen, happens within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Kafka with a topic, and the data directory of an instance.
struct World {
    kafka: MockCluster<'static, DefaultProducerContext>,
    options: KafkaOptions,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let kafka = MockCluster::new(1).expect("an imitation of Kafka");
        kafka.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
        let url = format!("kafka://{}/{TOPIC}", kafka.bootstrap_servers()).parse().expect("a URL");
        let options = KafkaOptions { url, properties: Vec::new(), client_id: "tests".to_owned() };
        World { kafka, options, folder: tempfile::tempdir().expect("a folder") }
    }

    fn click_logs(&self) -> Arc<ClickLogs> {
        let options = Options { segment_bytes: 16 << 10, disk_max_bytes: 1 << 20, ..Options::default() };
        Arc::new(ClickLogs::open(&self.folder.path().join("clicks"), options).expect("the logs open"))
    }

    fn forwarder(&self, click_logs: &Arc<ClickLogs>) -> Forwarder {
        let click_logs = Arc::clone(click_logs);
        let open = move || Ok(LocalStream::open(click_logs.reader()?, enrich));
        Forwarder::new(self.options.clone(), self.folder.path().to_owned(), Box::new(open))
    }

    /// A process that takes clicks on some logs, and is stopped in order. Those logs.
    async fn run(&self, logs: usize, ends_after: Duration) -> BTreeSet<LogId> {
        let click_logs = self.click_logs();
        let clicked = (0..logs).map(|_| {
            let mut writer = click_logs.writer().expect("there is room");
            for link in 0..10 {
                writer.append(&raw(link)).expect("there is room");
            }
            writer.log()
        });
        let clicked = clicked.collect();
        let run = self.forwarder(&click_logs).telling_ends_after(ends_after).run(ready(()));
        timeout(PATIENCE, run).await.expect("it ends");
        clicked
    }

    /// What each partition says to have ended; nothing of it comes later.
    fn told(&self) -> BTreeMap<i32, BTreeSet<LogId>> {
        let mut config = self.options.config();
        let consumer: BaseConsumer = config.set("group.id", "tests").create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..PARTITIONS {
            places.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("a place");
            left += consumer.fetch_watermarks(TOPIC, partition, PATIENCE).expect("watermarks").1;
        }
        consumer.assign(&places).expect("partitions");
        let mut told: BTreeMap<_, BTreeSet<_>> =
            (0..PARTITIONS).map(|partition| (partition, BTreeSet::new())).collect();
        for _ in 0..left {
            let record = consumer.poll(PATIENCE).expect("a record").expect("no error");
            let ended = told.get_mut(&record.partition()).expect("a partition of the topic");
            match Event::decode(record.payload().expect("an event"), &mut Texts::default()).expect("an event") {
                Event::Click(click) => assert!(!ended.contains(&click.log), "a click of a log that has ended"),
                Event::LogEnded(log) => drop(ended.insert(log)),
            }
        }
        told
    }

    /// Logs that a next process knows of.
    fn kept(&self) -> BTreeSet<LogId> {
        let routes = routes::Routes::open(self.folder.path(), TOPIC, PARTITIONS as u32).expect("the file is read");
        routes.acknowledged.into_keys().collect()
    }
}

fn raw(link: u64) -> RawClick<'static> {
    RawClick {
        at_ms: 1_795_000_000_000,
        link,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user_agent: b"",
        referer: b"",
        forwarded_for: b"",
        country: b"",
    }
}

fn enrich(raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
    let unknown = || "".into();
    Click {
        log,
        offset,
        at_ms: raw.at_ms,
        link: raw.link,
        visitor: 0,
        bot: false,
        place: Place::default(),
        browser: unknown(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    }
}

fn everywhere(logs: &BTreeSet<LogId>) -> BTreeMap<i32, BTreeSet<LogId>> {
    (0..PARTITIONS).map(|partition| (partition, logs.clone())).collect()
}

/// Seen to fail when a forwarder ended as soon as all clicks were acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_all_logs_are_told_before_the_end() {
    let world = World::new();
    let logs = world.run(5, Duration::ZERO).await;
    assert_eq!(world.told(), everywhere(&logs));
    assert_eq!(world.kept(), BTreeSet::new());
}

/// Seen to fail when a log was not kept in the file, and when it was forgotten there once its clicks were acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn ends_that_may_not_be_told_yet_are_told_by_a_later_process() {
    let world = World::new();
    let mut logs = world.run(3, LOG_END_DELAY).await;
    assert_eq!((world.told(), world.kept()), (everywhere(&BTreeSet::new()), logs.clone()));
    logs.extend(world.run(2, LOG_END_DELAY).await);
    assert_eq!((world.told(), world.kept()), (everywhere(&BTreeSet::new()), logs.clone()));
    logs.extend(world.run(1, Duration::ZERO).await);
    assert_eq!((world.told(), world.kept()), (everywhere(&logs), BTreeSet::new()));
}

/// Seen to fail when the delay began at the start of the process only.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_no_end_is_told_for_as_long_as_after_a_start() {
    let world = World::new();
    let click_logs = world.click_logs();
    let mut writer = click_logs.writer().expect("there is room");
    writer.append(&raw(1)).expect("there is room");
    let mut forwarder = world.forwarder(&click_logs).telling_ends_after(LOG_END_DELAY);
    forwarder.ends_told_from = Instant::now();
    // What cannot be repeated ends the producer.
    world.kafka.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let mut stopping = Stopping { shutdown: pin!(pending()), is_ready: false };
    let mut trouble = Trouble::new(Work::Forwarding, "forward");
    let failed = timeout(PATIENCE, forwarder.session(&mut stopping, &mut trouble)).await.expect("it ends");
    assert!(matches!(failed, Err(Failure::Producer(_))), "{failed:?}");
    assert!(forwarder.ends_told_from > Instant::now() + LOG_END_DELAY / 2);
}

/// Consumers take this property. Seen to fail when a consumer was made instead.
#[tokio::test]
async fn properties_that_no_producer_takes_are_named() {
    let property = |value: &str| vec![("queue.buffering.backpressure.threshold".to_owned(), value.to_owned())];
    let url = "kafka://127.0.0.1:1/clicks".parse().expect("a URL");
    let mut options = KafkaOptions { url, properties: property("5"), client_id: "tests".to_owned() };
    let error = check(&options).await.unwrap_err();
    assert!(!error.is_transient());
    let said = error.to_string();
    assert!(["--kafka-properties", "backpressure.threshold"].iter().all(|word| said.contains(word)), "{said}");
    options.properties = property("1");
    check(&options).await.expect("it is taken");
}
