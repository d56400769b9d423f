//! The API key that an instance starts with: the one that is set, or a new one, made once and shown once.

use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    clock,
    store::{ApiKey, ApiKeyDigest, ApiKeys, StoreError},
};

/// The name of the key that an instance starts with: there is one of it.
const NAME: &str = "first";
/// What a made key begins with, so that people and secret scanners know it when they see it.
const PREFIX: &str = "septet_";
/// Random characters of a made key: 190 bits.
const RANDOM_CHARS: usize = 32;

/// How often a store that does not answer is told of a made key.
const ATTEMPTS_MAX: u32 = 10;
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// Puts the key that is set on record, in the place of the one before, which was made or set; or, with none set and none on
/// record, makes one. What is returned was just made: it can be shown now, and never again.
pub async fn ensure(store: &dyn ApiKeys, set: Option<&str>) -> Result<Option<String>, StoreError> {
    if let Some(key) = set {
        store.put_api_key(&record(key)).await?;
        return Ok(None);
    }
    let made = format!("{PREFIX}{}", Alphanumeric.sample_string(&mut rand::rng(), RANDOM_CHARS));
    // A key that is on record, and was never shown, would lock everybody out.
    let (record, mut backoff) = (record(&made), Backoff::new(AGAIN_MIN, AGAIN_MAX));
    for _ in 1..ATTEMPTS_MAX {
        match store.put_first_api_key(&record).await {
            Err(StoreError::Unavailable(_)) => sleep(backoff.pause()).await,
            first => return Ok(first?.then_some(made)),
        }
    }
    Ok(store.put_first_api_key(&record).await?.then_some(made))
}

fn record(key: &str) -> ApiKey {
    ApiKey { id: Uuid::new_v4(), digest: ApiKeyDigest::of(key), name: NAME.to_owned(), created_at_ms: clock::now_ms() }
}
