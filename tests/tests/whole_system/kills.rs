//! Everything killed, one after the other and all at once, and every click counted exactly once.

use std::{env, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use septet_tests::system::{EACH, Part};
use tokio::time::{Instant, sleep};

use crate::{
    counted::{check, say, start, up},
    load::Load,
};

/// How long the killing lasts, unless this variable says otherwise, in seconds.
const SECONDS: u64 = 120;
const SECONDS_VARIABLE: &str = "TEST_KILL_SECONDS";
/// Between a kill and the next.
const BETWEEN_MS: std::ops::Range<u64> = 200..4_000;
/// How long something stays dead.
const DEAD_MS: std::ops::Range<u64> = 0..2_500;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, Kafka and Cassandra: run by tests/run"]
async fn whatever_is_killed_every_answered_click_is_counted_exactly_once() {
    let seconds = env::var(SECONDS_VARIABLE).map_or(SECONDS, |seconds| seconds.parse().expect("a number of seconds"));
    let seed = rand::random();
    say(&format!("seed {seed}, {seconds} s"));
    let mut random = SmallRng::seed_from_u64(seed);
    let (_turn, mut system) = start().await;
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
    let (answered, unanswered) = ledger.clicks();
    say(&format!(
        "{} links, {answered} clicks answered, {unanswered} not; {} redirects and {} creations refused",
        ledger.urls.len(),
        ledger.redirects_refused,
        ledger.creates_refused
    ));
    assert!(answered > 1_000, "the load was too light to tell anything");
    check(&system.client(0), &ledger).await;
}
