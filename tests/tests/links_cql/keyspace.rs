//! A keyspace of a test's own.

use std::{sync::Arc, time::Duration};

use analytics::cql::{Cql, CqlOptions};
use async_trait::async_trait;
use septet_tests::engines::{cassandra, unique_name};
use shortener::store::{
    Claims, Store,
    conformance::{Harness, ID_SPACE},
    scylla::{self, ScyllaStore},
};

/// A migrated keyspace on the shared Cassandra, and the link store in it.
pub struct Keyspace {
    options: CqlOptions,
    store: Arc<ScyllaStore>,
}

impl Keyspace {
    pub async fn new() -> Self {
        let contact_point = tokio::task::spawn_blocking(cassandra::shared).await.expect("a Cassandra");
        let url = format!("scylla://{contact_point}/{}", unique_name("links"));
        let options = CqlOptions {
            // Many test programs share two cores.
            request_timeout: Duration::from_secs(20),
            ..CqlOptions::new(url.parse().expect("a URL"))
        };
        scylla::migrate(&options, 1).await.expect("the keyspace is migrated");
        Keyspace { store: open(&options).await, options }
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
}

async fn open(options: &CqlOptions) -> Arc<ScyllaStore> {
    Arc::new(ScyllaStore::open(options).await.expect("the store opens"))
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
