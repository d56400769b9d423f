//! A keyspace for one test at a time.

use std::{sync::Arc, time::Duration};

use ::scylla::client::{session::Session, session_builder::SessionBuilder};
use analytics::cql::{Cql, CqlOptions};
use async_trait::async_trait;
use futures::future::try_join_all;
use parking_lot::Mutex;
use septet_tests::engines::{cassandra, unique_name};
use shortener::store::{
    Claims, Store,
    conformance::{Harness, ID_SPACE},
    scylla::{self, ScyllaStore},
};

/// Keyspaces that tests are done with. Making one takes seconds, nearly all of it for its tables; emptying one takes a fraction.
/// By `TRUNCATE`: rows that were deleted would hide those that a later test writes with a lower timestamp.
static DONE_WITH: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A migrated keyspace on the shared Cassandra, empty at first, and the link store in it.
pub struct Keyspace {
    options: CqlOptions,
    store: Arc<ScyllaStore>,
}

impl Keyspace {
    pub async fn new() -> Self {
        let done_with = DONE_WITH.lock().pop();
        let options = match done_with {
            Some(name) => {
                let options = options(&name).await;
                empty(&options).await;
                options
            }
            None => {
                let options = options(&unique_name("links")).await;
                scylla::migrate(&options, 1).await.expect("the keyspace is migrated");
                options
            }
        };
        Keyspace { store: open(&options).await, options }
    }

    /// The store itself, whose session can be done harm.
    pub fn scylla(&self) -> &ScyllaStore {
        &self.store
    }

    /// How to reach it without the store.
    pub fn options(&self) -> &CqlOptions {
        &self.options
    }

    /// One more store on the keyspace, as another instance has it.
    pub async fn instance(&self) -> Arc<ScyllaStore> {
        let store = open(&self.options).await;
        store.pin_id_space(&ID_SPACE).await.expect("it is pinned");
        store
    }

    /// A session of the test's own, for a look into the tables.
    pub async fn session(&self) -> Cql {
        Cql::connect(&self.options).await.expect("a session")
    }

    /// Another instance's.
    pub async fn another(&self) -> Arc<ScyllaStore> {
        open(&self.options).await
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        DONE_WITH.lock().push(self.options.url.keyspace.clone());
    }
}

/// How a keyspace of the shared Cassandra is reached, whether it is there or not.
pub async fn options(keyspace: &str) -> CqlOptions {
    let contact_point = tokio::task::spawn_blocking(cassandra::shared).await.expect("a Cassandra");
    options_at(contact_point, keyspace)
}

/// How a keyspace of any Cassandra is reached.
pub fn options_at(contact_point: &str, keyspace: &str) -> CqlOptions {
    CqlOptions {
        // Many test programs share few cores.
        request_timeout: Duration::from_secs(20),
        ..CqlOptions::new(format!("scylla://{contact_point}/{keyspace}").parse().expect("a URL"))
    }
}

/// A session of the driver's own, for what the store would not do.
pub async fn bare(options: &CqlOptions) -> Session {
    SessionBuilder::new().known_nodes(&options.url.nodes).build().await.expect("a session")
}

async fn open(options: &CqlOptions) -> Arc<ScyllaStore> {
    Arc::new(ScyllaStore::open(options).await.expect("the store opens"))
}

async fn empty(options: &CqlOptions) {
    let keyspace = &options.url.keyspace;
    let session = bare(options).await;
    let tables =
        session.query_unpaged("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (keyspace,));
    let tables = tables.await.expect("the tables").into_rows_result().expect("rows");
    let tables = tables.rows::<(String,)>().expect("names").map(|row| row.expect("a name").0);
    let truncations = tables.filter(|table| !table.starts_with("schema_")).map(|table| {
        let session = &session;
        async move { session.query_unpaged(format!("TRUNCATE {keyspace}.{table}"), ()).await }
    });
    try_join_all(truncations).await.expect("the tables are emptied");
}

#[async_trait]
impl Harness for Keyspace {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<ScyllaStore>::clone(&self.store)
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.options).await;
    }
}
