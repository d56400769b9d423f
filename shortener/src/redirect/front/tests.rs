//! The front over a store that can fail: what a person is answered.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_http::{body::MessageBody, test::TestRequest};
use async_trait::async_trait;
use tokio::runtime::Handle;

use super::*;
use crate::{
    key::Domain,
    link::{ExternalId, Link},
    redirect::cache::CacheSettings,
    store::{Archived, Created, Creation, Links, Listing, Replaced, StoreError, conformance::aliased},
};

/// Holds one link under every alias that begins with "known", until it fails.
#[derive(Default)]
struct FailingStore(AtomicBool);

#[async_trait]
impl Links for FailingStore {
    async fn by_key(&self, _: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("broken".into()));
        }
        Ok(key.as_str().starts_with("known").then(|| aliased(1, key.as_str())))
    }

    async fn create(&self, _: Creation) -> Result<Created, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_id(&self, _: LinkId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_ids(&self, _: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn by_external_id(&self, _: &ExternalId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn list(&self, _: &Listing) -> Result<Vec<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn count(&self, _: Archived) -> Result<u64, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn replace(&self, _: &Link, _: &Link) -> Result<Replaced, StoreError> {
        unreachable!("a redirect only reads by key")
    }

    async fn delete(&self, _: LinkId) -> Result<Option<Link>, StoreError> {
        unreachable!("a redirect only reads by key")
    }
}

fn redirects(ttl_ms: u64) -> (Arc<FailingStore>, Redirects) {
    let store = Arc::new(FailingStore::default());
    let settings = CacheSettings { ttl: std::time::Duration::from_millis(ttl_ms), ..CacheSettings::default() };
    let cache = Cache::new(store.clone(), settings, Handle::current());
    (store, Redirects::new(cache, Readiness::default(), None, ClickHeaders::default()))
}

async fn get(redirects: &Redirects, path: &str, accept: &'static str) -> Response<BoxBody> {
    let request = TestRequest::with_uri(path).insert_header((header::ACCEPT, accept)).finish();
    redirects.looked_up(&request).await
}

fn text(response: Response<BoxBody>) -> String {
    let body = response.into_body().try_into_bytes().unwrap_or_default();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Seen to fail when an error of the store was answered as an absence, and without `Retry-After`.
#[tokio::test]
async fn a_store_that_fails_is_no_missing_link() {
    let (store, redirects) = redirects(0);
    assert_eq!(get(&redirects, "/known", "*/*").await.status(), StatusCode::FOUND);
    store.0.store(true, Ordering::SeqCst);
    let stale = get(&redirects, "/known", "*/*").await;
    assert_eq!((stale.status(), stale.headers().contains_key(header::LOCATION)), (StatusCode::FOUND, true));
    let missed = get(&redirects, "/known-too", "*/*").await;
    assert_eq!(missed.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(missed.headers().get(header::RETRY_AFTER).unwrap(), "1");
    assert!(text(missed).contains("internal_server_error"));
}

#[tokio::test]
async fn a_browser_is_shown_a_page_and_a_program_json() {
    let (_, redirects) = redirects(1_000);
    let page = get(&redirects, "/nothing", "text/html,*/*").await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert_eq!(page.headers().get(header::CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
    assert!(text(page).contains("<h1>Link not found</h1>"));
    let json = get(&redirects, "/nothing", "application/json").await;
    assert_eq!(json.headers().get(header::CONTENT_TYPE).unwrap(), "application/json");
    assert!(text(json).contains("\"not_found\""));
}

/// Seen to fail when only the first line was read.
#[test]
fn every_line_of_forwarded_for_counts() {
    let request = TestRequest::with_uri("/")
        .append_header((header::X_FORWARDED_FOR, "203.0.113.9"))
        .append_header((header::X_FORWARDED_FOR, "198.51.100.7"))
        .finish();
    assert_eq!(&*forwarded_for(&request), b"203.0.113.9, 198.51.100.7");
    assert_eq!(&*forwarded_for(&TestRequest::with_uri("/").finish()), b"");
}
