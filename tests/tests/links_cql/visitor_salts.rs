//! Visitor salts: all instances get the same, whatever gets lost, and none is left after its time.

use std::{sync::Arc, time::Duration};

use analytics::{
    cql::Kind,
    enrich::visitor::{PERIOD_MS, Salt, period},
};
use futures::future::join_all;
use septet_tests::wait;
use shortener::{
    clock,
    store::{StoreError, VisitorSalts, scylla::ScyllaStore},
};

use crate::keyspace::Keyspace;

/// How long it may take until somebody among many is answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
const INSTANCES: usize = 3;
/// Calls of each instance at once.
const AT_ONCE: usize = 4;

/// What an instance with a salt of its own gets, which asks again while it is not answered.
async fn given(store: &ScyllaStore, period: u32) -> Salt {
    let fresh = rand::random();
    wait::until("a salt", ANSWERED_WITHIN, async || match store.visitor_salt(period, fresh).await {
        Err(StoreError::Unavailable(_)) => None,
        answered => Some(answered.unwrap()),
    })
    .await
}

/// Seen to fail when whoever was refused went on with its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn many_who_ask_at_once_get_the_same_salt_and_another_for_another_period() {
    let keyspace = Keyspace::new().await;
    let instances = join_all((0..INSTANCES).map(|_| keyspace.another())).await;
    let current = period(clock::now_ms());
    let mut salts = Vec::new();
    for period in [current, current + 1] {
        let asking = instances.iter().cycle().take(INSTANCES * AT_ONCE).map(|store| {
            let store = Arc::clone(store);
            tokio::spawn(async move { given(&store, period).await })
        });
        let all = join_all(asking.collect::<Vec<_>>()).await;
        let all: Vec<_> = all.into_iter().map(|given| given.unwrap()).collect();
        assert!(all.iter().all(|salt| *salt == all[0]), "{period}: they differ");
        // Who comes later, too.
        assert_eq!(given(keyspace.scylla(), period).await, all[0]);
        salts.push(all[0]);
    }
    assert_ne!(salts[0], salts[1]);
}

/// Seen to fail when what got no answer was taken for written, and when it was not read back.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_salt_that_got_no_answer_is_the_one_that_is_there() {
    let keyspace = Keyspace::new().await;
    let (victim, others) = (keyspace.scylla(), keyspace.another().await);
    let current = period(clock::now_ms());
    let (lost, shown) = victim.faults().lose_statement(1, victim.visitor_salt(current, [1; 32])).await;
    assert!(shown && matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    let (given, shown) = victim.faults().lose_answer(1, victim.visitor_salt(current, [2; 32])).await;
    assert!(shown && given.unwrap() == [2; 32]);
    assert_eq!(others.visitor_salt(current, [3; 32]).await.unwrap(), [2; 32]);
    let (given, shown) = victim.faults().lose_answer(1, victim.visitor_salt(current, [4; 32])).await;
    assert!(shown && given.unwrap() == [2; 32]);
}

/// Seen to fail when it was written without an end.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_salt_is_gone_some_hours_after_its_period() {
    const HOURS_3_S: i64 = 3 * 60 * 60;
    let keyspace = Keyspace::new().await;
    let (store, session) = (keyspace.scylla(), keyspace.session().await);
    let now_ms = clock::now_ms();
    let current = period(now_ms);
    store.visitor_salt(current, [1; 32]).await.unwrap();
    let select = "SELECT TTL(salt) FROM visitor_salts WHERE period = ?";
    let select = session.prepare(Kind::Read, select).await.unwrap();
    let rows = session.rows(&select, (current.cast_signed(),)).await.unwrap();
    let (ttl_s,) = rows.single_row::<(Option<i32>,)>().unwrap();
    let left_s = ((i64::from(current) + 1) * PERIOD_MS - now_ms) / 1000;
    assert!(ttl_s.is_some_and(|ttl_s| (left_s..left_s + HOURS_3_S).contains(&ttl_s.into())), "{ttl_s:?}, {left_s}");

    // One whose time is over already.
    let old = current - 2;
    store.visitor_salt(old, [1; 32]).await.unwrap();
    wait::until("it is gone", ANSWERED_WITHIN, async || {
        (store.visitor_salt(old, [2; 32]).await.unwrap() == [2; 32]).then_some(())
    })
    .await;
}
