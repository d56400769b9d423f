use actix_web::{dev::Payload, error::PayloadError, http::Method};
use futures::StreamExt;
use tokio::time::{Duration, Instant};

use super::*;
use crate::{
    LeaseError, LeaseId, Owner,
    service::failing_store::FailingStore,
    wire::{BODY_BYTES_MAX, ErrorCode},
};

const RENEW: &str = "/v1/leases/1/renew";

/// Seen to fail for its row when: an unknown field was skipped (in a call, in its usage, in the query), a parameter could be
/// given twice, the limit was not looked at, the type of the body was not.
#[actix_web::test]
async fn bad_input_is_told_what_is_wrong_and_changes_nothing() {
    let served = Served::new().await;
    let (owner, request_id) = (Uuid::new_v4(), Uuid::new_v4());
    served.post("/v1/leases", lease_call(request_id, owner, 4)).await;
    let before = served.recorded().await;
    let leasing = |field: &str, value: Value| {
        let mut call = lease_call(Uuid::new_v4(), owner, 1);
        call[field] = value;
        call.to_string()
    };
    let usage = |usage: Value| json!({ "owner": owner, "usage": usage }).to_string();
    let usage_with = |field: &str, value: Value| {
        let mut call = usage_call(owner, 1, 0);
        call[field] = value;
        call.to_string()
    };
    let large = format!("{{\"request_id\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let posts = [
        ("/v1/leases", String::new(), 400, "empty"),
        ("/v1/leases", "  \n".to_owned(), 400, "empty"),
        ("/v1/leases", "{".to_owned(), 400, "not valid JSON"),
        ("/v1/leases", "[]".to_owned(), 400, "body is an array"),
        ("/v1/leases", "{}".to_owned(), 400, "request_id"),
        ("/v1/leases", "{\"blocks\":1,\"blocks\":1}".to_owned(), 400, "duplicate field `blocks`"),
        ("/v1/leases", leasing("blocks", json!(0)), 400, "1 to 256"),
        ("/v1/leases", leasing("blocks", json!(257)), 400, "1 to 256"),
        ("/v1/leases", leasing("blocks", json!(-1)), 400, "-1"),
        ("/v1/leases", leasing("blocks", json!(1.5)), 400, "1.5"),
        ("/v1/leases", leasing("blocks", json!("1")), 400, "u32"),
        ("/v1/leases", leasing("blocks", json!(u64::MAX)), 400, "u32"),
        ("/v1/leases", leasing("owner", json!("me")), 400, "UUID"),
        ("/v1/leases", leasing("request_id", json!(7)), 400, "UUID"),
        ("/v1/leases", leasing("fingerprint", json!("7")), 400, "fingerprint"),
        ("/v1/leases", leasing("block", json!(1)), 400, "unknown field `block`"),
        ("/v1/leases", lease_call(request_id, Uuid::new_v4(), 4).to_string(), 400, "another owner"),
        ("/v1/leases", large, 413, "4096 bytes"),
        (RENEW, "{}".to_owned(), 400, "owner"),
        (RENEW, usage(json!({ "used": 1 })), 400, "refused"),
        (RENEW, usage(json!({ "used": 1, "refused": -1 })), 400, "-1"),
        (RENEW, usage(json!({ "used": 1, "refused": 0, "lost": 1 })), 400, "unknown field `lost`"),
        (RENEW, usage(json!({ "used": 5, "refused": 0 })), 400, "5 blocks used"),
        (RENEW, usage(json!({ "used": u32::MAX, "refused": u32::MAX })), 400, "blocks used"),
        (RENEW, usage_with("ttl_ms", json!(1)), 400, "unknown field `ttl_ms`"),
        ("/v1/leases/x/renew", usage_call(owner, 1, 0).to_string(), 400, "lease_id"),
        ("/v1/leases/-1/return", usage_call(owner, 1, 0).to_string(), 400, "lease_id"),
        ("/v1/leases/99999999999999999999/return", usage_call(owner, 1, 0).to_string(), 400, "lease_id"),
        ("/v1/leases/1/return", usage_call(owner, 3, 2).to_string(), 400, "3 blocks used"),
        ("/v1/leases/1/return", usage_call(Uuid::new_v4(), 1, 0).to_string(), 409, "another owner"),
        ("/v1/leases/2/return", usage_call(owner, 1, 0).to_string(), 409, "lease 2"),
        ("/v1/leases/18446744073709551615/renew", usage_call(owner, 1, 0).to_string(), 409, "has ended"),
        ("/v1/leases/1/burn", usage_call(owner, 1, 0).to_string(), 404, "nothing"),
        ("/", "{}".to_owned(), 404, "nothing"),
    ];
    for (path, body, status, word) in posts {
        let request = TestRequest::post().uri(path).insert_header(("content-type", "application/json"));
        let answer = served.send(request.set_payload(body.clone())).await;
        assert_refused(&answer, status, word, &format!("{path} {body:.100}"));
    }
    let stranger = Uuid::new_v4();
    let gets = [
        ("/v1/leases?limit=0".to_owned(), 400, "limit must be 1 to 1000"),
        ("/v1/leases?limit=1001".to_owned(), 400, "limit must be 1 to 1000"),
        ("/v1/leases?limit=".to_owned(), 400, "limit"),
        ("/v1/leases?after=-1".to_owned(), 400, "after"),
        ("/v1/leases?state=lost".to_owned(), 400, "open, returned or expired"),
        ("/v1/leases?owner=me".to_owned(), 400, "owner"),
        (format!("/v1/leases?owner={owner}&owner={stranger}"), 400, "owner is given twice"),
        ("/v1/leases?offset=1".to_owned(), 400, "unknown"),
        ("/v2/leases".to_owned(), 404, "nothing"),
        ("/v1/leases/1".to_owned(), 404, "nothing"),
    ];
    for (path, status, word) in gets {
        assert_refused(&served.get(&path).await, status, word, &path);
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request = TestRequest::post().uri("/v1/leases").insert_header(("content-type", content_type));
        let answer = served.send(request.set_payload(lease_call(Uuid::new_v4(), owner, 1).to_string())).await;
        assert_refused(&answer, 415, "application/json", content_type);
    }
    assert_eq!(served.recorded().await, before);
}

fn assert_refused(answer: &Answer, status: u16, word: &str, of: &str) {
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(answer.status, status, "{of}: {message}");
    assert!(message.contains(word), "{of}: {message}");
    serde_json::from_value::<crate::wire::ErrorAnswer>(answer.body.clone()).unwrap();
}

/// Seen to fail without the deadline: it then waited for ever; and with one that was too long.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let api =
        Api { leases: Arc::new(FailingStore(|| LeaseError::Invalid("this is not reached".to_owned()))), secret: None };
    let head = TestRequest::post().uri("/v1/leases").insert_header(("content-type", "application/json"));
    let start = futures::stream::iter([Ok::<_, PayloadError>(web::Bytes::from_static(b"{"))]);
    let payload = Payload::Stream { payload: start.chain(futures::stream::pending()).boxed_local() };
    let (request, _) = head.to_request().replace_payload(payload);
    let started = Instant::now();
    let answer = send(&api, request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (408, "bad_request"));
    assert!(started.elapsed() < Duration::from_secs(10), "less than a step of stopping takes");
}

/// Seen to fail when only the length that is announced was looked at: this one announces none.
#[actix_web::test]
async fn a_body_that_goes_on_is_cut_off() {
    let served = Served::new().await;
    let head = TestRequest::post().uri("/v1/leases").insert_header(("content-type", "application/json"));
    let spaces = (0..=BODY_BYTES_MAX).map(|_| Ok::<_, PayloadError>(web::Bytes::from_static(b" ")));
    let payload = Payload::Stream { payload: futures::stream::iter(spaces).boxed_local() };
    let (request, _) = head.to_request().replace_payload(payload);
    let answer = send(&served.api, request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "too_large"));
}

/// Seen to fail when one path was left out, and when a prefix of the secret was enough.
#[actix_web::test]
async fn nobody_calls_without_the_secret() {
    let served = Served::with_secret().await;
    let before = served.recorded().await;
    let with = |secret: &str| format!("Bearer {secret}");
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(with("")),
        Some(with(&SECRET[1..])),
        Some(with(&SECRET[..SECRET.len() - 1])),
        Some(with(&format!("{SECRET}x"))),
        Some(with(&SECRET.to_uppercase())),
        Some(SECRET.to_owned()),
        Some(format!("Basic {SECRET}")),
    ];
    for (path, method, _) in super::super::routes() {
        let path = path.replace("{lease_id}", "1");
        for given in &wrong {
            let call = lease_call(Uuid::new_v4(), Uuid::new_v4(), 1);
            let mut request = TestRequest::with_uri(&path).method(method.clone()).set_json(call);
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
    assert_eq!(served.recorded().await, before);
    for right in [with(SECRET), format!("bearer  {SECRET}")] {
        let answer = served.send(TestRequest::get().uri("/v1/account").insert_header(("authorization", right))).await;
        assert_eq!(answer.status, 200);
    }
}

/// Seen to fail when `Allow` was left out.
#[actix_web::test]
async fn another_method_is_told_which_ones_there_are() {
    let served = Served::new().await;
    for (path, allowed) in [("/v1/leases", "POST, GET"), (RENEW, "POST"), ("/v1/account", "GET")] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::from_bytes(b"X").unwrap()] {
            let answer = served.send(TestRequest::with_uri(path).method(method)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
            assert_eq!(answer.header("allow"), Some(allowed));
        }
    }
}

/// Seen to fail when `Retry-After` was left out of a row, and when the database's own words were answered.
#[actix_web::test]
async fn every_failure_has_its_status_and_code() {
    type Row = (fn() -> LeaseError, u16, Option<&'static str>);
    let rows: [Row; 8] = [
        (|| LeaseError::Invalid("so".to_owned()), 400, None),
        (|| LeaseError::Unauthorized, 401, None),
        (|| LeaseError::NotHeld(LeaseId(1)), 409, None),
        (
            || {
                let id_space = crate::IdSpace::new([1; 32]).fingerprint();
                LeaseError::WrongIdSpace { ours: id_space, theirs: id_space }
            },
            409,
            None,
        ),
        (|| LeaseError::TooManyUnused { owner: Owner(Uuid::nil()), unused: 1024, max: 1024 }, 429, Some("10")),
        (|| LeaseError::Exhausted, 503, Some("60")),
        (|| LeaseError::Overloaded, 503, Some("1")),
        (|| LeaseError::Unavailable("root:hunter2@db".into()), 503, Some("1")),
    ];
    for (error, status, retry_after) in rows {
        let served = Served::over(FailingStore(error)).await;
        for answer in [
            served.post("/v1/leases", lease_call(Uuid::new_v4(), Uuid::new_v4(), 1)).await,
            served.post(RENEW, usage_call(Uuid::new_v4(), 1, 0)).await,
            served.post("/v1/leases/1/return", usage_call(Uuid::new_v4(), 1, 0)).await,
            served.get("/v1/leases").await,
            served.get("/v1/account").await,
            served.get("/v1/id-space").await,
        ] {
            assert_eq!((answer.status.as_u16(), answer.code()), (status, error().code().as_str()));
            assert_eq!(answer.header("retry-after"), retry_after, "{}", answer.code());
            assert!(!answer.body.to_string().contains("hunter2"));
        }
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
        ErrorCode::NotHeld,
        ErrorCode::WrongIdSpace,
        ErrorCode::TooLarge,
        ErrorCode::TooManyUnused,
        ErrorCode::Exhausted,
        ErrorCode::Overloaded,
        ErrorCode::Unavailable,
    ] {
        assert_eq!(json!(code), code.as_str());
    }
}
