//! Who may use the API: whoever sends an API key that is on record.

use std::{sync::Arc, time::Duration};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::error::ApiError;
use crate::{
    clock,
    store::{ApiKeyDigest, Store, StoreError},
};

/// How long a key is believed without a look at the store; so long may a replaced one go on.
const BELIEVED: Duration = Duration::from_secs(10);
/// How many keys are remembered; others are looked up each time.
const REMEMBERED_MAX: usize = 1_000;

/// The API key of a request that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyId(pub Uuid);

/// Looks API keys up.
pub struct Authenticator {
    store: Arc<dyn Store>,
    believed: Cache<ApiKeyDigest, (ApiKeyId, i64)>,
}

impl Authenticator {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Authenticator { store, believed: Cache::new(REMEMBERED_MAX) }
    }

    /// Whose key this is. Keys are compared by their digests, so the time it takes tells nothing about any of them.
    async fn authenticate(&self, key: &str) -> Result<Option<ApiKeyId>, StoreError> {
        let digest = ApiKeyDigest::of(key);
        let uptime_ms = clock::uptime_ms();
        if let Some((id, until_ms)) = self.believed.get(&digest)
            && uptime_ms < until_ms
        {
            return Ok(Some(id));
        }
        let Some(found) = self.store.api_key(&digest).await? else { return Ok(None) };
        let id = ApiKeyId(found.id);
        self.believed.insert(digest, (id, uptime_ms + BELIEVED.as_millis() as i64));
        Ok(Some(id))
    }
}

/// Lets a request through that carries a valid key, and tells the handlers whose it is.
pub async fn require(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let key = bearer(&request)
        .ok_or_else(|| ApiError::unauthorized("An API key is missing: send it as \"Authorization: Bearer KEY\"."))?;
    let authenticator = request.app_data::<web::Data<Authenticator>>().expect("the application has an authenticator");
    let id = authenticator.authenticate(key).await.map_err(ApiError::from)?;
    let id = id.ok_or_else(|| ApiError::unauthorized("This API key is unknown."))?;
    request.extensions_mut().insert(id);
    next.call(request).await
}

fn bearer(request: &ServiceRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim()).filter(|key| !key.is_empty())
}
