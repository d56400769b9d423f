//! Click logs, a forwarder and a topic of a test's own.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use analytics::{
    click::{Click, LogId, Place},
    click_log::{ClickLogs, ClickWriter, Options, RawClick},
    kafka::{
        KafkaOptions,
        forwarder::Forwarder,
        stream::KafkaStream,
        topic::{self, CLICKS_RETENTION_MS, TopicSettings},
    },
    local::LocalStream,
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};
use septet_tests::engines::{kafka, unique_name};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How many partitions a topic has at first.
pub const PARTITIONS: u32 = 4;

/// A topic that was just made.
pub async fn new_topic() -> KafkaOptions {
    let url = format!("kafka://{}/{}", kafka::shared(), unique_name("clicks")).parse().expect("a URL");
    let options = KafkaOptions { url, properties: Vec::new(), client_id: "tests".to_owned() };
    make(&options).await;
    options
}

/// Makes a topic, which is not there.
pub async fn make(options: &KafkaOptions) {
    let settings = TopicSettings { partitions: PARTITIONS, replication_factor: 1, retention_ms: CLICKS_RETENTION_MS };
    let prepared = topic::prepare(options, settings).await.expect("the topic is made");
    assert_eq!(prepared.there, None);
    while topic::partitions(options).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn admin(options: &KafkaOptions) -> AdminClient<DefaultClientContext> {
    options.config().create().expect("an admin client")
}

/// Deletes a topic, and waits until it is gone.
pub async fn delete(options: &KafkaOptions) {
    let deleted = admin(options).delete_topics(&[&options.url.topic], &AdminOptions::new()).await.expect("an answer");
    deleted[0].as_ref().expect("the topic is deleted");
    while topic::partitions(options).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Gives a topic more partitions.
pub async fn grow(options: &KafkaOptions, partitions: usize) {
    let more = NewPartitions::new(&options.url.topic, partitions);
    let grown = admin(options).create_partitions(&[more], &AdminOptions::new()).await.expect("an answer");
    grown[0].as_ref().expect("partitions are added");
    while topic::partitions(options).await.expect("the topic is there") < partitions as u32 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes a record to every partition, as anybody may.
pub fn write(options: &KafkaOptions, value: Option<&[u8]>) {
    let producer: BaseProducer = options.config().create().expect("a producer");
    for partition in 0..PARTITIONS as i32 {
        let mut record = BaseRecord::<(), [u8]>::to(&options.url.topic).partition(partition);
        record.payload = value;
        producer.send(record).expect("there is room");
    }
    producer.flush(Duration::from_secs(30)).expect("they are written");
}

pub fn join(options: &KafkaOptions, group: &str) -> KafkaStream {
    KafkaStream::join(options, group).expect("the client's settings are right")
}

/// An instance, as far as clicks go: its click logs, and the forwarder that empties them.
pub struct Instance {
    options: KafkaOptions,
    folder: TempDir,
    logs: Option<Arc<ClickLogs>>,
    writers: BTreeMap<usize, ClickWriter>,
    forwarder: JoinHandle<()>,
}

impl Instance {
    pub fn start(options: &KafkaOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = open_logs(&folder);
        let forwarder = forward(options, &folder, &logs);
        Instance { options: options.clone(), folder, logs: Some(logs), writers: BTreeMap::new(), forwarder }
    }

    /// Appends a click to a log, made at the first click under this number.
    pub fn click(&mut self, log: usize, link: u64) -> (LogId, u64) {
        self.click_at(log, link, 1_795_000_000_000 + link as i64)
    }

    /// The same by a clock of its own.
    pub fn click_at(&mut self, log: usize, link: u64, at_ms: i64) -> (LogId, u64) {
        let logs = self.logs.as_ref().expect("the logs are open");
        let writer = self.writers.entry(log).or_insert_with(|| logs.writer().expect("there is room"));
        let raw = RawClick {
            at_ms,
            link,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: b"an agent of some length",
            referer: b"",
            forwarded_for: b"",
            country: b"",
        };
        (writer.log(), writer.append(&raw).expect("there is room"))
    }

    pub fn seal(&mut self, log: usize) {
        self.writers.remove(&log);
    }

    /// The process is gone, wherever it was, and another one is there.
    pub async fn restart(&mut self) {
        self.forwarder.abort();
        let _ = (&mut self.forwarder).await;
        self.writers.clear();
        drop(self.logs.take());
        let logs = open_logs(&self.folder);
        self.forwarder = forward(&self.options, &self.folder, &logs);
        self.logs = Some(logs);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

fn open_logs(folder: &TempDir) -> Arc<ClickLogs> {
    let options = Options { segment_bytes: 16 << 10, disk_max_bytes: 64 << 20, ..Options::default() };
    Arc::new(ClickLogs::open(&folder.path().join("clicks"), options).expect("the logs open"))
}

fn forward(options: &KafkaOptions, folder: &TempDir, logs: &Arc<ClickLogs>) -> JoinHandle<()> {
    let logs = Arc::clone(logs);
    let open = move || Ok(LocalStream::open(logs.reader()?, enrich));
    let forwarder = Forwarder::new(options.clone(), folder.path().to_owned(), Box::new(open));
    tokio::spawn(forwarder.telling_ends_after(Duration::ZERO).run(std::future::pending()))
}

fn enrich(raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
    let unknown = || "".into();
    Click {
        log,
        offset,
        at_ms: raw.at_ms,
        link: raw.link,
        visitor: raw.link,
        bot: false,
        place: Place::default(),
        browser: unknown(),
        os: unknown(),
        device: unknown(),
        referer: unknown(),
    }
}
