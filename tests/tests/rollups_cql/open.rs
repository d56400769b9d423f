//! Opening, closing, and what cannot be read.

use std::time::Duration;

use analytics::{
    cql::SchemaError,
    rollups::{
        Day, Part, Rollups, RollupsError, Subject,
        cql::{self, CqlRollups, OpenError, Retention},
    },
    stream::Source,
};
use septet_tests::{by_hand, engines::unique_name};
use shortener::store::scylla::{self, ScyllaStore};

use crate::{
    counting::{Counting, FIRST_DAY, clicks},
    keyspace::{Keyspace, options},
};

/// Seen to fail when the tables were not looked for, and when both had one record of their migrations.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_keyspace_may_be_that_of_the_links() {
    let options = options(&unique_name("shared")).await;
    scylla::migrate(&options, 1).await.unwrap();
    let error = CqlRollups::open(&options, Retention::default()).await.err().expect("there are no tables");
    assert!(matches!(error, OpenError::Schema(SchemaError::NotMigrated { part: "rollups", .. })), "{error}");
    assert!(!error.is_transient());
    assert_eq!(cql::migrate(&options, 1).await.unwrap().applied, [1, 2]);
    assert!(cql::migrate(&options, 1).await.unwrap().applied.is_empty());
    CqlRollups::open(&options, Retention::default()).await.unwrap();
    ScyllaStore::open(&options).await.unwrap();

    let retention = Retention { days: Some(Duration::ZERO), ..Retention::default() };
    let error = CqlRollups::open(&options, retention).await.err().expect("nothing can be kept for no time");
    assert!(matches!(error, OpenError::Retention(_)) && !error.is_transient(), "{error}");
}

/// A migration that was cut off between a statement and its record, or whose statement got no answer.
///
/// Seen to fail when columns were added without a look at those that are there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn columns_that_are_there_are_not_added_again() {
    let keyspace = Keyspace::new().await;
    keyspace.rows("DELETE FROM schema_migrations WHERE part = 'rollups' AND version = 2").await;
    let error = CqlRollups::open(keyspace.options(), Retention::default()).await.err().expect("nobody knows of them");
    assert!(matches!(error, OpenError::Schema(SchemaError::NotMigrated { .. })), "{error}");
    assert_eq!(cql::migrate(keyspace.options(), 1).await.unwrap().applied, [2]);
    keyspace.store().await;
}

/// Seen to fail when what cannot be decoded was told as a store that does not answer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn what_cannot_be_read_is_told_apart() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store().await;
    let source = Source("local".to_owned());
    let mut counting = Counting::begin(&store, &source).await;
    counting.count(&clicks(3), 3).await;
    counting.commit().await.unwrap();

    let first_day = Day(FIRST_DAY as i32);
    let of_all = format!("WHERE subject = -1 AND bucket = {0} AND day = {0} AND source = 'local'", first_day.0);
    for (blob, said) in [("0x63", "version 99"), ("0x01ff", "slots are malformed")] {
        keyspace.rows(&format!("UPDATE days SET clicks = {blob} {of_all}")).await;
        let row = store.days(&source, &[(Subject::All, first_day)]).await.map(drop);
        let rows = store.read(Subject::All, first_day..=first_day, Part::Clicks.into()).await.map(drop);
        for refused in [row, rows] {
            let error = refused.unwrap_err();
            assert!(matches!(error, RollupsError::Unreadable(_)) && error.to_string().contains(said), "{error}");
        }
        store.read(Subject::All, first_day..=first_day, Part::Visitors.into()).await.expect("another part is whole");
    }
    keyspace.rows("UPDATE progress SET logs = 0x02 WHERE source = 'local'").await;
    let error = store.progress(&source).await.unwrap_err();
    assert!(matches!(error, RollupsError::Unreadable(_)) && error.to_string().contains("version 2"), "{error}");
}

/// Seen to fail when a refusal was told as a store that does not answer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_table_that_is_gone_is_a_refusal() {
    let options = options(&unique_name("gone")).await;
    cql::migrate(&options, 1).await.unwrap();
    let store = CqlRollups::open(&options, Retention::default()).await.unwrap();
    let session = by_hand::cql(&options.url.nodes.join(",")).await.unwrap();
    by_hand::cql_rows(&session, &format!("DROP TABLE {}.progress", options.url.keyspace)).await.unwrap();
    let source = Source("local".to_owned());
    let (refused, asked) = store.cql().faults().lose_each(u32::MAX, store.progress(&source)).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, RollupsError::Refused(_)) && error.to_string().contains("refuses"), "{error:?}");
    assert_eq!(asked, 1, "asking again does not help");
}

/// Seen to fail when questions were not refused, and when counting was not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_closed_store_does_nothing_any_more() {
    let keyspace = Keyspace::new().await;
    let store = keyspace.store().await;
    let source = Source("local".to_owned());
    let mut counting = Counting::begin(&store, &source).await;
    counting.count(&clicks(3), 3).await;
    store.close().await;
    store.close().await;
    let first_day = Day(FIRST_DAY as i32);
    let refused = [
        store.progress(&source).await.map(drop),
        store.days(&source, &[(Subject::All, first_day)]).await.map(drop),
        store.source_totals(&source, &[Subject::All]).await.map(drop),
        counting.commit().await,
        store.read(Subject::All, first_day..=first_day, Part::Clicks.into()).await.map(drop),
        store.totals(&[Subject::All]).await.map(drop),
        store.first_day(Subject::All).await.map(drop),
    ];
    assert!(refused.iter().all(|answer| matches!(answer, Err(RollupsError::Unavailable(_)))), "{refused:?}");
    assert!(keyspace.rows("SELECT * FROM days").await.is_empty());
}
