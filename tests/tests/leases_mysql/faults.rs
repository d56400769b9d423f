//! Several services on one database, and databases that stop in the middle.

use std::{collections::HashSet, time::Instant};

use futures::future::join_all;
use metrics_exporter_prometheus::PrometheusBuilder;
use septet_tests::engines::{Engine, mariadb::MariaDb};
use token_service::{LeaseError, LeaseRecords, Usage};

use super::*;

fn open_at(url: &str) -> Arc<MysqlLeases> {
    Arc::new(MysqlLeases::new(&url.parse().expect("a URL"), MysqlOptions::default()))
}

/// Seen to fail when the id space's row is read without a lock.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn services_at_the_same_time_lease_different_blocks() {
    let stored = Stored::new().await;
    let services: Vec<_> = (0..3).map(|_| open(&stored.database)).collect();
    let leasing = (0..60).map(|number| {
        let leases = Arc::clone(&services[number % services.len()]);
        tokio::spawn(async move {
            let mut leased = Vec::new();
            for _ in 0..10 {
                leased.push(leases.lease(&request(3)).await.expect("a lease"));
            }
            leased
        })
    });
    let mut seen = HashSet::new();
    for leased in join_all(leasing).await {
        for lease in leased.expect("the task ends") {
            assert!(lease.blocks().all(|block| seen.insert(block)), "{lease:?}");
        }
    }
    let account = stored.leases.account().await.unwrap();
    assert_eq!((account.handed_out, account.open_leases, account.is_balanced()), (1800, 600, true));
}

/// Seen to fail when an earlier lease of the request is not looked for in the transaction.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn the_same_request_at_the_same_time_gets_one_lease() {
    let stored = Stored::new().await;
    let services: Vec<_> = (0..3).map(|_| open(&stored.database)).collect();
    let request = request(2);
    let answers = join_all((0..30).map(|number| {
        let (leases, request) = (Arc::clone(&services[number % services.len()]), request.clone());
        tokio::spawn(async move { leases.lease(&request).await.expect("a lease") })
    }))
    .await;
    let leases: HashSet<_> = answers.into_iter().map(|lease| lease.unwrap().id).collect();
    assert_eq!(leases.len(), 1);
}

/// A transaction that another one holds up is tried again until the other ends.
///
/// Seen to fail when a lock timeout is no conflict, and when the database waits for as long as it likes.
#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_held_lock_is_waited_for() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stored = Stored::new().await;
    let mut other = MySqlConnection::connect(&stored.database.url()).await.unwrap();
    sqlx::raw_sql("START TRANSACTION; SELECT * FROM id_space FOR UPDATE").execute(&mut other).await.unwrap();
    let leases = open(&stored.database);
    let request = request(1);
    let leasing = tokio::spawn(async move { leases.lease(&request).await });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    other.close_hard().await.unwrap();
    leasing.await.unwrap().unwrap();
    let rendered = recorder.handle().render();
    assert!(!rendered.contains("septet_token_conflicts_total 0"), "{rendered}");
}

/// Two transactions, each of which waits for a row of the other: the database ends ours, since it has changed less.
///
/// Seen to fail when a deadlock is no conflict.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn after_a_deadlock_it_is_tried_again() {
    let stored = Stored::new().await;
    let request = request(1);
    let lease = stored.leases.lease(&request).await.unwrap();
    for _ in 0..20 {
        stored.leases.lease(&self::request(1)).await.unwrap();
    }
    let mut other = MySqlConnection::connect(&stored.database.url()).await.unwrap();
    sqlx::raw_sql("START TRANSACTION; UPDATE leases SET leased_at_ms = leased_at_ms + 1")
        .execute(&mut other)
        .await
        .unwrap();
    let leases = Arc::clone(&stored.leases);
    let renewing = tokio::spawn(async move { leases.renew(lease.id, request.owner, Usage::default()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    sqlx::raw_sql("UPDATE id_space SET used = used; COMMIT").execute(&mut other).await.unwrap();
    renewing.await.unwrap().unwrap();
}

/// Seen to fail when the connection of a transaction that was given up is used again: with its lock, it stood in everybody's way.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_transaction_that_takes_too_long_leaves_nothing_behind() {
    let stored = Stored::new().await;
    let options = MysqlOptions { timeout: Duration::from_millis(700), connections_max: 1, ..MysqlOptions::default() };
    let leases = MysqlLeases::new(&url(&stored.database), options);
    leases.lease(&request(1)).await.unwrap();
    let mut other = MySqlConnection::connect(&stored.database.url()).await.unwrap();
    sqlx::raw_sql("START TRANSACTION; SELECT * FROM id_space FOR UPDATE").execute(&mut other).await.unwrap();
    let request = request(1);
    let outcome = leases.lease(&request).await;
    assert!(matches!(outcome, Err(LeaseError::Unavailable(_))), "{outcome:?}");
    other.close_hard().await.unwrap();
    stored
        .leases
        .lease(&self::request(1))
        .await
        .expect("another service is not in the way of a lock that nobody needs");
    let lease =
        septet_tests::wait::until("a lease", Duration::from_secs(10), async || leases.lease(&request).await.ok());
    let lease = lease.await;
    leases.renew(lease.id, request.owner, Usage::default()).await.unwrap();
    let account = leases.account().await.unwrap();
    assert_eq!((account.handed_out, account.open_leases, account.is_balanced()), (3, 3, true));
}

/// Calls are repeated over two kills; what was answered is on record, once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn what_was_answered_before_a_kill_is_on_record_after_it() {
    let mut mariadb = MariaDb::start();
    let url: MysqlUrl = mariadb.url().parse().unwrap();
    MysqlLeases::migrate(&url).await.unwrap();
    let leases = open_at(&mariadb.url());
    let deadline = Instant::now() + Duration::from_secs(12);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let leases = Arc::clone(&leases);
            tokio::spawn(async move {
                let (mut answered, mut unanswered) = (Vec::new(), 0);
                while Instant::now() < deadline {
                    let request = request(2);
                    loop {
                        match leases.lease(&request).await {
                            Ok(lease) => break answered.push((request, lease)),
                            Err(LeaseError::Unavailable(_)) => unanswered += 1,
                            Err(error) => panic!("{error}"),
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                (answered, unanswered)
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        mariadb.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        mariadb.start_again();
    }
    let (mut answered, mut unanswered) = (Vec::new(), 0);
    for caller in callers {
        let (some, without) = caller.await.unwrap();
        answered.extend(some);
        unanswered += without;
    }
    assert!(unanswered > 0, "the kills must be noticed");
    let mut seen = HashSet::new();
    for (request, lease) in &answered {
        assert!(lease.blocks().all(|block| seen.insert(block)), "{lease:?} was leased twice");
        assert_eq!(leases.lease(request).await.unwrap(), *lease, "the same request gets the same lease");
    }
    let account = leases.account().await.unwrap();
    assert!(account.is_balanced(), "{account:?}");
    assert_eq!(account.open_leases, answered.len() as u64, "each request that was repeated is one lease");
}
