//! Keyspaces as they are found: none, half-made, made by others at the same time, newer.

use std::time::Duration;

use analytics::cql::{CqlOptions, SchemaError};
use futures::future::join_all;
use septet_tests::engines::{cassandra::Cassandra, unique_name};
use shortener::store::scylla::{self, OpenError, ScyllaStore};

use crate::keyspace::{bare, options, options_at};

/// Migrations at once, each with a session of its own, as so many processes have.
const AT_ONCE: usize = 6;

async fn refused(options: &CqlOptions) -> OpenError {
    ScyllaStore::open(options).await.err().expect("it does not open")
}

/// Seen to fail when the lock was taken by whoever found it held.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn many_at_once_make_one_schema() {
    many_at_once(options(&unique_name("links")).await, 1).await;
}

/// Each migration sends its statements to whichever node it likes, and tables that are made through two nodes at once are two.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn many_at_once_make_one_schema_through_three_nodes() {
    let nodes = tokio::task::spawn_blocking(Cassandra::start_three).await.unwrap();
    let options = options_at(&nodes[0].contact_point(), "links");
    many_at_once(options.clone(), 3).await;
    bare(&options).await.await_schema_agreement().await.unwrap();
}

async fn many_at_once(options: CqlOptions, replication_factor: u32) {
    let migrations = (0..AT_ONCE).map(|_| {
        let options = options.clone();
        tokio::spawn(async move { scylla::migrate(&options, replication_factor).await })
    });
    let mut applied = Vec::new();
    for migrated in join_all(migrations).await {
        applied.extend(migrated.unwrap().unwrap().applied);
    }
    assert_eq!(applied, [1, 2]);
    ScyllaStore::open(&options).await.unwrap();
    // Once more, later: nothing is left to do, and the lock was let go.
    let again = scylla::migrate(&options, replication_factor).await.unwrap();
    assert!(again.applied.is_empty() && !again.keyspace.is_new, "{again}");
    assert!(again.to_string().ends_with("its tables were at version 2 already"), "{again}");
}

/// Seen to fail when a version was recorded before its tables were made.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn one_that_was_cut_off_is_taken_up_again() {
    let options = options(&unique_name("links")).await;
    let session = bare(&options).await;
    let keyspace = &options.url.keyspace;
    let made = async || {
        let count = "SELECT count(*) FROM system_schema.tables WHERE keyspace_name = ?";
        let rows = session.query_unpaged(count, (keyspace,)).await.unwrap().into_rows_result().unwrap();
        rows.first_row::<(i64,)>().unwrap().0
    };
    // The lock's, the record's, and some of the links'.
    for tables in [2, 4, 7] {
        let killed = async {
            while made().await < tables {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = killed => {}
            migrated = scylla::migrate(&options, 1) => panic!("not cut off: {migrated:?}"),
        }
        assert!(!refused(&options).await.is_transient());
        // What the time would do.
        let ttl = session.query_unpaged(format!("SELECT TTL(holder) FROM {keyspace}.schema_lock"), ()).await.unwrap();
        let ttl = ttl.into_rows_result().unwrap().first_row::<(Option<i32>,)>().unwrap().0;
        assert!(ttl.is_some_and(|ttl_s| (1..=60).contains(&ttl_s)), "{ttl:?}");
        session.query_unpaged(format!("TRUNCATE {keyspace}.schema_lock"), ()).await.unwrap();
    }
    assert_eq!(scylla::migrate(&options, 1).await.unwrap().applied, [1, 2]);
    ScyllaStore::open(&options).await.unwrap();
}

/// Seen to fail when only what is missing was looked for.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_newer_schema_is_refused_and_another_factor_left_alone() {
    let options = options(&unique_name("links")).await;
    scylla::migrate(&options, 1).await.unwrap();
    let migrated = scylla::migrate(&options, 3).await.unwrap().to_string();
    assert!(migrated.contains("was there, with 1 copies") && migrated.contains("not the 3"), "{migrated}");

    let insert = format!("INSERT INTO {}.schema_migrations (part, version) VALUES ('links', 99)", options.url.keyspace);
    bare(&options).await.query_unpaged(insert, ()).await.unwrap();
    let error = scylla::migrate(&options, 1).await.unwrap_err();
    assert!(matches!(error, SchemaError::Newer { version: 99, .. }), "{error}");
    let error = refused(&options).await;
    assert!(matches!(error, OpenError::Schema(SchemaError::Newer { version: 99, .. })), "{error}");
}

/// Seen to fail when a missing keyspace counted as one that does not answer.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_needs_a_person_is_told_from_what_may_come() {
    let mut options = options(&unique_name("links")).await;
    let error = scylla::migrate(&options, 2).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "2 copies of everything need as many nodes, and the data center datacenter1 has 1: add nodes, or say \
         --replication-factor 1"
    );
    let error = refused(&options).await;
    assert!(error.to_string().contains("run `migrate`") && !error.is_transient(), "{error}");

    options.datacenter = Some("elsewhere".to_owned());
    let error = refused(&options).await;
    assert!(error.to_string().contains("datacenter1") && !error.is_transient(), "{error}");

    let error = refused(&options_at("127.0.0.1:1", "links")).await;
    assert!(error.is_transient(), "{error}");
}
