//! A decorator of the seam "analytics queries": questions run on a runtime of their own choice.

use std::sync::Arc;

use analytics::query::{Answer, Links, Queries, Query, QueryError, Totals};
use async_trait::async_trait;
use tokio::runtime::Handle;

/// Runs questions on `runtime`: reading rows is work, for which no redirect of the asking thread should wait.
pub struct OnRuntime {
    pub queries: Arc<dyn Queries>,
    pub runtime: Handle,
}

impl OnRuntime {
    async fn run<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let ended = self.runtime.spawn(traces::carried(question)).await;
        ended.unwrap_or_else(|error| Err(QueryError::Unavailable(error.into())))
    }
}

#[async_trait]
impl Queries for OnRuntime {
    async fn answer(&self, query: &Query) -> Result<Answer, QueryError> {
        let (queries, query) = (Arc::clone(&self.queries), query.clone());
        self.run(async move { queries.answer(&query).await }).await
    }

    async fn totals(&self, links: &[u64]) -> Result<Vec<Totals>, QueryError> {
        let (queries, links) = (Arc::clone(&self.queries), links.to_vec());
        self.run(async move { queries.totals(&links).await }).await
    }

    async fn first_click_ms(&self, links: &Links) -> Result<Option<i64>, QueryError> {
        let (queries, links) = (Arc::clone(&self.queries), links.clone());
        self.run(async move { queries.first_click_ms(&links).await }).await
    }
}
