//! When and where a question is asked again, and when not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use traces::testing::Trace;

use super::*;
use crate::client::budget::TOKENS_MAX;

/// Records what is counted on this thread for as long as the guard lives.
fn recorded() -> (PrometheusHandle, ::metrics::LocalRecorderGuard<'static>) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // A few kilobytes for each test that records.
    (handle, ::metrics::set_default_local_recorder(Box::leak(Box::new(recorder))))
}

fn assert_counted(recorded: &PrometheusHandle, lines: &[&str]) {
    let rendered = recorded.render();
    for line in lines {
        assert!(rendered.lines().any(|rendered| rendered == *line), "{line} in\n{rendered}");
    }
}

/// Whatever is the matter with one of two, the other one is found, and asked first from then on.
///
/// Seen to fail when the next attempt went to the same URL, when answers had no limit, and when nobody else was asked while one was slow.
#[tokio::test]
async fn a_service_in_trouble_is_left_for_another() {
    let huge = format!("{{\"count\":{{\"clicks\":1,\"visitors\":1}}{}}}", " ".repeat(ANSWER_BYTES_MAX));
    for (name, reply) in [
        ("hangs", Reply::Hang),
        ("is cut off", Reply::CutOff),
        ("500", Reply::text(500, "oops")),
        ("502", Reply::text(502, "<html>")),
        ("301", Reply::text(301, "")),
        ("404 of something else", Reply::text(404, "<html>no such page</html>")),
        ("garbage", Reply::text(200, "<html>welcome</html>")),
        ("empty", Reply::text(200, "")),
        ("another JSON", Reply::text(200, "{\"count\":7}")),
        ("too large", Reply::text(200, huge)),
        ("its store is away", error(503, ErrorCode::Unavailable).retry_after("30")),
        ("a code that is not known", Reply::text(503, r#"{"error":{"code":"tired","message":"zzz"}}"#)),
    ] {
        let bad = Server::start(move |_, _| reply.clone()).await;
        let good = Server::start(|_, _| counted()).await;
        let options = ClientOptions { hedge_after: SHORT, ..options(vec![bad.url(), good.url()]) };
        let client = HttpQueries::new(options).unwrap();
        // Which one is first is chosen at random.
        client.caller.prefer(0);
        for _ in 0..3 {
            assert_eq!(count(&client).await.unwrap(), COUNTED, "{name}");
        }
        assert_eq!(bad.requests().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_dead_service_is_left_for_another() {
    let good = Server::start(|_, _| counted()).await;
    let client = client(vec![dead_url(), good.url()]);
    client.caller.prefer(0);
    assert_eq!(count(&client).await.unwrap(), COUNTED);
}

/// Whoever follows takes the secret along.
///
/// Seen to fail when redirects were followed.
#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Server::start(|_, _| counted()).await;
    let location = elsewhere.url().to_string();
    let server = Server::start(move |_, _| Reply::text(307, "").with("Location", &location)).await;
    let said = count(&client(vec![server.url()])).await.unwrap_err().to_string();
    assert!(said.contains("307"), "{said}");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// Seen to fail when attempts went on for as long as the question lasts.
#[tokio::test]
async fn attempts_have_an_end_and_the_error_names_the_url() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| error(503, ErrorCode::Unavailable)).await;
    let said = count(&client(vec![server.url()])).await.unwrap_err().to_string();
    assert!(said.contains(&server.url().to_string()) && said.contains("503") && said.contains("it is so"), "{said}");
    assert_eq!(server.requests().len(), ATTEMPTS_MAX);
    assert_counted(
        &recorded,
        &[
            "septet_analytics_client_attempts_total{outcome=\"busy\"} 3",
            "septet_analytics_client_retries_total 2",
            "septet_analytics_client_questions_given_up_total{reason=\"attempts\"} 1",
            "septet_analytics_client_retry_tokens 14",
            &format!("septet_analytics_client_retry_tokens_max {TOKENS_MAX}"),
        ],
    );
}

/// Seen to fail when the budget was not asked, and when answers put nothing back.
#[tokio::test]
async fn without_a_budget_a_question_is_asked_once() {
    let (recorded, _guard) = recorded();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let server = Server::start(move |_, _| match is_well.load(Ordering::Relaxed) {
        true => counted(),
        false => Reply::text(500, ""),
    })
    .await;
    let client = client(vec![server.url()]);
    client.caller.use_up_budget();
    for _ in 0..20 {
        count(&client).await.unwrap_err();
    }
    assert_eq!(server.requests().len(), 20);
    assert_counted(&recorded, &["septet_analytics_client_questions_given_up_total{reason=\"budget\"} 20"]);

    well.store(true, Ordering::Relaxed);
    for _ in 0..TOKENS_MAX {
        count(&client).await.unwrap();
    }
    well.store(false, Ordering::Relaxed);
    let before = server.requests().len();
    count(&client).await.unwrap_err();
    assert_eq!(server.requests().len() - before, ATTEMPTS_MAX, "the budget is full again");
}

/// Seen to fail when a failure without a retry left the URL the first one.
#[tokio::test]
async fn the_next_question_goes_to_another_url() {
    let bad = Server::start(|_, _| Reply::text(500, "")).await;
    let good = Server::start(|_, _| counted()).await;
    let client = client(vec![bad.url(), good.url()]);
    client.caller.use_up_budget();
    client.caller.prefer(0);
    count(&client).await.unwrap_err();
    assert_eq!(count(&client).await.unwrap(), COUNTED);
    assert_eq!((bad.requests().len(), good.requests().len()), (1, 1));
}

/// Seen to fail when asking another one beside one that is slow took nothing from the budget.
#[tokio::test]
async fn where_all_are_slow_not_every_question_is_asked_twice() {
    let (recorded, _guard) = recorded();
    let late = Reply::Late(SHORT / 10, serde_json::to_string(&Answer::Count(COUNTED)).unwrap());
    let (first, second) = (late.clone(), late);
    let servers = [Server::start(move |_, _| first.clone()).await, Server::start(move |_, _| second.clone()).await];
    let urls = servers.iter().map(Server::url).collect();
    let client = HttpQueries::new(ClientOptions { hedge_after: SHORT / 100, ..options(urls) }).unwrap();
    for _ in 0..40 {
        count(&client).await.unwrap();
    }
    let hedges = servers.iter().map(|server| server.requests().len()).sum::<usize>() - 40;
    assert!((10..=30).contains(&hedges), "{hedges}");
    assert_counted(&recorded, &[&format!("septet_analytics_client_hedges_total {hedges}")]);
}

/// Who is alone is given the time that it asks for.
///
/// Seen to fail when Retry-After was not read.
#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    let server = Server::start(|n, _| match n {
        0 => error(503, ErrorCode::Overloaded).retry_after("1"),
        _ => counted(),
    })
    .await;
    let started = Instant::now();
    count(&client(vec![server.url()])).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Seen to fail when it was asked again at once.
#[tokio::test]
async fn a_question_does_not_outlast_its_limit() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| error(503, ErrorCode::Overloaded).retry_after("30")).await;
    let started = Instant::now();
    count(&client(vec![server.url()])).await.unwrap_err();
    assert!(started.elapsed() < PATIENCE / 2);
    assert_eq!(server.requests().len(), 1);
    assert_counted(&recorded, &["septet_analytics_client_questions_given_up_total{reason=\"time\"} 1"]);
}

/// Seen to fail without the deadline: it then waited for ever.
#[tokio::test]
async fn a_hanging_service_costs_a_question_its_limit_at_most() {
    let (recorded, _guard) = recorded();
    let server = Server::start(|_, _| Reply::Hang).await;
    let limits = ClientOptions { call_timeout: SHORT, ..options(vec![server.url()]) };
    let started = Instant::now();
    let said = count(&HttpQueries::new(limits).unwrap()).await.unwrap_err().to_string();
    assert!((SHORT..PATIENCE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(said.contains("did not answer") && said.contains(&server.url().to_string()), "{said}");
    assert_counted(&recorded, &["septet_analytics_client_attempts_total{outcome=\"timed_out\"} 1"]);
}

/// Seen to fail when what the deadline cut off had not failed.
#[tokio::test]
async fn attempts_that_failed_show_as_such_in_traces() {
    let (recorded, _guard) = recorded();
    let slow = [Server::start(|_, _| Reply::Hang).await, Server::start(|_, _| Reply::Hang).await];
    let urls = slow.iter().map(Server::url).collect();
    let limits = ClientOptions { call_timeout: SHORT, hedge_after: SHORT / 10, ..options(urls) };
    let (trace, client) = (Trace::begin(), HttpQueries::new(limits).unwrap());
    trace.span().around(count(&client)).await.unwrap_err();
    assert_eq!(trace.failures("ask the analytics service"), [true, true]);
    assert_counted(
        &recorded,
        &[
            "septet_analytics_client_attempts_total{outcome=\"timed_out\"} 2",
            "septet_analytics_client_questions_given_up_total{reason=\"time\"} 1",
        ],
    );

    let good = Server::start(|_, _| counted()).await;
    let limits = ClientOptions { hedge_after: SHORT / 10, ..options(vec![slow[0].url(), good.url()]) };
    let (trace, client) = (Trace::begin(), HttpQueries::new(limits).unwrap());
    client.caller.prefer(0);
    trace.span().around(count(&client)).await.unwrap();
    assert_eq!(trace.failures("ask the analytics service"), [false, false], "one was not waited for");
}

/// Seen to fail when a connection was not let go of.
#[tokio::test]
async fn connections_are_bounded_and_questions_wait_for_them() {
    let server = Server::start(|_, _| counted()).await;
    let client = client(vec![server.url()]);
    let questions = futures::future::join_all((0..CONNECTIONS_MAX * 3).map(|_| count(&client)));
    for answer in questions.await {
        assert_eq!(answer.unwrap(), COUNTED);
    }
}

/// A service has given up by itself before its asker does, and a second one has been asked by then.
#[test]
fn the_usual_limits_agree() {
    let service = crate::service::admission::QUERY_TIMEOUT;
    assert!(HEDGE_AFTER < service && service < CALL_TIMEOUT);
}

/// Seen to fail when the path prefix was replaced.
#[tokio::test]
async fn a_path_prefix_stays() {
    let server = Server::start(|_, _| counted()).await;
    let prefixed = ServiceUrl::parse(&format!("{}clicks/eu", server.url())).unwrap();
    count(&client(vec![prefixed])).await.unwrap();
    assert_eq!(server.requests()[0].target, "/clicks/eu/v1/query");
}
