//! What the store says of what was answered.

use analytics::cql::{self, CommitLog};
use septet_tests::engines::cassandra::{self, Cassandra};
use shortener::store::scylla;

use crate::keyspace::{Keyspace, options_at};

/// Seen to fail when the mode was not read.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_node_that_syncs_before_it_answers_loses_nothing() {
    let keyspace = Keyspace::new().await;
    let known = cql::durability(keyspace.scylla().cql()).await.unwrap();
    assert_eq!((known.replicas, known.commit_log), (Some(1), CommitLog::BeforeAnswering), "{known}");
    assert_eq!(known.one_crash_loses_ms(), Some(0));
}

/// Seen to fail when one replica counted as more than a quorum.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_node_that_syncs_later_is_warned_of() {
    let cassandra =
        tokio::task::spawn_blocking(|| Cassandra::start_with(cassandra::CommitLog::Periodic)).await.unwrap();
    let options = options_at(&cassandra.contact_point(), "links");
    let migrated = scylla::migrate(&options, 1).await.unwrap();
    assert!(migrated.to_string().starts_with("the keyspace links was made, with 1 copies"), "{migrated}");
    let cql = cql::Cql::connect(&options).await.unwrap();
    let known = cql::durability(&cql).await.unwrap();
    assert_eq!(known.one_crash_loses_ms(), Some(10_000), "{known:?}");
    assert!(known.to_string().contains("THE CRASH OF ONE NODE LOSES what it answered in the last 10000 ms"), "{known}");
}
