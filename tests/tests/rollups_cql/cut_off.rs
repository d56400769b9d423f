//! A consumer that is killed between any two statements, and statements and answers that get lost on their way.

use std::{sync::Arc, time::Duration};

use analytics::{
    conformance::given::Given,
    consumer::{Consumer, ConsumerOptions},
    rollups::cql::CqlRollups,
    stream::{Sequenced, Source},
};

use crate::{
    counting::{assert_exact, clicks},
    keyspace::Keyspace,
};

/// More statements than it takes to count the clicks.
const STATEMENTS_MAX: u32 = 200;

/// Counts all clicks, of which the store may have counted some, in several commits.
async fn consume(store: &Arc<CqlRollups>, source: &Source, clicks: &[Sequenced]) {
    let options = ConsumerOptions {
        commit_interval: Duration::from_secs(3_600),
        batch_clicks_max: 5,
        commit_clicks_max: 15,
        ..ConsumerOptions::default()
    };
    let stream = Box::new(Given::new(source.clone(), clicks.iter().cloned().collect()));
    let store = Arc::<CqlRollups>::clone(store);
    Consumer::run(stream, store, options, async {}).await.expect("they are counted");
}

/// Does something to each statement in turn, from the first to the last, until `fault` tells that there was no such statement. It is given a
/// store, and another one.
async fn at_each(clicks: &[Sequenced], fault: impl AsyncFn(&Arc<CqlRollups>, &Arc<CqlRollups>, &Source, u32) -> bool) {
    let keyspace = Keyspace::new().await;
    let (store, other) = (keyspace.store().await, keyspace.store().await);
    for number in 1..STATEMENTS_MAX {
        let source = Source(format!("statement {number}"));
        let shown = fault(&store, &other, &source, number).await;
        assert_exact(&other, &source, clicks, &source.0).await;
        if !shown {
            assert!(number > 40, "reads and several commits were met");
            return;
        }
    }
    panic!("it takes more statements than there are cases");
}

/// Seen to fail when the progress was written before the rows, and beside them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn whoever_takes_over_from_a_killed_consumer_counts_each_click_once() {
    let clicks = clicks(40);
    at_each(&clicks, async |store, heir, source, number| {
        let outcome = store.cql().faults().cut_off_after(number - 1, consume(store, source, &clicks)).await;
        consume(heir, source, &clicks).await;
        outcome.is_none()
    })
    .await;
}

/// Seen to fail when a failed write was passed over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_statement_that_gets_lost_is_repeated() {
    let clicks = clicks(40);
    at_each(&clicks, async |store, _, source, number| {
        let ((), shown) = store.cql().faults().lose_statement(number, consume(store, source, &clicks)).await;
        shown
    })
    .await;
}

/// Seen to fail when a write that came again counted again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_statement_whose_answer_gets_lost_is_repeated_and_counts_once() {
    let clicks = clicks(40);
    at_each(&clicks, async |store, _, source, number| {
        let ((), shown) = store.cql().faults().lose_answer(number, consume(store, source, &clicks)).await;
        shown
    })
    .await;
}
