//! The analytics service as those who run it see it: it counts a topic, answers questions, stops and goes on; Kafka is away, the topic is not
//! there, or another one.

use std::{ops::Range, path::Path, time::Duration};

use analytics::{
    click::LogId,
    client::HttpQueries,
    kafka::event::Event,
    query::{Answer, Bots, Counted, Dimension, Group, Links, Queries, Query, Totals},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use reqwest::Method;
use septet_tests::{
    analytics_service::{self as services, Topic, click},
    binary,
    client::{Client, send},
    engines::{
        Engine,
        kafka::{self, Kafka},
    },
    process::Launch,
    wait,
};
use serde_json::json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// Clicks are counted within this time, after a group of consumers has changed as well: a consumer that was killed is missed after ten
/// seconds.
const COUNTED_WITHIN: Duration = Duration::from_secs(25);

/// The beginning of 2026-03-28 in UTC.
const DAY_MS: i64 = 20_540 * 86_400_000;
const DAY: Range<i64> = DAY_MS..DAY_MS + 86_400_000;

/// What a service says while Kafka is away.
const WAITING: &str = "it does not answer; waiting for it";
const TROUBLE: &str = "clicks cannot be counted at the moment";

/// A topic of a test's own on the shared Kafka, and what services that count it are started with.
fn prepared() -> (Topic, TempDir, Launch) {
    let topic = Topic::new(kafka::shared());
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let launch = services::launch(&topic, directory.path());
    services::migrate(&launch);
    (topic, directory, launch)
}

/// Clicks of one log on links 0 to 9 in turn.
fn clicks(log: u64, offsets: Range<u64>) -> Vec<Event> {
    offsets.map(|offset| click(log, offset, offset % 10, DAY_MS + offset as i64)).collect()
}

async fn count(queries: &HttpQueries, links: Links) -> Counted {
    let query = Query { links, span_ms: DAY, bots: Bots::Exclude, group: Group::Count };
    match queries.answer(&query).await.expect("an answer") {
        Answer::Count(counted) => counted,
        other => panic!("a count was asked for: {other:?}"),
    }
}

/// Waits until so many clicks are counted, no more.
async fn counted(queries: &HttpQueries, clicks: u64) {
    wait::until("all clicks counted", COUNTED_WITHIN, async || {
        let found = count(queries, Links::All).await.clicks;
        assert!(found <= clicks, "{found} of {clicks} clicks");
        (found == clicks).then_some(())
    })
    .await;
}

/// Seen to fail when the offsets of click logs were not looked at.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn clicks_of_a_topic_are_counted_once_and_asked_for() {
    let (topic, _directory, launch) = prepared();
    let again = launch.run_to_end("migrate");
    assert!(again.stdout.iter().any(|line| line.ends_with("is there, with 4 partitions")), "{:?}", again.stdout);

    let service = launch.start();
    let queries = services::client(&[service.listen]);
    topic.produce(&clicks(1, 1..1_001));
    counted(&queries, 1_000).await;
    // Again, as a forwarder does that has not heard of the acknowledgements.
    topic.produce(&clicks(1, 501..1_001));
    topic.produce(&clicks(2, 1..101));
    counted(&queries, 1_100).await;
    assert_eq!(count(&queries, Links::One(3)).await.clicks, 110);
    let values = Group::Values { dimension: Dimension::Country, limit: 5 };
    let query = Query { links: Links::One(3), span_ms: DAY, bots: Bots::Exclude, group: values };
    assert_eq!(queries.answer(&query).await.unwrap(), Answer::Values(vec![("DE".to_owned(), 110)]));
    let totals = Totals { clicks: 110, bots: 0, last_ms: Some(DAY_MS + 1_000) };
    assert_eq!(queries.totals(&[99, 0]).await.unwrap(), [Totals::default(), totals]);
    assert_eq!(queries.first_click_ms(&Links::All).await.unwrap(), Some(DAY_MS));
    service.stop();

    // What it had counted, it told Kafka before it left.
    assert_eq!(committed(&topic), 1_600);
    topic.produce(&[clicks(2, 101..201), vec![Event::LogEnded(LogId(1))]].concat());
    let service = launch.start();
    counted(&services::client(&[service.listen]), 1_200).await;
    service.stop();
}

/// How many records of the topic its group has committed.
fn committed(topic: &Topic) -> i64 {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &topic.bootstrap).set("group.id", format!("group-{}", topic.name));
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&topic.name, 0, 3);
    let committed = consumer.committed_offsets(partitions, Duration::from_secs(10)).expect("an answer");
    let offsets = committed.elements().into_iter().map(|partition| match partition.offset() {
        Offset::Offset(offset) => offset,
        _ => 0,
    });
    offsets.sum()
}

/// Seen to fail when the secret was not asked for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn nobody_is_answered_without_the_secret() {
    let (_topic, _directory, launch) = prepared();
    let service = launch.start();
    let client = Client::new(service.listen, "no key");
    let ask = |secret: &str| {
        let request = client.plain(Method::POST, "/v1/first-click").json(&json!({ "links": "all" }));
        send(request.bearer_auth(secret))
    };
    assert_eq!(ask("a-secret-for-tests-that-somebody-guesses").await.status, 401);
    assert_eq!(ask(services::SECRET).await.ok(), json!({ "first_click_ms": null }));
    assert_eq!(service.probe("/livez"), Some(200));
    service.stop();
}

/// Seen to fail when a consumer believed the rows that it had of a partition before another one counted it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn partitions_go_from_one_to_another_and_every_click_counts_once() {
    let (topic, _directory, launch) = prepared();
    let first = launch.start();
    let queries = services::client(&[first.listen]);
    topic.produce(&clicks(1, 1..1_001));
    counted(&queries, 1_000).await;

    let second = launch.start();
    shared_out(&second).await;
    topic.produce(&clicks(1, 1_001..2_001));
    counted(&queries, 2_000).await;

    // What the second one has counted comes back to the first, which had it before.
    second.kill();
    topic.produce(&clicks(1, 2_001..3_001));
    counted(&queries, 3_000).await;

    let third = launch.start();
    shared_out(&third).await;
    first.stop();
    topic.produce(&clicks(1, 3_001..4_001));
    let queries = services::client(&[third.listen]);
    counted(&queries, 4_000).await;
    assert_eq!(count(&queries, Links::One(7)).await.clicks, 400);
    third.stop();
}

/// How far counting is behind is told while it stands still, too, and includes what came after it stopped to read.
///
/// Seen to fail when it was what the client that reads knows.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn how_far_counting_is_behind_is_told_while_it_stands_still() {
    let (topic, directory, launch) = prepared();
    let service = launch.allow_log(TROUBLE).allow_log("time to acquire exceeded").start();
    let queries = services::client(&[service.listen]);
    topic.produce(&clicks(1, 1..101));
    counted(&queries, 100).await;
    let is = async |metric: &str, value: f64| {
        wait::until(metric, COUNTED_WITHIN, async || (service.metric(metric).await == value).then_some(())).await;
    };
    is("septet_consumer_lag", 0.0).await;

    let rollups = SqliteConnectOptions::new().filename(directory.path().join("rollups.db"));
    let mut other = SqliteConnection::connect_with(&rollups).await.expect("the store opens");
    let writing = other.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
    for offsets in [101..30_001, 30_001..60_001, 60_001..90_001] {
        topic.produce(&clicks(1, offsets));
    }
    is("septet_consumer_paused", 1.0).await;
    topic.produce(&clicks(1, 90_001..100_001));
    is("septet_consumer_lag", 99_900.0).await;
    drop(writing);
    other.close().await.expect("it closes");
    counted(&queries, 100_000).await;
    is("septet_consumer_lag", 0.0).await;
    service.stop();
}

/// Seen to fail when partitions were looked up in what the client had known before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn partitions_that_are_added_are_counted_as_well() {
    let (topic, _directory, launch) = prepared();
    let service = launch.start();
    let queries = services::client(&[service.listen]);
    topic.produce(&clicks(1, 1..501));
    counted(&queries, 500).await;
    let more = NewPartitions::new(&topic.name, 9);
    admin(&topic).create_partitions(&[more], &admin_options()).await.expect("an answer").remove(0).expect("added");
    topic.produce(&clicks(1, 501..1_001));
    counted(&queries, 1_000).await;
    assert_eq!(service.metric("septet_consumer_partitions").await, 9.0);
    service.stop();
}

fn admin(topic: &Topic) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &topic.bootstrap).create().expect("an admin client")
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))
}

/// Waits until a service has two of the four partitions.
async fn shared_out(service: &septet_tests::process::Running) {
    wait::until("two partitions", COUNTED_WITHIN, async || {
        (service.metric("septet_consumer_partitions").await == 2.0).then_some(())
    })
    .await;
}

/// Seen to fail when a topic that is not there was taken for a Kafka that is away.
#[test]
#[ignore = "needs Kafka: run by tests/run"]
fn a_topic_that_is_not_there_ends_it_with_a_sentence() {
    let topic = Topic::new(kafka::shared());
    let directory = tempfile::tempdir().unwrap();
    let ended = services::launch(&topic, directory.path()).run_to_end("serve");
    let said = ended.stderr_text();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("there is no topic {:?}", topic.name)) && said.contains("`migrate`"), "{said}");
}

/// Nor does an instance of `septet` whose clicks go there start, and a topic of changes does not make up for it.
///
/// Seen to fail when no topic was looked at, and when that of clicks alone was.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_topic_that_is_not_there_ends_an_instance_with_a_sentence() {
    let topic = Topic::new(kafka::shared());
    let directory = tempfile::tempdir().unwrap();
    let septet = instance(&topic, directory.path());
    for missing in [topic.name.clone(), changes(&topic)] {
        let ended = septet.run_to_end("serve");
        let said = ended.stderr_text();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("there is no topic {missing:?}")) && said.contains("`migrate`"), "{said}");
        let made = NewTopic::new(&missing, 4, TopicReplication::Fixed(1));
        admin(&topic).create_topics(&[made], &admin_options()).await.expect("an answer").remove(0).expect("made");
    }
}

/// An instance of `septet` whose clicks go to the topic.
fn instance(topic: &Topic, directory: &Path) -> Launch {
    Launch::new(binary::septet(), directory)
        .flag("--data-dir", directory.join("data"))
        .flag("--listen", "127.0.0.1:0")
        .flag("--ops-listen", "127.0.0.1:0")
        .flag("--replication-factor", "1")
        .flag("--clicks", topic.url())
        .flag("--changes-topic", changes(topic))
        .flag("--analytics", "http://127.0.0.1:1")
}

fn changes(topic: &Topic) -> String {
    format!("changes-{}", topic.name)
}

/// Neither the service nor an instance of `septet` goes to work with a topic that would lose clicks, and neither's `migrate` calls it well.
///
/// Seen to fail when only that the topic is there was looked at.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_topic_that_is_compacted_is_refused_with_a_sentence() {
    let topic = Topic::new(kafka::shared());
    let compacted = NewTopic::new(&topic.name, 4, TopicReplication::Fixed(1)).set("cleanup.policy", "compact,delete");
    admin(&topic).create_topics(&[compacted], &admin_options()).await.expect("an answer").remove(0).expect("made");
    let directory = tempfile::tempdir().unwrap();
    let service = services::launch(&topic, directory.path());
    let septet = instance(&topic, directory.path());
    for (launch, verb) in [(&service, "migrate"), (&service, "serve"), (&septet, "migrate"), (&septet, "serve")] {
        let ended = launch.run_to_end(verb);
        let said = ended.stderr_text();
        assert_eq!(ended.status.code(), Some(1), "{verb}: {said}");
        assert!(said.contains("is compacted (cleanup.policy=compact,delete)"), "{verb}: {said}");
    }
}

/// Seen to fail when a property that nobody knows was taken for a Kafka that is away.
#[test]
#[ignore = "needs Kafka: run by tests/run"]
fn properties_are_handed_on() {
    let topic = Topic::new(kafka::shared());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kafka.properties");
    let launch = services::launch(&topic, directory.path()).flag("--kafka-properties", &file);
    std::fs::write(&file, "ssl.truststore.location=/x\n").unwrap();
    let ended = launch.run_to_end("migrate");
    let said = ended.stderr_text();
    assert!(!ended.status.success(), "{said}");
    assert!(["--kafka-properties", "ssl.truststore.location"].iter().all(|word| said.contains(word)), "{said}");
    std::fs::write(&file, "# nothing unusual\nsocket.keepalive.enable=true\n").unwrap();
    services::migrate(&launch);
}

/// Seen to fail when Kafka was waited for before anything was answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_kafka_that_is_away_is_waited_for() {
    let mut kafka = Kafka::start();
    let topic = Topic::new(&kafka.bootstrap());
    let directory = tempfile::tempdir().unwrap();
    let launch = services::launch(&topic, directory.path());
    services::migrate(&launch);
    kafka.stop();

    let service = launch.clone().allow_log(WAITING).allow_log(TROUBLE).start();
    let queries = services::client(&[service.listen]);
    assert_eq!(count(&queries, Links::All).await.clicks, 0, "what was counted is answered");
    kafka.start_again();
    topic.produce(&clicks(1, 1..101));
    counted(&queries, 100).await;

    service.stop();

    kafka.stop();
    launch.allow_log(WAITING).start().stop();
}

/// What was counted is kept, though Kafka can no more be told of it.
///
/// Seen to fail when the end of the thread that leaves the group was waited for without a limit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_service_stops_though_kafka_is_gone() {
    let mut kafka = Kafka::start();
    let topic = Topic::new(&kafka.bootstrap());
    let directory = tempfile::tempdir().unwrap();
    let launch = services::launch(&topic, directory.path()).allow_log(TROUBLE);
    services::migrate(&launch);
    let service = launch.clone().flag("--commit-interval-ms", "60000").start();
    topic.produce(&clicks(1, 1..101));
    wait::until("all clicks folded", COUNTED_WITHIN, async || {
        (service.metric("septet_clicks_folded_total").await == 100.0).then_some(())
    })
    .await;
    kafka.kill();
    service.stop();

    let service = launch.clone().allow_log(WAITING).start();
    assert_eq!(count(&services::client(&[service.listen]), Links::All).await.clicks, 100);
    kafka.start_again();
    topic.produce(&clicks(1, 101..201));
    counted(&services::client(&[service.listen]), 200).await;
    service.stop();
}

/// Seen to fail when what was counted last was not looked up again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_topic_that_was_made_anew_is_refused() {
    let (topic, _directory, launch) = prepared();
    let service = launch.start();
    topic.produce(&clicks(1, 1..101));
    counted(&services::client(&[service.listen]), 100).await;
    service.stop();

    admin(&topic).delete_topics(&[&topic.name], &admin_options()).await.expect("an answer").remove(0).expect("deleted");
    wait::until("the topic made anew", COUNTED_WITHIN, async || {
        let launch = launch.clone();
        let migrated = tokio::task::spawn_blocking(move || launch.run_to_end("migrate")).await.unwrap();
        migrated.stdout.iter().any(|line| line.contains("is made")).then_some(())
    })
    .await;
    topic.produce(&clicks(2, 1..301));
    let ended = launch.run_to_end("serve");
    let said = ended.stderr_text();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("the topic was made anew").count(), 1, "{said}");
}
