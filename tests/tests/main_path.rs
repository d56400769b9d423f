//! The main job, driven as a person drives it: create, open, ask, stop, start again.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use septet_tests::{
    raw,
    septet::{API_KEY, DOMAIN, Setup, fresh},
    wait,
};
use serde_json::json;

/// A click shows in analytics within this time.
const COUNTED_WITHIN: Duration = Duration::from_secs(2);

/// An idle connection does not hold up a stop: far below the timeout of keep-alive connections and the drain's deadline.
const STOPPED_WITHIN: Duration = Duration::from_secs(8);

/// Seen to fail when a click was not recorded, when it was recorded twice, when HEAD was counted, and when `Location`
/// was encoded or decoded anew, and when a commit left out how far the log was counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_created_opened_counted_and_still_there_after_a_restart() {
    let (dir, septet, client) = fresh();
    let url = "https://example.com/a/path?q=1&umlaut=%C3%A4#part";
    let link = client.link_to(url).await;
    assert_eq!(link.url, url);
    assert_eq!(link.domain, DOMAIN);
    assert_eq!(link.short_link, format!("http://{DOMAIN}/{}", link.key));
    assert_eq!(link.key.len(), 7, "{}", link.key);
    assert!(link.key.chars().any(|c| c.is_ascii_uppercase()), "{}", link.key);
    assert!(link.key.chars().all(|c| c.is_ascii_alphanumeric()), "{}", link.key);

    let opened = client.open(&link.key).await;
    assert_eq!(opened.status, 302);
    assert_eq!(opened.header("location"), Some(url));
    assert_eq!(opened.header("cache-control"), Some("private, no-store"));
    let peeked = client.peek(&link.key).await;
    assert_eq!((peeked.status, peeked.header("location")), (302, Some(url)));
    client.open(&link.key).await;

    // Two GETs count and the HEAD between them does not.
    wait::until("both clicks counted", COUNTED_WITHIN, async || {
        (client.clicks(Some(&link.id)).await >= 2).then_some(())
    })
    .await;
    septet.stop();

    let septet = Setup::new(dir.path()).start();
    let client = septet.client();
    let again = client.by_id(&link.id).await.link();
    assert_eq!(again.clicks, 2);
    assert!(again.last_clicked.is_some());
    assert_eq!((again.key, again.url), (link.key.clone(), link.url));
    assert_eq!(client.clicks(None).await, 2);
    assert_eq!(client.open(&link.key).await.header("location"), Some(url));
    // Counting goes on where it ended.
    wait::until("the next click counted", COUNTED_WITHIN, async || {
        (client.clicks(Some(&link.id)).await == 3).then_some(())
    })
    .await;
    septet.stop();
}

/// Seen to fail when the stop did not wait for the counting, and when the counting ended before its commit.
#[tokio::test(flavor = "multi_thread")]
async fn the_stop_counts_what_was_clicked_just_before() {
    let (dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/").await;
    client.open(&link.key).await;
    septet.stop();

    let septet = Setup::new(dir.path()).start();
    assert_eq!(septet.client().clicks(Some(&link.id)).await, 1);
    assert_eq!(septet.metric("septet_clicks_folded_total").await, 0.0, "nothing was left to this process");
    septet.stop();
}

/// Seen to fail when connections were not told of the stop.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_in_order_though_a_connection_idles() {
    let (_dir, septet, client) = fresh();
    let link = client.link_to("https://example.com/").await;
    let mut idle = raw::connect(septet.listen).unwrap();
    idle.write_all(format!("GET /{} HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n", link.key).as_bytes()).unwrap();
    assert_eq!(raw::answer(&mut idle, false).unwrap().status, 302);

    let asked = Instant::now();
    septet.stop();
    let took = asked.elapsed();
    assert!(took < STOPPED_WITHIN, "{took:?}");
    assert_eq!(idle.read(&mut [0; 16]).unwrap_or(0), 0, "the idle connection is closed");
}

/// Seen to fail when the stop dropped what was under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_before_the_stop_is_answered() {
    let (dir, septet, _) = fresh();
    let body = r#"{"url":"https://example.com/"}"#;
    let mut stream = raw::connect(septet.listen).unwrap();
    let head = format!(
        "POST /api/links HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {API_KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Now it waits for the body.
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&asked));

    septet.terminate();
    wait::until("no new connection taken", STOPPED_WITHIN, async || {
        TcpStream::connect(septet.listen).is_err().then_some(())
    })
    .await;
    stream.write_all(body.as_bytes()).unwrap();
    let answer = raw::answer(&mut stream, false).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert!(septet.wait().status.success());

    let septet = Setup::new(dir.path()).start();
    assert_eq!(septet.client().count().await, 1);
    septet.stop();
}

/// Seen to fail when the directory was not locked.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_is_refused() {
    let (dir, septet, client) = fresh();
    let second = Setup::new(dir.path()).run_to_end("serve");
    assert!(!second.status.success());
    let said = second.stderr_text();
    let directory = dir.path().display().to_string();
    assert!(said.contains(&format!("--data-dir {directory} is in use")), "it names the directory: {said}");
    assert!(!said.contains("panicked"), "{said}");
    client.link_to("https://example.com/").await;
    septet.stop();
}

#[test]
fn a_bad_setting_stops_the_start_with_a_sentence_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [
        ("--listen", "nonsense"),
        ("--listen", "127.0.0.1:99999"),
        ("--ops-listen", "nonsense"),
        ("--public-url", "ftp://go.example"),
        ("--public-url", "go.example"),
        ("--api-key", "too-short"),
        ("--data-dir", "/dev/null/nowhere"),
        ("--links", "mongodb://127.0.0.1/links"),
        ("--leases", "gopher://127.0.0.1"),
        ("--clicks", "carrier-pigeon:"),
        ("--analytics", "mongodb://127.0.0.1"),
        ("--trusted-proxies", "nonsense"),
    ];
    for (flag, value) in bad {
        let ended = Setup::new(dir.path()).flag(flag, value).run_to_end("serve");
        let said = ended.stderr_text();
        assert!(!ended.status.success(), "{flag} {value}");
        assert!(said.contains(flag), "{flag} {value}: {said}");
        assert!(!said.contains("panicked"), "{flag} {value}: {said}");
    }
}

/// Seen to fail when the query string was passed on.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_and_a_crawler_ask_for_besides_links_is_answered() {
    let (_dir, septet, client) = fresh();
    let missing = client.open("no-such-link").await;
    assert_eq!(missing.status, 404);
    assert!(missing.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let json = septet_tests::client::send(
        client.plain(reqwest::Method::GET, "/no-such-link").header("Accept", "application/json"),
    )
    .await;
    json.error(404, "not_found");

    assert_eq!(client.open("robots.txt").await.status, 200);
    assert!(client.open("favicon.ico").await.status < 500);
    assert!(client.open("").await.status < 500);

    // A query string is not passed on.
    let link = client.create(&json!({ "url": "https://example.com/x" })).await.link();
    let opened = client.open(&format!("{}?utm_source=mail", link.key)).await;
    assert_eq!((opened.status, opened.header("location")), (302, Some("https://example.com/x")));
    septet.stop();
}
