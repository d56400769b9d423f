//! The front over a store that can fail: what a person is answered.

use actix_http::{body::MessageBody, test::TestRequest};
use tokio::runtime::Handle;

use super::*;
use crate::redirect::{
    cache::CacheSettings,
    moody_store::{Mood, MoodyStore},
};

fn redirects(ttl_ms: u64) -> (Arc<MoodyStore>, Redirects) {
    let store = Arc::new(MoodyStore::new("https://example.com/"));
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
    store.mood.send_replace(Mood::Fails);
    let stale = get(&redirects, "/known", "*/*").await;
    assert_eq!((stale.status(), stale.headers().contains_key(header::LOCATION)), (StatusCode::FOUND, true));
    let missed = get(&redirects, "/known-too", "*/*").await;
    assert_eq!(missed.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(missed.headers().get(header::RETRY_AFTER).unwrap(), "1");
    assert!(text(missed).contains("internal_server_error"));
}

#[tokio::test]
async fn a_browser_is_shown_a_page_and_a_program_json() {
    let (store, redirects) = redirects(1_000);
    *store.url.lock() = None;
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
