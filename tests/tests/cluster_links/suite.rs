//! The suite of every link store, with three copies of everything.

use std::{sync::Arc, time::Duration};

use analytics::cql::CqlOptions;
use async_trait::async_trait;
use shortener::store::{
    Store,
    conformance::{Answers, Harness},
    scylla::ScyllaStore,
};
use tokio::sync::MutexGuard;

use super::nodes::{Nodes, Users};

/// Three nodes share few cores.
const PATIENCE: Duration = Duration::from_secs(20);

/// A link store in the three nodes, empty at first.
struct Three {
    options: CqlOptions,
    store: Arc<ScyllaStore>,
    _nodes: MutexGuard<'static, Option<Nodes>>,
}

impl Three {
    async fn take() -> Self {
        let mut nodes = Nodes::take().await;
        let url = nodes.as_mut().expect("taken").keyspace(Users::Suite).url();
        let options = CqlOptions { request_timeout: PATIENCE, ..CqlOptions::new(url.parse().expect("a URL")) };
        Three { store: open(&options).await, options, _nodes: nodes }
    }
}

async fn open(options: &CqlOptions) -> Arc<ScyllaStore> {
    Arc::new(ScyllaStore::open(options).await.expect("the store opens"))
}

#[async_trait]
impl Harness for Three {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<ScyllaStore>::clone(&self.store)
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.options).await;
    }

    fn answers(&self) -> Answers {
        Answers::MayBeLost
    }
}

shortener::store_conformance!(
    ignore = "needs Cassandra: run by tests/run";
    Three::take().await
);
