//! API keys: who may use the links API.

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::StoreError;

/// What is kept of an API key: a digest. Keys are random or at least 24 characters long, so a plain hash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKeyDigest(pub [u8; 32]);

impl ApiKeyDigest {
    /// SHA-256 of the key.
    pub fn of(key: &str) -> Self {
        ApiKeyDigest(Sha256::digest(key.as_bytes()).into())
    }
}

/// An API key on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: Uuid,
    pub digest: ApiKeyDigest,
    /// Where it came from. A name belongs to one key at a time.
    pub name: String,
    pub created_at_ms: i64,
}

/// Keeps API keys.
#[async_trait]
pub trait ApiKeys: Send + Sync + 'static {
    /// Keeps a key; one of the same name is replaced, and refused from then on. Keeping the digest that the name has already
    /// changes nothing, not even the id.
    async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Keeps a key if there is none at all: of many who try at once, one is told `true`. Who got no answer may ask again with the same key, and is
    /// told `true` if it is there: by its id.
    async fn put_first_api_key(&self, key: &ApiKey) -> Result<bool, StoreError>;

    async fn api_key(&self, digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError>;
}
