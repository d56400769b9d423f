//! Kafka away for a while.

use std::time::Duration;

use septet_tests::system::{EACH, Part};
use tokio::time::sleep;

use crate::{
    counted::{check, say, start, up},
    load::Load,
};

/// How long each part of the test lasts.
const PART: Duration = Duration::from_secs(15);

/// Redirects are answered as before, and every click is counted once Kafka is back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB, Kafka and Cassandra: run by tests/run"]
async fn redirects_do_not_notice_that_kafka_is_away() {
    let (_turn, mut system) = start().await;
    let instances: Vec<_> = (0..EACH).map(|number| system.shortener(number)).collect();
    let load = Load::start(&instances).await;
    let answered = || load.ledger.lock().clicks().0;
    sleep(PART).await;
    let with = answered();
    tokio::task::block_in_place(|| system.kill(Part::Kafka));
    sleep(PART).await;
    let without = answered() - with;
    tokio::task::block_in_place(|| system.start_part(Part::Kafka));
    up(&system).await;
    let ledger = load.stop().await;
    say(&format!("{with} redirects in {PART:?} with Kafka, {without} without"));
    let (_, unanswered) = ledger.clicks();
    assert_eq!((ledger.redirects_refused, unanswered), (0, 0), "every redirect is answered: {:?}", ledger.refusal);
    // Who waits for Kafka on the way of a redirect answers next to none.
    assert!(2 * without > with, "redirects went on as before: {with} with Kafka, {without} without");
    check(&system.client(0), &ledger).await;
}
