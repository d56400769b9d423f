//! Changes that are made at one shortener, and seen at the other.

use std::time::Duration;

use septet_tests::{
    client::{Client, Link},
    system::{Part, System},
    wait,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::counted::{say, start, up};

/// The promise while changes are told.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// What is cached for two seconds, and then read again on a busy machine, is up to date within this.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take until it is noticed that changes are heard, or are not.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);
const CHANGES: usize = 12;
/// The one who makes changes, and the one who is to see them.
const MAKER: usize = 0;
const OTHER: usize = 1;

/// Told through Kafka: what is cached is believed for a minute, and read once for each change. While Kafka is away, cached for two seconds.
///
/// Seen to fail when nobody was told, and when the cache went on to be believed while nothing was heard.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, Kafka and Cassandra: run by tests/run"]
async fn a_change_is_seen_by_the_other_shortener_within_two_seconds() {
    let (_turn, mut system) = start().await;
    let link = wait::until("a link is made", NOTICED_WITHIN, async || made(&system.client(MAKER)).await).await;
    heard(&system, 1.0).await;
    let before = reads(&system).await;
    let slowest = changes(&system, &link, "with Kafka", TOLD_WITHIN).await;
    say(&format!("changes were seen within {slowest:?}"));
    let read = reads(&system).await - before;
    assert!(read <= CHANGES as f64 + 1.0, "each is read once, and not every two seconds: {read}");

    tokio::task::block_in_place(|| system.kill(Part::Kafka));
    let slowest = changes(&system, &link, "without Kafka", READ_WITHIN).await;
    say(&format!("without Kafka, within {slowest:?}"));
    heard(&system, 0.0).await;

    tokio::task::block_in_place(|| system.start_part(Part::Kafka));
    up(&system).await;
    heard(&system, 1.0).await;
    changes(&system, &link, "with Kafka again", TOLD_WITHIN).await;
}

pub async fn made(client: &Client) -> Option<Link> {
    let answer = client.create(&json!({ "url": "https://example.com/first" })).await;
    (answer.status == 200).then(|| answer.link())
}

/// Changes the link, time and again; how long it took at most until the other shortener knew.
async fn changes(system: &System, link: &Link, when: &str, limit: Duration) -> Duration {
    let (maker, other) = (system.client(MAKER), system.client(OTHER));
    let mut slowest = Duration::ZERO;
    for n in 0..CHANGES {
        // It has to be in the cache to be out of date there.
        wait::until("it leads somewhere", NOTICED_WITHIN, async || location(&other, link).await).await;
        let url = format!("https://example.com/{}/{n}", when.replace(' ', "-"));
        let changed = async || (maker.change(&link.id, &json!({ "url": url })).await.status == 200).then_some(());
        wait::until("it is changed", NOTICED_WITHIN, changed).await;
        let answered = Instant::now();
        let seen = async || (location(&other, link).await.as_ref() == Some(&url)).then_some(());
        wait::until("it is seen", NOTICED_WITHIN, seen).await;
        slowest = slowest.max(answered.elapsed());
        assert!(answered.elapsed() <= limit, "{when}, change {n} was seen after {:?}", answered.elapsed());
        sleep(Duration::from_millis(300)).await;
    }
    slowest
}

async fn location(client: &Client, link: &Link) -> Option<String> {
    let answer = client.peek(&link.key).await;
    answer.header("location").map(str::to_owned)
}

/// Waits until both say that they hear changes, or that they do not.
async fn heard(system: &System, expected: f64) {
    for number in [MAKER, OTHER] {
        let heard = async || (system.shortener_metric(number, "septet_changes_heard").await == expected).then_some(());
        wait::until("both have noticed whether they hear changes", NOTICED_WITHIN, heard).await;
    }
}

/// How often the one who is to see changes has read the link store for redirects.
async fn reads(system: &System) -> f64 {
    system.shortener_metric(OTHER, "septet_redirect_loads_total").await
}
