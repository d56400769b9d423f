//! API keys.

use uuid::Uuid;

use super::Harness;
use crate::store::{ApiKey, ApiKeyDigest};

fn key(name: &str, text: &str) -> ApiKey {
    ApiKey { id: Uuid::new_v4(), digest: ApiKeyDigest::of(text), name: name.to_owned(), created_at_ms: 1 }
}

/// Seen to fail when any key on record was as good as another.
pub async fn a_key_is_found_by_its_digest_alone(harness: &mut impl Harness) {
    let kept = key("one", "0123456789");
    harness.store().put_api_key(&kept).await.unwrap();
    harness.reopen().await;
    let store = harness.store();
    assert_eq!(store.api_key(&kept.digest).await.unwrap(), Some(kept));
    assert_eq!(store.api_key(&ApiKeyDigest::of("another")).await.unwrap(), None);
}

/// Seen to fail when a key of the same name was kept beside the old one.
pub async fn a_name_has_one_key(harness: &mut impl Harness) {
    let store = harness.store();
    let (old, new) = (key("set", "old"), key("set", "new"));
    store.put_api_key(&old).await.unwrap();
    store.put_api_key(&new).await.unwrap();
    assert_eq!(store.api_key(&old.digest).await.unwrap(), None);
    assert_eq!(store.api_key(&new.digest).await.unwrap(), Some(new.clone()));
    // A key that has another name already replaces it all the same.
    let first = key("first", "first");
    store.put_api_key(&first).await.unwrap();
    store.put_api_key(&key("set", "first")).await.unwrap();
    assert_eq!(store.api_key(&new.digest).await.unwrap(), None);
    assert_eq!(store.api_key(&first.digest).await.unwrap(), Some(first));
    store.put_api_key(&new).await.unwrap();
    // The same key again keeps its id: what was bound to it stays bound.
    store.put_api_key(&key("set", "new")).await.unwrap();
    assert_eq!(store.api_key(&new.digest).await.unwrap(), Some(new));
}

/// Seen to fail when the first key was put without a look.
pub async fn only_one_key_is_the_first(harness: &mut impl Harness) {
    let store = harness.store();
    let tries = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(
            async move { store.put_first_api_key(&key(&format!("first-{number}"), &number.to_string())).await },
        )
    });
    harness.answers().one_wins(tries, |is_first| is_first).await;
    assert!(!store.put_first_api_key(&key("late", "late")).await.unwrap());
}
