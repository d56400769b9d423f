mod conformance;
mod documented;
mod refusals;

use std::sync::Arc;

use actix_http::Request;
use actix_web::{
    App,
    http::{StatusCode, header::HeaderMap},
    test::{TestRequest, init_service, read_body, try_call_service},
    web,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{Api, configure};
use crate::{
    engine::Engine,
    query::{Answer as QueryAnswer, Links, Queries, Query, QueryError, Totals},
    rollups::sqlite::SqliteRollups,
    secret::Secret,
    service::admission::Admission,
};

const SECRET: &str = "a-secret-of-enough-characters";

/// The API over questions of its own.
struct Served {
    api: Api,
    _directory: Option<TempDir>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The code of an error.
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Served {
    /// Over the engine on a store without a row.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteRollups::open(&directory.path().join("rollups.db")).await.unwrap();
        Served { _directory: Some(directory), ..Self::over(Engine::new(Arc::new(store))) }
    }

    fn over(queries: impl Queries) -> Self {
        let admission = Admission::new(Handle::current());
        admission.open(Arc::new(queries));
        Served { api: Api { admission: Arc::new(admission), secret: None }, _directory: None }
    }

    fn with_secret(mut self) -> Self {
        self.api.secret = Some(Secret::parse(SECRET).unwrap());
        self
    }

    async fn send(&self, request: TestRequest) -> Answer {
        send(&self.api, request.to_request()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(TestRequest::post().uri(path).set_json(body)).await
    }
}

async fn send(api: &Api, request: Request) -> Answer {
    let app = init_service(App::new().app_data(web::Data::new(api.clone())).configure(configure)).await;
    let response = try_call_service(&app, request).await.expect("refusals are answers");
    let (status, headers) = (response.status(), response.headers().clone());
    assert_eq!(headers.get("cache-control").map(|value| value.as_bytes()), Some(b"no-store".as_slice()));
    let body = serde_json::from_slice(&read_body(response).await).unwrap();
    Answer { status, headers, body }
}

fn query(group: Value) -> Value {
    json!({ "links": "all", "span_ms": { "start": 0, "end": 900_000 }, "bots": "exclude", "group": group })
}

/// Answers every question in one way.
struct Always<F>(F);

#[async_trait]
impl<F, A> Queries for Always<F>
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = QueryError> + Send,
{
    async fn answer(&self, _: &Query) -> Result<QueryAnswer, QueryError> {
        Err(self.0().await)
    }

    async fn totals(&self, _: &[u64]) -> Result<Vec<Totals>, QueryError> {
        Err(self.0().await)
    }

    async fn first_click_ms(&self, _: &Links) -> Result<Option<i64>, QueryError> {
        Err(self.0().await)
    }
}
