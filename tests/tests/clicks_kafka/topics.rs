//! What may happen to a topic, and to those who use it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use analytics::kafka::KafkaOptions;
use septet_tests::engines::unique_name;
use tokio::time::sleep;

use crate::{
    counting::{Counting, Running},
    world::{Instance, PARTITIONS, delete, grow, join, make, new_topic, write},
};

const LINKS: u64 = 40;

/// Clicks on every link, in turn, and what each has then.
fn click(instance: &mut Instance, clicks: &mut [u64], count: u64) {
    for n in 0..count {
        let link = n % LINKS;
        instance.click((n % 3) as usize, link);
        clicks[link as usize] += 1;
    }
}

/// A consumer that has counted some, and how many each link has. The instance whose they were is gone.
async fn counted(options: &KafkaOptions, counting: &Counting) -> (Running, Vec<u64>) {
    let consumer = counting.consume(options, &unique_name("group"));
    let mut clicks = vec![0; LINKS as usize];
    let mut instance = Instance::start(options);
    click(&mut instance, &mut clicks, 400);
    counting.is_exactly(&clicks).await;
    (consumer, clicks)
}

/// Partitions are added while clicks are on their way, and forwarders are killed before and after: what they write again goes where it
/// went before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn partitions_that_are_added_count_nothing_twice() {
    let options = new_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let counting = Counting::new(folder.path()).await;
    let consumer = counting.consume(&options, &unique_name("group"));
    let mut instance = Instance::start(&options);
    let mut clicks = vec![0; LINKS as usize];
    click(&mut instance, &mut clicks, 4_000);
    sleep(Duration::from_millis(300)).await;
    grow(&options, 3 * PARTITIONS as usize).await;
    instance.restart().await;
    click(&mut instance, &mut clicks, 4_000);
    // By then it is known to the forwarder.
    sleep(Duration::from_secs(12)).await;
    click(&mut instance, &mut clicks, 4_000);
    sleep(Duration::from_millis(50)).await;
    instance.restart().await;
    click(&mut instance, &mut clicks, 4_000);
    counting.is_exactly(&clicks).await;
    consumer.stop().await;
}

/// A click is counted, and holds up none, whatever the clock said where it was recorded: hours ahead, or longer ago than the topic keeps records.
///
/// Seen to fail with a topic that keeps the times of its records' making.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn clicks_by_any_clock_are_counted() {
    const HOUR_MS: i64 = 60 * 60 * 1_000;
    let options = new_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let counting = Counting::new(folder.path()).await;
    let mut instance = Instance::start(&options);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let mut clicks = vec![0; LINKS as usize];
    for (link, ahead_ms) in [-30 * 24 * HOUR_MS, 0, 30 * HOUR_MS, 0].into_iter().enumerate() {
        instance.click_at(0, link as u64, now_ms + ahead_ms);
        clicks[link] += 1;
    }
    let consumer = counting.consume(&options, &unique_name("group"));
    counting.is_exactly(&clicks).await;
    consumer.stop().await;
}

/// A topic that was deleted and made anew has other clicks under the offsets that were counted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_topic_that_was_made_anew_is_refused_and_nothing_is_overwritten() {
    let options = new_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let counting = Counting::new(folder.path()).await;
    let (consumer, clicks) = counted(&options, &counting).await;
    consumer.stop().await;
    for (clicks_anew, why) in [(0, "an empty one"), (4_000, "one that has more than was counted")] {
        delete(&options).await;
        make(&options).await;
        let mut another = Instance::start(&options);
        click(&mut another, &mut vec![0; LINKS as usize], clicks_anew);
        sleep(Duration::from_secs(2)).await;
        let ended = counting.consume(&options, &unique_name("group")).ended().await.to_string();
        assert!(ended.contains("the topic was made anew"), "{why}: {ended}");
        counting.is_exactly(&clicks).await;
    }
}

/// The same under a consumer that runs: whether the new topic is shorter or longer than what was counted of the old one.
///
/// Seen to fail when it was looked at again only after more clicks had been counted, when what was counted within seconds of the beginning was not
/// known at the next look, and when clicks of the longer one were counted until then and taken for those that were known.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_topic_that_is_made_anew_under_a_running_consumer_is_refused() {
    for (clicks_anew, why) in [(40, "a shorter one"), (4_000, "a longer one")] {
        let options = new_topic().await;
        let folder = tempfile::tempdir().unwrap();
        let counting = Counting::new(folder.path()).await;
        let (consumer, _clicks) = counted(&options, &counting).await;
        delete(&options).await;
        make(&options).await;
        let mut another = Instance::start(&options);
        click(&mut another, &mut vec![0; LINKS as usize], clicks_anew);
        let ended = consumer.ended().await.to_string();
        assert!(ended.contains("the topic was made anew"), "{why}: {ended}");
    }
}

/// What somebody else writes to the topic is passed over. An event of a kind that only later versions know is not: counting ends there, and
/// goes on once such a version runs.
///
/// Seen to fail when the one was refused, and when the other was passed over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn an_event_of_a_later_version_is_refused_and_what_is_no_event_is_not() {
    const LATER: [u8; 4] = [0x1a, 0x02, 0x08, 0x01];
    let options = new_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let counting = Counting::new(folder.path()).await;
    let mut instance = Instance::start(&options);
    let mut clicks = vec![0; LINKS as usize];
    let consumer = counting.consume(&options, &unique_name("group"));
    write(&options, Some(b"no event"));
    write(&options, None);
    click(&mut instance, &mut clicks, 400);
    counting.is_exactly(&clicks).await;
    write(&options, Some(&LATER));
    let ended = consumer.ended().await.to_string();
    assert!(ended.contains("of a kind that this version does not know: run a newer one"), "{ended}");
}

/// Consumers come and go while clicks do, one of them without a word.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn consumers_that_come_and_go_count_each_click_once() {
    let options = new_topic().await;
    let folder = tempfile::tempdir().unwrap();
    let counting = Counting::new(folder.path()).await;
    let group = unique_name("group");
    let mut instance = Instance::start(&options);
    let mut clicks = vec![0; LINKS as usize];
    let mut consumers = Vec::new();
    for round in 0..6 {
        click(&mut instance, &mut clicks, 2_000);
        consumers.push(counting.consume(&options, &group));
        sleep(Duration::from_millis(700)).await;
        click(&mut instance, &mut clicks, 2_000);
        if round % 2 == 1 {
            consumers.remove(0).stop().await;
        }
    }
    // Joins a group and is never heard of: its partitions are another's after a while.
    drop(join(&options, &group));
    counting.is_exactly(&clicks).await;
    for consumer in consumers {
        consumer.stop().await;
    }
}
