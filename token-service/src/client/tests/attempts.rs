//! When a call is attempted again, where, and when not.

use std::time::Instant;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use traces::testing::Trace;

use super::{server::url_of, *};
use crate::client::budget::TOKENS_MAX;

/// A call is not repeated at a URL before it was tried at the others.
const URLS: usize = 2;

fn recorded() -> (PrometheusHandle, metrics_of::Guard) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (handle, metrics_of::record(recorder))
}

mod metrics_of {
    use metrics_exporter_prometheus::PrometheusRecorder;

    /// Records for as long as it lives.
    pub struct Guard {
        _guard: ::metrics::LocalRecorderGuard<'static>,
    }

    pub fn record(recorder: PrometheusRecorder) -> Guard {
        // A few kilobytes for each test that records.
        Guard { _guard: ::metrics::set_default_local_recorder(Box::leak(Box::new(recorder))) }
    }
}

fn assert_counted(recorded: &PrometheusHandle, lines: &[&str]) {
    let rendered = recorded.render();
    for line in lines {
        assert!(rendered.lines().any(|rendered| rendered == *line), "{line} in\n{rendered}");
    }
}

/// Whatever is the matter with one of two, the other one is found, and asked first from then on.
///
/// Seen to fail when the next attempt went to the same URL, when answers had no limit, and when an attempt had none.
#[tokio::test]
async fn a_service_in_trouble_is_left_for_another() {
    let answer = LeaseAnswer { lease: lease(), id_space: IdSpaceAnswer::with_key(&id_space(1)) };
    let huge = format!("{}{}", serde_json::to_string(&answer).unwrap(), " ".repeat(ANSWER_BYTES_MAX));
    for (name, reply) in [
        ("hangs", Reply::Hang),
        ("is cut off", Reply::CutOff),
        ("500", Reply::text(500, "oops")),
        ("502", Reply::text(502, "<html>")),
        ("301", Reply::text(301, "")),
        ("404 of something else", Reply::text(404, "<html>no such page</html>")),
        ("garbage", Reply::text(200, "<html>welcome</html>")),
        ("empty", Reply::text(200, "")),
        ("another JSON", Reply::text(200, "{\"lease\":7}")),
        ("too large", Reply::text(200, huge)),
        ("its database is away", error(503, ErrorCode::Unavailable)),
        ("a code that is not known", Reply::text(503, r#"{"error":{"code":"tired","message":"zzz"}}"#)),
    ] {
        let bad = Server::start(move |_, _| reply.clone()).await;
        let good = Server::start(|_, _| leased()).await;
        let options = ClientOptions { attempt_timeout: SHORT, ..options(vec![bad.url(), good.url()]) };
        let client = HttpLeases::new(options).unwrap();
        // Which one is first is chosen at random.
        client.caller.prefer(0);
        for _ in 0..3 {
            assert_eq!(client.lease(&request()).await.unwrap(), lease(), "{name}");
        }
        assert_eq!(bad.requests().len(), 1, "{name}");
    }
}

/// Whoever follows takes the secret along.
///
/// Seen to fail when redirects were followed.
#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Server::start(|_, _| leased()).await;
    let location = elsewhere.url().to_string();
    let server = Server::start(move |_, _| Reply::text(307, "").with("Location", &location)).await;
    let said = client(vec![server.url()]).lease(&request()).await.unwrap_err().to_string();
    assert!(said.contains("307"), "{said}");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// Seen to fail when what the limit cut off had not failed.
#[tokio::test]
async fn attempts_that_failed_show_as_such_in_traces() {
    for (name, reply) in [("hangs", Reply::Hang), ("is cut off", Reply::CutOff), ("500", Reply::text(500, "oops"))] {
        let trace = Trace::begin();
        let bad = Server::start(move |_, _| reply.clone()).await;
        let good = Server::start(|_, _| leased()).await;
        let options = ClientOptions { attempt_timeout: SHORT, ..options(vec![bad.url(), good.url()]) };
        let client = HttpLeases::new(options).unwrap();
        client.caller.prefer(0);
        trace.span().around(client.lease(&request())).await.unwrap();
        assert_eq!(trace.failures("call the token service"), [true, false], "{name}");
    }
}

#[tokio::test]
async fn a_dead_service_is_left_for_another() {
    let good = Server::start(|_, _| leased()).await;
    let client = client(vec![dead_url(), good.url()]);
    client.caller.prefer(0);
    assert_eq!(client.lease(&request()).await.unwrap(), lease());
}

#[tokio::test]
async fn every_attempt_repeats_the_same_request() {
    let server = Server::start(|n, _| if n < 3 { Reply::text(500, "") } else { leased() }).await;
    let request = request();
    client(vec![server.url()]).lease(&request).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen.len(), ATTEMPTS_MAX);
    for seen in &seen {
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/leases"));
        assert_eq!(seen.json()["request_id"], request.request_id.to_string());
        assert_eq!(seen.body, server.requests()[0].body);
    }
}

/// Seen to fail when attempts went on for as long as the call lasts.
#[tokio::test]
async fn attempts_have_an_end_and_the_error_names_the_url() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| error(503, ErrorCode::Unavailable)).await;
    let said = client(vec![server.url()]).lease(&request()).await.unwrap_err().to_string();
    assert!(said.contains(&server.url().to_string()) && said.contains("503") && said.contains("it is so"), "{said}");
    assert_eq!(server.requests().len(), ATTEMPTS_MAX);
    assert_counted(
        &recorded,
        &[
            "septet_lease_client_attempts_total{outcome=\"busy\"} 4",
            "septet_lease_client_retries_total 3",
            "septet_lease_client_calls_given_up_total{reason=\"attempts\"} 1",
            "septet_lease_client_retry_tokens 6",
        ],
    );
}

/// Seen to fail when the budget was not asked, and when answers put nothing back.
#[tokio::test]
async fn without_a_budget_a_call_is_attempted_once() {
    let (recorded, _guard) = recorded();
    let well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_well = std::sync::Arc::clone(&well);
    let server =
        Server::start(
            move |_, _| {
                if is_well.load(std::sync::atomic::Ordering::Relaxed) { leased() } else { Reply::text(500, "") }
            },
        )
        .await;
    let client = client(vec![server.url()]);
    client.lease(&request()).await.unwrap_err();
    let first_call = server.requests().len();
    for _ in 0..20 {
        client.lease(&request()).await.unwrap_err();
    }
    assert_eq!((first_call, server.requests().len()), (ATTEMPTS_MAX, ATTEMPTS_MAX + 20));
    assert_counted(
        &recorded,
        &[
            "septet_lease_client_calls_given_up_total{reason=\"budget\"} 20",
            "septet_lease_client_retry_tokens 0",
            &format!("septet_lease_client_retry_tokens_max {TOKENS_MAX}"),
        ],
    );

    well.store(true, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..TOKENS_MAX {
        client.lease(&request()).await.unwrap();
    }
    well.store(false, std::sync::atomic::Ordering::Relaxed);
    let before = server.requests().len();
    client.lease(&request()).await.unwrap_err();
    assert_eq!(server.requests().len() - before, ATTEMPTS_MAX, "the budget is full again");
}

/// Without retries, too, the next call goes elsewhere.
///
/// Seen to fail when a failure without a retry left the URL the first one.
#[tokio::test]
async fn the_next_call_goes_to_another_url() {
    let bad = Server::start(|_, _| Reply::text(500, "")).await;
    let good = Server::start(|_, _| leased()).await;
    let client = client(vec![bad.url(), good.url()]);
    client.caller.use_up_budget();
    client.caller.prefer(0);
    client.lease(&request()).await.unwrap_err();
    assert_eq!(client.lease(&request()).await.unwrap(), lease());
    assert_eq!(bad.requests().len() + good.requests().len(), URLS);
}

/// Seen to fail when Retry-After was not read.
#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    for busy in [error(503, ErrorCode::Overloaded), Reply::text(429, "slow down"), Reply::text(503, "")] {
        let busy = busy.retry_after("1");
        let server = Server::start(move |n, _| if n == 0 { busy.clone() } else { leased() }).await;
        let client = client(vec![server.url()]);
        let started = Instant::now();
        client.lease(&request()).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

/// Seen to fail when it attempted again at once.
#[tokio::test]
async fn a_call_does_not_outlast_its_limit() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| error(503, ErrorCode::Overloaded).retry_after("30")).await;
    let started = Instant::now();
    let outcome = client(vec![server.url()]).lease(&request()).await;
    assert!(matches!(outcome, Err(LeaseError::Overloaded)), "{outcome:?}");
    assert!(started.elapsed() < PATIENCE / 2);
    assert_eq!(server.requests().len(), 1);
    assert_counted(&recorded, &["septet_lease_client_calls_given_up_total{reason=\"time\"} 1"]);
}

/// Seen to fail when each attempt had all of its time, however little the call had left.
#[tokio::test]
async fn a_hanging_service_costs_a_call_its_limit_at_most() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| Reply::Hang).await;
    let limits = ClientOptions { attempt_timeout: PATIENCE, call_timeout: SHORT, ..options(vec![server.url()]) };
    let started = Instant::now();
    let said = HttpLeases::new(limits).unwrap().id_space().await.unwrap_err().to_string();
    assert!((SHORT..PATIENCE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(said.contains("did not answer") && said.contains(&server.url().to_string()), "{said}");
    assert_counted(&recorded, &["septet_lease_client_attempts_total{outcome=\"timed_out\"} 1"]);
}

/// A date is left aside, and so is nonsense.
#[tokio::test]
async fn only_seconds_are_waited() {
    for when in ["Fri, 31 Dec 2100 23:59:59 GMT", "-1", "soon"] {
        let server = Server::start(
            move |n, _| {
                if n == 0 { error(503, ErrorCode::Overloaded).retry_after(when) } else { leased() }
            },
        )
        .await;
        client(vec![server.url()]).lease(&request()).await.unwrap();
    }
}

/// More calls than connections take their turns.
///
/// Seen to fail when a connection was not let go of.
#[tokio::test]
async fn connections_are_bounded_and_calls_wait_for_them() {
    let server = Server::start(|_, _| leased()).await;
    let client = std::sync::Arc::new(client(vec![server.url()]));
    let calls: Vec<_> = (0..CONNECTIONS_MAX * 3)
        .map(|_| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move { client.lease(&request()).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), lease());
    }
}

/// The whole call fits into what the options allow, in the worst case.
#[test]
fn the_usual_limits_agree() {
    let pauses: u32 = (0..ATTEMPTS_MAX as u32 - 1).map(|n| 2u32.pow(n)).sum();
    assert!(ATTEMPT_TIMEOUT * ATTEMPTS_MAX as u32 + PAUSE_MIN * pauses < CALL_TIMEOUT);
}

/// Seen to fail when the path prefix was replaced.
#[tokio::test]
async fn a_path_prefix_stays() {
    let server = Server::start(|_, _| leased()).await;
    let prefixed = ServiceUrl::parse(&format!("{}tokens/eu", url_of(server.address))).unwrap();
    client(vec![prefixed]).lease(&request()).await.unwrap();
    assert_eq!(server.requests()[0].target, "/tokens/eu/v1/leases");
}
