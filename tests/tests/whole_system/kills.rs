//! Everything killed, one after the other and all at once, and every click counted exactly once.

use std::{
    env,
    io::{Write, stderr},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use septet_tests::{
    client::Client,
    system::{EACH, Part, System},
    wait,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::load::{Clicks, Ledger, Load, browsers};

/// How long the killing lasts, unless this variable says otherwise, in seconds.
const SECONDS: u64 = 120;
const SECONDS_VARIABLE: &str = "TEST_KILL_SECONDS";
/// Between a kill and the next.
const BETWEEN_MS: std::ops::Range<u64> = 200..4_000;
/// How long something stays dead.
const DEAD_MS: std::ops::Range<u64> = 0..2_500;
/// How long it may take until all is up again, and counted.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, Kafka and Cassandra: run by tests/run"]
async fn whatever_is_killed_every_answered_click_is_counted_exactly_once() {
    let seconds = env::var(SECONDS_VARIABLE).map_or(SECONDS, |seconds| seconds.parse().expect("a number of seconds"));
    let seed = rand::random();
    say(&format!("seed {seed}, {seconds} s"));
    let mut random = SmallRng::seed_from_u64(seed);
    let mut system = tokio::task::block_in_place(|| System::start(say));
    up(&system).await;
    let instances: Vec<_> = (0..EACH).map(|number| system.shortener(number)).collect();
    let load = Load::start(&instances).await;
    let (deadline, mut kills) = (Instant::now() + Duration::from_secs(seconds), 0);
    while Instant::now() < deadline {
        let part = *Part::all().choose(&mut random).expect("there are parts");
        tokio::task::block_in_place(|| system.kill(part));
        sleep(Duration::from_millis(random.random_range(DEAD_MS))).await;
        tokio::task::block_in_place(|| system.start_part(part));
        kills += 1;
        sleep(Duration::from_millis(random.random_range(BETWEEN_MS))).await;
    }
    say(&format!("{kills} kills; now all at once"));
    tokio::task::block_in_place(|| {
        Part::all().into_iter().rev().for_each(|part| system.kill(part));
        Part::all().into_iter().for_each(|part| system.start_part(part));
    });
    up(&system).await;
    let ledger = load.stop().await;
    let sum = |count: fn(&Clicks) -> u64| ledger.targets.iter().map(|(_, clicks)| count(clicks)).sum::<u64>();
    let (answered, unanswered) =
        (sum(|clicks| clicks.answered.iter().sum()), sum(|clicks| clicks.unanswered.iter().sum()));
    say(&format!(
        "{} links, {answered} clicks answered, {unanswered} not; {} redirects and {} creations refused",
        ledger.urls.len(),
        ledger.redirects_refused,
        ledger.creates_refused
    ));
    assert!(answered > 1_000, "the load was too light to tell anything");
    check(&system.client(0), &ledger, answered, unanswered).await;
}

async fn up(system: &System) {
    wait::until("everything is ready", CAUGHT_UP_WITHIN, async || system.is_ready().then_some(())).await;
}

/// What was answered is there, and counted: for each link, for each browser, and altogether.
async fn check(client: &Client, ledger: &Ledger, answered: u64, unanswered: u64) {
    wait::until("all clicks counted", CAUGHT_UP_WITHIN, async || (client.clicks(None).await >= answered).then_some(()))
        .await;
    // What is counted too much would come a little later.
    sleep(Duration::from_secs(3)).await;
    let all = client.clicks(None).await;
    assert!(
        (answered..=answered + unanswered).contains(&all),
        "{all} counted, {answered} answered and {unanswered} not"
    );
    let mut by_link = 0;
    for (link, clicks) in &ledger.targets {
        let counted = client.clicks(Some(&link.id)).await;
        by_link += counted;
        let least: u64 = clicks.answered.iter().sum();
        let most = least + clicks.unanswered.iter().sum::<u64>();
        assert!((least..=most).contains(&counted), "{}: {counted} counted, {clicks:?}", link.key);
        let query = [("event", "clicks"), ("groupBy", "browsers"), ("interval", "all"), ("linkId", link.id.as_str())];
        let by_browser = client.get("/analytics", &query).await.ok();
        for (place, browser) in browsers().into_iter().enumerate() {
            let counted = of_browser(&by_browser, browser);
            let (least, most) = (clicks.answered[place], clicks.answered[place] + clicks.unanswered[place]);
            assert!((least..=most).contains(&counted), "{} by {browser}: {counted} counted, {clicks:?}", link.key);
        }
    }
    assert_eq!(by_link, all, "over all links");
    for (key, url) in &ledger.urls {
        let answer = client.peek(key).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(url.as_str())), "{key}");
    }
}

fn of_browser(rows: &Value, browser: &str) -> u64 {
    let rows = rows.as_array().expect("a list");
    let row = rows.iter().find(|row| row["browser"] == browser);
    row.map_or(0, |row| row["clicks"].as_u64().expect("a number"))
}

fn say(what: &str) {
    writeln!(stderr(), "whole system: {what}").expect("standard error takes it");
}
