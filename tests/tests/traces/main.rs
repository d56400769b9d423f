//! Traces as a collector gets them, and what becomes of a `septet` whose collector does not take any.

use std::time::{Duration, Instant};

use reqwest::Method;
use septet_tests::{
    analytics_service::{self, Topic},
    client::send,
    engines::kafka,
    mode::Mode,
    septet::{API_KEY, DOMAIN, Setup},
    token_service, wait,
};
use serde_json::json;
use tempfile::TempDir;

mod collector;

use collector::{Collector, Seen};

/// A span that nobody else has.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// How long a click may take to be counted, on a machine that is busy.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

/// How long it may take until a collector is not waited for any more.
const DROPPED_WITHIN: Duration = Duration::from_secs(20);

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// A `septet` that traces everything.
fn traced(collector: &Collector) -> (TempDir, Setup) {
    let dir = tempfile::tempdir().unwrap();
    let setup =
        Setup::in_mode(Mode::Embedded, dir.path()).flag("--otlp-endpoint", collector.url()).flag("--traces-ratio", "1");
    (dir, setup)
}

fn is_redirect(span: &Seen, cache: &str) -> bool {
    span.name == "GET /{key}" && span.text("septet.cache") == Some(cache)
}

/// Seen to fail when the read of the store, in a task of its own, did not take the current span along.
#[tokio::test(flavor = "multi_thread")]
async fn a_creation_and_a_redirect_show_their_parts() {
    let collector = Collector::start();
    let (_dir, setup) = traced(&collector);
    let septet = setup.start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    for _ in 0..2 {
        assert_eq!(client.open(&link.key).await.status, 302);
    }

    let creation = collector.span("the creation", |span| span.name == "POST /api/links").await;
    assert_eq!(creation.service, "septet");
    assert_eq!((creation.parent.as_str(), creation.number("http.response.status_code")), ("", Some(200)));
    assert_eq!(creation.text("http.route"), Some("/api/links"));
    for part in ["validate", "take a code", "write the link"] {
        collector.span(part, |span| span.name == part && span.is_in(&creation)).await;
    }
    let missed = collector.span("a redirect that is not cached", |span| is_redirect(span, "miss")).await;
    assert_eq!((missed.parent.as_str(), missed.number("http.response.status_code")), ("", Some(302)));
    collector.span("the look-up", |span| span.name == "look up the link" && span.is_in(&missed)).await;
    let hit = collector.span("one that is", |span| is_redirect(span, "hit")).await;
    assert_ne!(hit.trace, missed.trace);
    assert!(!collector.spans().iter().any(|span| span.is_in(&hit)), "nobody is asked for what is cached");
    collector.span("the counting", |span| span.name == "count clicks").await;
    septet.stop();
    assert!(collector.paths().iter().all(|path| path == "/v1/traces"), "{:?}", collector.paths());
}

/// Seen to fail when it was followed by redirects, when it was followed without an API key, and when the API did not follow it.
#[tokio::test(flavor = "multi_thread")]
async fn a_traceparent_is_followed_on_the_api_and_by_nothing_else() {
    let collector = Collector::start();
    let (_dir, setup) = traced(&collector);
    // Of what nobody else decides about, nothing is traced.
    let septet = setup.flag("--traces-ratio", "0").start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    let with = |request: reqwest::RequestBuilder, flags| send(request.header("traceparent", traceparent(flags)));
    for _ in 0..2 {
        assert_eq!(with(client.plain(Method::GET, &format!("/{}", link.key)), "01").await.status, 302);
    }
    with(client.plain(Method::GET, "/api/links/count"), "01").await.error(401, "unauthorized");
    with(client.api(Method::GET, "/links/count"), "00").await.ok();
    with(client.api(Method::GET, "/links/info").query(&[("linkId", &link.id)]), "01").await.link();
    // The last spans are sent before it ends.
    septet.stop();

    let spans = collector.spans();
    let servers: Vec<_> = spans.iter().filter(|span| span.text("http.route").is_some()).collect();
    assert_eq!(servers.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["GET /api/links/info"], "{spans:?}");
    assert_eq!((servers[0].trace.as_str(), servers[0].parent.as_str()), (TRACE, SPAN));
}

/// Seen to fail when the path of a redirect was an attribute, and when an error was told with what it is about.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_anybody_sent_is_in_a_trace() {
    let collector = Collector::start();
    let (_dir, setup) = traced(&collector);
    let septet = setup.flag("--trusted-proxies", "127.0.0.0/8").start();
    let client = septet.client();
    let made = json!({
        "url": "https://secret.example/secret-path", "key": "secret-alias", "externalId": "secret-external", "title": "secret title",
    });
    let link = client.create(&made).await.link();
    client.create(&made).await.error(409, "conflict");
    let code = client.link_to("https://secret.example/another").await;
    for key in [link.key.as_str(), &code.key, "secret-absence"] {
        for _ in 0..2 {
            let request = client.plain(Method::GET, &format!("/{key}?secret-query"));
            let request =
                request.header("User-Agent", "secret-agent").header("Referer", "https://secret-referer.example/");
            send(request.header("X-Forwarded-For", "203.0.113.9")).await;
        }
    }
    client.by_id(&link.id).await.link();
    client.get("/links/info", &[("externalId", "secret-external")]).await.link();
    client.get("/analytics", &[("groupBy", "count"), ("linkId", &code.id)]).await.ok();
    send(client.plain(Method::from_bytes(b"SECRET").unwrap(), "/secret-method")).await;
    client.delete(&code.id).await.ok();
    septet.stop();

    assert!(collector.spans().len() > 20, "{:?}", collector.spans());
    let id = link.id.trim_start_matches("link_");
    for private in ["secret", &code.key, id, "203.0.113.9", "127.0.0.1", API_KEY, DOMAIN] {
        assert!(!collector.has_seen(private), "{private} is in a trace");
    }
}

/// Seen to fail when redirects waited for a call to the collector, when the last spans were waited for without a limit, and when spans that were not taken
/// were not counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_up_nobody() {
    let collector = Collector::silent();
    let (_dir, setup) = traced(&collector);
    let septet = setup.flag("--stop-timeout-ms", "2000").allow_log("spans are dropped").start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    // However slow the machine: while one call is held, twenty redirects are answered. Who waited for the collector would be answered after it.
    wait::until("redirects are answered while the collector holds a call", DROPPED_WITHIN, async || {
        let held = collector.holds();
        for _ in 0..20 {
            assert_eq!(client.open(&link.key).await.status, 302);
        }
        (held.is_some() && collector.holds() == held).then_some(())
    })
    .await;
    wait::until("spans are dropped", DROPPED_WITHIN, async || {
        (septet.metric("septet_spans_dropped_total").await > 0.0).then_some(())
    })
    .await;
    let stopping = Instant::now();
    septet.stop();
    assert!(stopping.elapsed() < Duration::from_secs(4), "the stop took {:?}", stopping.elapsed());
}

/// Seen to fail when the client did not tell the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_in_the_token_service() {
    let collector = Collector::start();
    let directory = tempfile::tempdir().unwrap();
    let launch = token_service::launch("sqlite:", directory.path());
    assert!(launch.run_to_end("migrate").status.success());
    // It traces what its callers do, and nothing else.
    let tokens = launch.flag("--otlp-endpoint", collector.url()).flag("--traces-ratio", "0").start();
    let (_dir, setup) = traced(&collector);
    let setup = setup.flag("--leases", token_service::urls(&[tokens.listen]));
    let septet = setup.env("SEPTET_TOKEN_SERVICE_SECRET", token_service::SECRET).start();
    septet.client().link_to("https://example.com/").await;

    let leasing = collector.span("a lease is asked for", |span| span.name == "lease blocks").await;
    let call = collector.span("by a call", |span| span.name == "call the token service" && span.is_in(&leasing)).await;
    assert_eq!(call.number("http.response.status_code"), Some(200));
    let answer = collector.span("which is answered", |span| span.name == "POST /v1/leases" && span.is_in(&call)).await;
    assert_eq!(answer.service, "septet-token-service");
    collector.span("from the database", |span| span.name == "ask the database" && span.is_in(&answer)).await;
    septet.stop();
    tokens.stop();
}

/// Seen to fail when a call that its deadline cut off had not failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_service_that_is_silent_shows_as_failed() {
    let collector = Collector::start();
    let directory = tempfile::tempdir().unwrap();
    token_service::migrate("sqlite:", directory.path());
    // A lease is renewed long before it would expire.
    let tokens = token_service::launch("sqlite:", directory.path()).flag("--lease-ttl-ms", "3000").start();
    let (_dir, setup) = traced(&collector);
    let setup = setup.flag("--leases", token_service::urls(&[tokens.listen]));
    let setup = setup.env("SEPTET_TOKEN_SERVICE_SECRET", token_service::SECRET);
    let septet = setup.allow_log("a call to the lease store failed").start();
    septet.client().link_to("https://example.com/").await;
    let call = |span: &Seen| span.name == "call the token service";
    collector.span("a call that is answered", |span| call(span) && !span.failed).await;
    tokens.freeze();
    let late = collector.span("one that is not", |span| call(span) && span.failed).await;
    assert_eq!(late.number("http.response.status_code"), None);
    collector.span("for which it was", |span| late.is_in(span) && span.failed).await;
    tokens.thaw();
    septet.stop();
    tokens.stop();
}

/// Seen to fail when records did not carry what they were sent in, and when the client did not tell the service.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka: run by tests/run"]
async fn a_click_is_seen_on_its_way_to_the_rollups() {
    let collector = Collector::start();
    let (topic, directory) = (Topic::new(kafka::shared()), tempfile::tempdir().unwrap());
    let launch = analytics_service::launch(&topic, directory.path()).flag("--otlp-endpoint", collector.url());
    analytics_service::migrate(&launch);
    let analytics = launch.flag("--traces-ratio", "0").start();
    let (_dir, setup) = traced(&collector);
    let setup = setup.flag("--clicks", topic.url()).flag("--analytics", format!("http://{}", analytics.listen));
    let setup = setup.flag("--replication-factor", "1").flag("--changes-topic", format!("changes-{}", topic.name));
    let setup = setup.env("SEPTET_ANALYTICS_SECRET", analytics_service::SECRET);
    let migrated = setup.run_to_end("migrate");
    assert!(migrated.status.success(), "{}", migrated.stderr_text());
    let septet = setup.start();
    let client = septet.client();
    let link = client.link_to("https://secret.example/secret-path").await;
    assert_eq!(client.open(&link.key).await.status, 302);
    wait::until("the click is counted", COUNTED_WITHIN, async || {
        (client.clicks(Some(&link.id)).await == 1).then_some(())
    })
    .await;

    let forwarding = collector.span("the click is forwarded", |span| span.name == "forward clicks").await;
    assert_eq!((forwarding.service.as_str(), forwarding.parent.as_str()), ("septet", ""));
    assert_eq!(forwarding.number("messaging.batch.message_count"), Some(1));
    assert!(forwarding.number("septet.oldest_click_age_ms").is_some_and(|age_ms| age_ms >= 0));
    for part in ["produce", "acknowledge"] {
        collector.span(part, |span| span.name == part && span.is_in(&forwarding)).await;
    }
    let counting = collector.span("and counted", |span| span.name == "count clicks" && span.is_in(&forwarding)).await;
    assert_eq!(counting.service, "septet-analytics");
    for part in ["load rows", "fold", "commit"] {
        collector.span(part, |span| span.name == part && span.is_in(&counting)).await;
    }
    let question = collector.span("a question", |span| span.name == "GET /api/analytics").await;
    let call = |span: &Seen| span.name == "ask the analytics service" && span.is_in(&question);
    let call = collector.span("is asked of the service", call).await;
    let answer = collector.span("which answers", |span| span.name.starts_with("POST /v1/") && span.is_in(&call)).await;
    collector.span("from the rollups", |span| span.name == "read the rollups" && span.is_in(&answer)).await;
    septet.stop();
    analytics.stop();
    assert!(!collector.has_seen("secret") && !collector.has_seen(&link.key));
}
