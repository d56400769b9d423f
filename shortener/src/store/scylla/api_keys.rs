//! API keys.

use async_trait::async_trait;

use super::ScyllaStore;
use crate::store::{ApiKey, ApiKeyDigest, ApiKeys, StoreError};

#[async_trait]
impl ApiKeys for ScyllaStore {
    async fn put_api_key(&self, _key: &ApiKey) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }

    async fn put_first_api_key(&self, _key: &ApiKey) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }

    async fn api_key(&self, _digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }
}
