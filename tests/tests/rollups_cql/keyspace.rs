//! A keyspace for one test at a time.

use std::{sync::Arc, time::Duration};

use analytics::{
    conformance,
    cql::CqlOptions,
    engine::Engine,
    query::Queries,
    rollups::{
        Rollups,
        cql::{self, CqlRollups, Retention},
    },
};
use async_trait::async_trait;
use futures::future::try_join_all;
use parking_lot::Mutex;
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    value::Row,
};
use septet_tests::{
    by_hand,
    engines::{cassandra, unique_name},
};

/// Keyspaces that tests are done with: emptying one takes a fraction of the time that making one does.
static DONE_WITH: Mutex<Vec<CqlOptions>> = Mutex::new(Vec::new());

const TABLES: [&str; 3] = ["days", "totals", "progress"];

/// Each of the three kept for a time of its own: every statement of a row apart.
pub const ALL_APART: Retention = Retention {
    detail: Some(Duration::from_secs(3_600)),
    days: Some(Duration::from_secs(3 * 3_600)),
    visitors: Some(Duration::from_secs(2 * 3_600)),
};

/// A migrated keyspace on the shared Cassandra, empty at first.
pub struct Keyspace {
    options: CqlOptions,
    retention: Retention,
    session: Session,
}

impl Keyspace {
    pub async fn new() -> Self {
        let done_with = DONE_WITH.lock().pop();
        let is_new = done_with.is_none();
        let options = match done_with {
            Some(options) => options,
            None => {
                let options = options(&unique_name("rollups")).await;
                cql::migrate(&options, 1).await.expect("the keyspace is migrated");
                options
            }
        };
        let session = SessionBuilder::new().known_nodes(&options.url.nodes).build().await.expect("a session");
        session.use_keyspace(&options.url.keyspace, false).await.expect("the keyspace");
        let keyspace = Keyspace { options, retention: Retention::default(), session };
        if !is_new {
            keyspace.clear().await;
        }
        keyspace
    }

    /// The same, with stores that keep what they count so long.
    pub async fn keeping(retention: Retention) -> Self {
        let mut keyspace = Keyspace::new().await;
        keyspace.retention = retention;
        keyspace
    }

    /// A store on it, as a process of its own has one.
    pub async fn store(&self) -> Arc<CqlRollups> {
        self.store_keeping(self.retention).await
    }

    pub async fn store_keeping(&self, retention: Retention) -> Arc<CqlRollups> {
        Arc::new(CqlRollups::open(&self.options, retention).await.expect("the store opens"))
    }

    pub fn options(&self) -> &CqlOptions {
        &self.options
    }

    /// Runs a statement behind the store's back.
    pub async fn rows(&self, statement: &str) -> Vec<Row> {
        by_hand::cql_rows(&self.session, statement).await.expect("it is carried out")
    }

    /// For whoever needs the driver itself.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// By `TRUNCATE`: rows that were deleted would hide those that are written with lower timestamps.
    async fn clear(&self) {
        let truncate = async |table| self.session.query_unpaged(format!("TRUNCATE {table}"), ()).await;
        try_join_all(TABLES.map(truncate)).await.expect("the tables are emptied");
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        DONE_WITH.lock().push(self.options.clone());
    }
}

/// How a keyspace of the shared Cassandra is reached, whether it is there or not.
pub async fn options(keyspace: &str) -> CqlOptions {
    let contact_point = tokio::task::spawn_blocking(cassandra::shared).await.expect("a Cassandra");
    CqlOptions {
        // Many test programs share few cores.
        request_timeout: Duration::from_secs(20),
        ..CqlOptions::new(format!("scylla://{contact_point}/{keyspace}").parse().expect("a URL"))
    }
}

#[async_trait]
impl conformance::rollups::Harness for Keyspace {
    async fn empty(&mut self) -> Arc<dyn Rollups> {
        self.clear().await;
        self.store().await
    }

    async fn reopened(&mut self) -> Arc<dyn Rollups> {
        self.store().await
    }
}

#[async_trait]
impl conformance::queries::Harness for Keyspace {
    async fn empty(&mut self) -> (Arc<dyn Rollups>, Arc<dyn Queries>) {
        self.clear().await;
        let store = self.store().await;
        (store.clone(), Arc::new(Engine::new(store)))
    }
}
