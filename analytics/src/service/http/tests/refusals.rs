use std::future::{pending, ready};

use actix_web::{dev::Payload, error::PayloadError, http::Method};
use futures::StreamExt;
use tokio::time::{Duration, Instant};

use super::*;
use crate::{
    service::admission::{QUERIES_MAX, QUERY_TIMEOUT},
    wire::{BODY_BYTES_MAX, ErrorAnswer, ErrorCode, TOTALS_LINKS_MAX},
};

const QUERY: &str = "/v1/query";
const TOTALS: &str = "/v1/totals";
const FIRST: &str = "/v1/first-click";

/// Seen to fail for its row when: an unknown field was skipped (of a question, of its group), the limit was not looked at, the type
/// of the body was not.
#[actix_web::test]
async fn bad_input_is_told_what_is_wrong() {
    let served = Served::new().await;
    let with = |field: &str, value: Value| {
        let mut query = query(json!("count"));
        query[field] = value;
        query.to_string()
    };
    let grouped = |group: Value| query(group).to_string();
    let span = |start: i64, end: i64| json!({ "start": start, "end": end });
    let posts = [
        (QUERY, String::new(), 400, "empty"),
        (QUERY, "{".to_owned(), 400, "not valid JSON"),
        (QUERY, "[]".to_owned(), 400, "body is an array"),
        (QUERY, "{}".to_owned(), 400, "links"),
        (QUERY, with("links", json!("some")), 400, "some"),
        (QUERY, with("links", json!({ "one": -1 })), 400, "-1"),
        (QUERY, with("links", json!({ "two": 1 })), 400, "two"),
        (QUERY, with("bots", json!("maybe")), 400, "maybe"),
        (QUERY, with("bot", json!("only")), 400, "unknown field `bot`"),
        (QUERY, with("span_ms", json!(7)), 400, "struct Range"),
        (QUERY, with("span_ms", json!({ "start": 0 })), 400, "end"),
        (QUERY, with("span_ms", span(1, 0)), 400, "ends before it starts"),
        (QUERY, with("span_ms", span(0, i64::MAX)), 400, "longer than 36600 days"),
        (QUERY, grouped(json!("sum")), 400, "sum"),
        (QUERY, grouped(json!({ "series": span(0, 1) })), 400, "expected a sequence"),
        (QUERY, grouped(json!({ "series": [span(0, 1_800_000), span(900_000, 2_700_000)] })), 400, "overlap"),
        (QUERY, grouped(json!({ "series": vec![span(0, 1); 1_001] })), 400, "more than 1000 spans"),
        (QUERY, grouped(json!({ "values": { "dimension": "planet", "limit": 1 } })), 400, "planet"),
        (QUERY, grouped(json!({ "values": { "dimension": "os", "limit": -1 } })), 400, "-1"),
        (QUERY, grouped(json!({ "values": { "dimension": "os", "limit": 10_001 } })), 400, "10000 values"),
        (
            QUERY,
            grouped(json!({ "values": { "dimension": "os", "limit": 1, "skip": 1 } })),
            400,
            "unknown field `skip`",
        ),
        (QUERY, " ".repeat(BODY_BYTES_MAX + 1), 413, "131072 bytes"),
        (TOTALS, json!({ "links": [1.5] }).to_string(), 400, "1.5"),
        (TOTALS, json!({ "links": [1], "bots": 1 }).to_string(), 400, "unknown field `bots`"),
        (TOTALS, json!({ "links": vec![1; TOTALS_LINKS_MAX + 1] }).to_string(), 400, "more than 1000 links"),
        (FIRST, json!({ "link": 1 }).to_string(), 400, "unknown field `link`"),
        ("/v2/query", "{}".to_owned(), 404, "nothing"),
        ("/", "{}".to_owned(), 404, "nothing"),
    ];
    for (path, body, status, word) in posts {
        let request = TestRequest::post().uri(path).insert_header(("content-type", "application/json"));
        let answer = served.send(request.set_payload(body.clone())).await;
        assert_eq!(answer.status, status, "{path} {body:.100}: {}", answer.message());
        assert!(answer.message().contains(word), "{path} {body:.100}: {}", answer.message());
        serde_json::from_value::<ErrorAnswer>(answer.body).unwrap();
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request = TestRequest::post().uri(QUERY).insert_header(("content-type", content_type));
        let answer = served.send(request.set_payload(query(json!("count")).to_string())).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (415, "bad_request"), "{content_type}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::from_bytes(b"X").unwrap()] {
        let answer = served.send(TestRequest::with_uri(QUERY).method(method)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
        assert_eq!(answer.header("allow"), Some("POST"));
    }
}

/// As many as there may be of the longest there are.
///
/// Seen to fail when bodies had less room.
#[actix_web::test]
async fn the_largest_questions_fit() {
    let served = Served::new().await;
    let far_ms = 4_444_445 * 900_000_i64;
    let spans = (0..1_000).map(|n| json!({ "start": far_ms + n * 900_000, "end": far_ms + (n + 1) * 900_000 }));
    let mut series = query(json!({ "series": spans.collect::<Vec<_>>() }));
    series["span_ms"] = json!({ "start": far_ms, "end": far_ms + 900_000_000 });
    let answer = served.post(QUERY, series).await;
    assert_eq!(answer.body["series"].as_array().map(Vec::len), Some(1_000), "{}", answer.message());
    let totals = served.post(TOTALS, json!({ "links": vec![u64::MAX >> 1; TOTALS_LINKS_MAX] })).await;
    assert_eq!(totals.body["totals"].as_array().map(Vec::len), Some(TOTALS_LINKS_MAX), "{}", totals.message());
}

/// Seen to fail without the deadline: it then waited for ever; and with one that was too long.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let served = Served::over(Always(|| ready(QueryError::Invalid("this is not reached".to_owned()))));
    let head = TestRequest::post().uri(QUERY).insert_header(("content-type", "application/json"));
    let start = futures::stream::iter([Ok::<_, PayloadError>(web::Bytes::from_static(b"{"))]);
    let payload = Payload::Stream { payload: start.chain(futures::stream::pending()).boxed_local() };
    let (request, _) = head.to_request().replace_payload(payload);
    let started = Instant::now();
    let answer = send(&served.api, request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (408, "bad_request"));
    assert!(started.elapsed() < Duration::from_secs(10), "less than a step of stopping takes");
}

/// Seen to fail when only the length that is announced was looked at: this one announces none.
#[actix_web::test]
async fn a_body_that_goes_on_is_cut_off() {
    let served = Served::new().await;
    let head = TestRequest::post().uri(QUERY).insert_header(("content-type", "application/json"));
    let spaces = (0..=BODY_BYTES_MAX).map(|_| Ok::<_, PayloadError>(web::Bytes::from_static(b" ")));
    let payload = Payload::Stream { payload: futures::stream::iter(spaces).boxed_local() };
    let (request, _) = head.to_request().replace_payload(payload);
    let answer = send(&served.api, request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "too_large"));
}

/// Seen to fail when one path was left out, and when a prefix of the secret was enough.
#[actix_web::test]
async fn nobody_asks_without_the_secret() {
    let served = Served::new().await.with_secret();
    let with = |secret: &str| format!("Bearer {secret}");
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(with("")),
        Some(with(&SECRET[1..])),
        Some(with(&SECRET[..SECRET.len() - 1])),
        Some(with(&format!("{SECRET}x"))),
        Some(SECRET.to_owned()),
        Some(format!("Basic {SECRET}")),
    ];
    for (path, method, _) in super::super::routes() {
        for given in &wrong {
            let mut request = TestRequest::with_uri(path).method(method.clone()).set_json(query(json!("count")));
            if let Some(given) = given {
                request = request.insert_header(("authorization", given.as_str()));
            }
            let answer = served.send(request).await;
            if path == "/v1/openapi.json" {
                assert_eq!(answer.status, 200);
                continue;
            }
            assert_eq!((answer.status.as_u16(), answer.code()), (401, "unauthorized"), "{method} {path} {given:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.body.to_string().contains(SECRET));
        }
    }
    for right in [with(SECRET), format!("bearer  {SECRET}")] {
        let request = TestRequest::post().uri(QUERY).set_json(query(json!("count")));
        assert_eq!(served.send(request.insert_header(("authorization", right))).await.status, 200);
    }
}

/// Seen to fail when a proxy on this machine was believed to be this machine.
#[actix_web::test]
async fn without_a_secret_only_this_machine_is_answered() {
    let served = Served::new().await;
    for (name, value, status) in [
        ("host", "localhost:8082", 200),
        ("host", "analytics.example", 401),
        ("x-forwarded-for", "192.0.2.1", 401),
        ("forwarded", "for=192.0.2.1", 401),
    ] {
        let request = TestRequest::post().uri(FIRST).set_json(json!({ "links": "all" })).insert_header((name, value));
        assert_eq!(served.send(request).await.status, status, "{name}: {value}");
    }
}

/// Seen to fail when `Retry-After` was left out, and when the store's own words were answered.
#[actix_web::test]
async fn a_store_that_is_away_is_503() {
    let away = Served::over(Always(|| ready(QueryError::Unavailable("root:hunter2@db".into()))));
    let admission = Arc::new(Admission::new(Handle::current()));
    let not_open = Served { api: Api { admission, secret: None }, _directory: None };
    for served in [away, not_open] {
        for (path, body) in
            [(QUERY, query(json!("count"))), (TOTALS, json!({ "links": [1] })), (FIRST, json!({ "links": "all" }))]
        {
            let answer = served.post(path, body).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"), "{path}");
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(!answer.body.to_string().contains("hunter2"));
        }
    }
}

/// Seen to fail without the deadline: it then waited for ever.
#[tokio::test(start_paused = true)]
async fn a_question_that_takes_too_long_is_given_up() {
    let served = Served::over(Always(pending));
    let started = Instant::now();
    let answer = served.post(QUERY, query(json!("count"))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"));
    assert!(started.elapsed() < QUERY_TIMEOUT * 2);
}

/// Seen to fail when the limit was not looked at, and when a question that was given up kept its place.
#[tokio::test(start_paused = true)]
async fn one_question_too_many_is_refused_and_those_given_up_make_room() {
    let served = Served::over(Always(pending));
    let asking = |_| async {
        let engine_asks = |queries: Arc<dyn Queries>| async move { queries.totals(&[]).await };
        served.api.admission.ask(engine_asks).await
    };
    for _ in 0..2 {
        let mut all = futures::future::join_all((0..QUERIES_MAX).map(asking));
        assert!(futures::poll!(&mut all).is_pending());
        let answer = served.post(QUERY, query(json!("count"))).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        drop(all);
        // Aborted tasks end when they are polled next.
        tokio::task::yield_now().await;
    }
}

/// Seen to fail when a code was written in another way than it is counted.
#[test]
fn codes_are_counted_as_they_are_written() {
    for code in [
        ErrorCode::BadRequest,
        ErrorCode::Unauthorized,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::TooLarge,
        ErrorCode::Overloaded,
        ErrorCode::Unavailable,
    ] {
        assert_eq!(json!(code), code.as_str());
    }
}
