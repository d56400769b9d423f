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

/// An application that nothing is to come to.
struct NoApplication;

impl Service<Request> for NoApplication {
    type Response = Response<BoxBody>;
    type Error = actix_web::Error;
    type Future = Ready<Result<Response<BoxBody>, actix_web::Error>>;

    actix_service::always_ready!();

    fn call(&self, request: Request) -> Self::Future {
        panic!("{} came to the application", request.path())
    }
}

/// What of an answer a client sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    closes: bool,
    body: String,
}

/// Asks twice of a new front: before somebody got the link, and so before it is cached, and after.
async fn asked_twice(is_traced: bool, is_stopping: bool, method: Method, path: &str, expired: Expired) -> [Seen; 2] {
    let (store, redirects) = redirects(60_000);
    *store.expired.lock() = expired;
    if is_stopping {
        redirects.readiness.stop();
    }
    let redirects = Rc::new(redirects);
    let ask = async |method: &Method| {
        let request = TestRequest::with_uri(path).method(method.clone()).finish();
        let answered = if is_traced {
            redirects.traced(&request).await
        } else {
            Front::new(Rc::clone(&redirects), NoApplication).call(request).await.unwrap()
        };
        let headers = answered.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let mut headers: Vec<_> = headers.collect();
        headers.sort();
        let closes = answered.head().connection_type() == ConnectionType::Close;
        Seen { status: answered.status().as_u16(), headers, closes, body: text(answered) }
    };
    let before = ask(&method).await;
    ask(&Method::GET).await;
    [before, ask(&method).await]
}

type Expired = Option<Option<&'static str>>;

/// Seen to fail when other methods were redirected, from the store or from the cache, and when the last words were left out, in either way alone.
#[tokio::test]
async fn what_is_traced_is_answered_as_the_rest_is() {
    let (never, leads_elsewhere, leads_nowhere) = (None, Some(Some("https://example.com/expired")), Some(None));
    for path in ["/Abcdefg", "/an-alias", "/not%00a-key"] {
        let is_key = path != "/not%00a-key";
        for (method, expired, status) in [
            (Method::GET, never, 302),
            (Method::HEAD, never, 302),
            (Method::GET, leads_elsewhere, 302),
            (Method::HEAD, leads_nowhere, 410),
            (Method::GET, leads_nowhere, 410),
            (Method::POST, never, 405),
            (Method::OPTIONS, leads_nowhere, 405),
        ] {
            for is_stopping in [false, true] {
                let [plain, traced] = [
                    asked_twice(false, is_stopping, method.clone(), path, expired).await,
                    asked_twice(true, is_stopping, method.clone(), path, expired).await,
                ];
                assert_eq!(plain, traced, "{method} {path} {expired:?}");
                let status = if is_key || status == 405 { status } else { 404 };
                for seen in plain {
                    assert_eq!(
                        (seen.status, seen.closes),
                        (status, is_stopping),
                        "{method} {path} {expired:?}: {seen:?}"
                    );
                }
            }
        }
    }
}
