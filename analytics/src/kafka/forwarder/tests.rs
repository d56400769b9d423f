//! Forwarders that stop, on librdkafka's own imitation of a Kafka.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::DefaultProducerContext,
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
    /// Lives as long as this.
    _kafka: MockCluster<'static, DefaultProducerContext>,
    options: KafkaOptions,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let kafka = MockCluster::new(1).expect("an imitation of Kafka");
        kafka.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
        let url = format!("kafka://{}/{TOPIC}", kafka.bootstrap_servers()).parse().expect("a URL");
        let options = KafkaOptions { url, properties: Vec::new(), client_id: "tests".to_owned() };
        World { _kafka: kafka, options, folder: tempfile::tempdir().expect("a folder") }
    }

    /// A process that takes clicks on some logs, and is stopped in order. Those logs.
    async fn run(&self, logs: usize, ends_after: Duration) -> BTreeSet<LogId> {
        let options = Options { segment_bytes: 16 << 10, disk_max_bytes: 1 << 20, ..Options::default() };
        let click_logs = ClickLogs::open(&self.folder.path().join("clicks"), options).expect("the logs open");
        let click_logs = Arc::new(click_logs);
        let clicked = (0..logs).map(|_| {
            let mut writer = click_logs.writer().expect("there is room");
            for link in 0..10 {
                writer.append(&raw(link)).expect("there is room");
            }
            writer.log()
        });
        let clicked = clicked.collect();
        let open = Arc::clone(&click_logs);
        let open = move || Ok(LocalStream::open(open.reader()?, enrich));
        let forwarder = Forwarder::new(self.options.clone(), self.folder.path().to_owned(), Box::new(open));
        let run = forwarder.telling_ends_after(ends_after).run(ready(()));
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
