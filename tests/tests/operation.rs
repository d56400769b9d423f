//! Running it: probes, metrics, settings, the API key of the first start.

use std::{collections::HashSet, fs, time::Duration};

use reqwest::Method;
use septet_tests::{
    client::{Client, send},
    raw,
    septet::{API_KEY, DOMAIN, Setup, fresh, run},
    wait,
};

/// A key of 24 characters, the shortest there may be.
const SHORT_KEY: &str = "exactly-24-characters-ok";

/// How long it serves on, unready: time enough to look twice.
const DRAIN_WAIT_MS: &str = "2000";

/// Seen to fail when a metric was labelled with a destination.
#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_are_on_the_ops_port_alone() {
    let (_dir, septet, client) = fresh();
    let ops = Client::new(septet.ops, API_KEY);
    let get = async |path: &str| send(ops.plain(Method::GET, path)).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(path).await.status, 200, "{path}");
    }
    assert_eq!(get("/no-such").await.status, 404);
    for path in ["livez", "readyz", "metrics"] {
        assert_eq!(client.open(path).await.status, 404, "{path} is a key like any other on the public port");
    }

    let link = client.link_to("https://example.com/secret-path").await;
    client.open(&link.key).await;
    let metrics = get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let names = metric_names(&metrics.text);
    assert!(names.iter().all(|name| name.starts_with("septet_")), "{names:?}");
    assert!(names.len() >= 10, "{names:?}");
    for private in [link.key.as_str(), link.id.as_str(), "secret-path", API_KEY] {
        assert!(!metrics.text.contains(private), "{private} is in the metrics");
    }
    septet.stop();
}

/// The names in a Prometheus text, each line of which is checked: `# HELP`, `# TYPE`, or `name{labels} value`.
fn metric_names(text: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(comment.starts_with("HELP ") || comment.starts_with("TYPE "), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        assert!(labels.ends_with('}'), "{line}");
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{line}");
        names.insert(name.to_owned());
    }
    names
}

/// Where others count the clicks, all of those may be away; and who stops then says that clicks are left with it.
///
/// Seen to fail when a question that nobody answers was an internal error, and when nothing was said of the clicks.
#[tokio::test(flavor = "multi_thread")]
async fn everything_but_analytics_goes_on_without_those_who_count() {
    let dir = tempfile::tempdir().unwrap();
    let septet = Setup::new(dir.path())
        .flag("--clicks", "kafka://127.0.0.1:1/clicks")
        .flag("--analytics", "http://127.0.0.1:1")
        .allow_log("Kafka is away")
        .allow_log("clicks cannot be forwarded at the moment")
        .allow_log("links are answered without their clicks")
        .allow_log("a question about clicks could not be answered")
        .allow_log("clicks that Kafka did not get are left in the data directory")
        .start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    assert_eq!(client.open(&link.key).await.status, 302);
    let answer = client.get("/links/info", &[("linkId", link.id.as_str())]).await.ok();
    assert_eq!(answer["clicks"], 0);
    let answer = client.get("/analytics", &[("event", "clicks"), ("groupBy", "count")]).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer:?}");
    septet.terminate();
    let ended = septet.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr_text().contains("clicks that Kafka did not get are left"), "{}", ended.stderr_text());
}

/// Seen to fail when readiness stayed on during the stop.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_before_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let septet = Setup::new(dir.path()).flag("--drain-wait-ms", DRAIN_WAIT_MS).start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    septet.terminate();
    wait::until("unready", Duration::from_secs(5), async || {
        let request = b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
        let answer = raw::exchange(septet.ops, request).expect("it is unready before it is gone");
        (answer.status == 503).then_some(())
    })
    .await;
    // A load balancer that has not noticed yet is served.
    assert_eq!(client.open(&link.key).await.status, 302);
    assert!(septet.wait().status.success());
}

#[test]
fn help_and_version_are_answered() {
    for args in [["--version"], ["-V"]] {
        let ended = run(&args);
        assert!(ended.status.success());
        assert!(ended.stdout[0].starts_with("septet "), "{:?}", ended.stdout);
    }
    for args in [&["--help"][..], &["serve", "--help"]] {
        let ended = run(args);
        assert!(ended.status.success());
        let help = ended.stdout.join("\n");
        for flag in
            ["--listen", "--ops-listen", "--public-url", "--data-dir", "--links", "--leases", "--clicks", "--api-key"]
        {
            assert!(help.contains(flag), "{flag} in {args:?}");
        }
    }
    let unknown = run(&["--no-such-flag"]);
    assert!(!unknown.status.success());
    assert!(unknown.stderr_text().contains("--no-such-flag"));
}

/// Seen to fail when the key that is set was not put on record.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_variable_is_as_good_as_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(dir.path());
    for flag in ["--listen", "--ops-listen", "--public-url", "--data-dir", "--api-key"] {
        setup = setup.without(flag);
    }
    let septet = setup
        .env("SEPTET_LISTEN", "127.0.0.1:0")
        .env("SEPTET_OPS_LISTEN", "127.0.0.1:0")
        .env("SEPTET_PUBLIC_URL", format!("https://{DOMAIN}"))
        .env("SEPTET_DATA_DIR", dir.path())
        .env("SEPTET_API_KEY", SHORT_KEY)
        .start();
    let client = Client::new(septet.listen, SHORT_KEY);
    let link = client.link_to("https://example.com/").await;
    assert_eq!(link.short_link, format!("https://{DOMAIN}/{}", link.key));
    septet.client().by_id(&link.id).await.error(401, "unauthorized");
    septet.stop();
}

#[test]
fn a_bad_environment_variable_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Setup::new(dir.path()).without("--listen").env("SEPTET_LISTEN", "nonsense").run_to_end("serve");
    assert!(!ended.status.success());
    let said = ended.stderr_text();
    assert!(said.contains("--listen") || said.contains("SEPTET_LISTEN"), "{said}");
}

/// Seen to fail when the line's end was a part of the key.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_key_can_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    fs::write(&file, format!("{SHORT_KEY}\n")).unwrap();
    let septet = Setup::new(dir.path()).without("--api-key").env("SEPTET_API_KEY_FILE", &file).start();
    Client::new(septet.listen, SHORT_KEY).link_to("https://example.com/").await;
    septet.stop();

    let missing = dir.path().join("no-such-file");
    let ended = Setup::new(dir.path()).without("--api-key").env("SEPTET_API_KEY_FILE", &missing).run_to_end("serve");
    assert!(!ended.status.success());
    assert!(ended.stderr_text().contains("no-such-file"), "{}", ended.stderr_text());
}

/// Seen to fail when the second start showed it too, when none did, and when it was kept in a file.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_an_api_key_and_shows_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path()).without("--api-key");
    let septet = setup.start();
    let printed = septet.stdout();
    let candidates =
        || printed.iter().flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))));
    let mut found = None;
    for candidate in candidates().filter(|word| word.len() >= 24) {
        let answer = Client::new(septet.listen, candidate).get("/links/count", &[]).await;
        if answer.status == 200 {
            found = Some(candidate.to_owned());
        }
    }
    let key = found.unwrap_or_else(|| panic!("no usable API key was printed: {printed:#?}"));
    septet.stop();

    let stored = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for file in stored {
        let content = fs::read(&file).unwrap();
        assert!(!content.windows(key.len()).any(|part| part == key.as_bytes()), "the key stands in {}", file.display());
    }

    let septet = setup.start();
    assert!(!septet.stdout().concat().contains(&key), "the key is shown once");
    assert_eq!(Client::new(septet.listen, &key).count().await, 0);
    septet.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_prepares_and_may_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::new(dir.path());
    for _ in 0..2 {
        let ended = setup.run_to_end("migrate");
        assert!(ended.status.success(), "{}", ended.stderr_text());
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_some(), "the databases are there");
    let septet = setup.start();
    septet.client().link_to("https://example.com/").await;
    septet.stop();
}
