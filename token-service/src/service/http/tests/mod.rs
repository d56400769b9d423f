mod calls;
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
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{Api, configure};
use crate::{
    Account, LeaseStore,
    secret::Secret,
    service::carrier::Carrier,
    sqlite::{SqliteLeases, SqliteOptions},
};

const SECRET: &str = "a-secret-of-enough-characters";

/// The API over a store of its own.
struct Served {
    api: Api,
    _directory: TempDir,
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

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Served {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteLeases::open(directory.path().join("leases.db"), SqliteOptions::default()).await.unwrap();
        let carrier = Carrier::new(Handle::current());
        carrier.set_store(Arc::new(store)).await.unwrap();
        Served { api: Api { leases: Arc::new(carrier), secret: None }, _directory: directory }
    }

    async fn with_secret() -> Self {
        let mut served = Self::new().await;
        served.api.secret = Some(Secret::parse(SECRET).unwrap());
        served
    }

    /// The API over another store.
    async fn over(store: impl LeaseStore) -> Self {
        let mut served = Self::new().await;
        served.api.leases = Arc::new(store);
        served
    }

    async fn send(&self, request: TestRequest) -> Answer {
        send(&self.api, request.to_request()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(TestRequest::post().uri(path).set_json(body)).await
    }

    /// What is on record: nothing of it may change by a call that was refused.
    async fn recorded(&self) -> (Account, Vec<crate::LeaseRecord>) {
        let records = self.api.leases.records(Default::default(), None, 1000).await.unwrap();
        (self.api.leases.account().await.unwrap(), records)
    }
}

async fn send(api: &Api, request: Request) -> Answer {
    let app = init_service(App::new().app_data(web::Data::new(api.clone())).configure(configure)).await;
    let response = try_call_service(&app, request).await.expect("refusals are answers");
    let (status, headers) = (response.status(), response.headers().clone());
    assert_eq!(headers.get("cache-control").map(|value| value.as_bytes()), Some(b"no-store".as_slice()));
    let body = read_body(response).await;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Answer { status, headers, body }
}

fn lease_call(request_id: Uuid, owner: Uuid, blocks: u32) -> Value {
    json!({ "request_id": request_id, "owner": owner, "blocks": blocks })
}

fn usage_call(owner: Uuid, used: u32, refused: u32) -> Value {
    json!({ "owner": owner, "usage": { "used": used, "refused": refused } })
}
