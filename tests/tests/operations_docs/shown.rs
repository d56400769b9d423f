//! That `docs/metrics.md` has the right type, labels and moment of each metric, the running binaries say, as far as they have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Method;
use septet_tests::{
    analytics_service::{self, Topic},
    client::{Client, send},
    engines::{cassandra, kafka, unique_name},
    mode::{ADVICE_OF_CASSANDRA, Mode},
    process::{self, Running},
    septet::{API_KEY, Setup},
    token_service, wait,
};
use tokio::time::sleep;

use crate::{LABELS_OF_SCRAPES, OF_HISTOGRAMS, documented::documented};

/// How often a process is asked for what it is to show, and how long to wait in between: five seconds in all.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// `# TYPE` of each metric, and the names of labels.
async fn shown(running: &Running) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = send(Client::new(running.ops, API_KEY).plain(Method::GET, "/metrics")).await.text;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut shown: BTreeMap<_, _> =
        types.map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new()))).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels)) = line.split_once('{') else { continue };
        let base =
            OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|base| shown.contains_key(*base));
        let (_, known) = shown.get_mut(base.unwrap_or(name)).unwrap_or_else(|| panic!("{name} has no type"));
        // A route may hold braces and no comma.
        let labels = labels.rsplit_once('}').expect("labels end").0;
        known.extend(labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
    }
    shown
}

/// Whether all that a process shows is documented, as it is.
fn check(who: &str, shown: &BTreeMap<String, (String, BTreeSet<String>)>) {
    let documented = documented();
    for (name, (kind, labels)) in shown {
        let metric = documented.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(metric.kind, *kind, "{name}");
        let by = metric.who.split([',', ';']).map(str::trim).collect::<Vec<_>>();
        assert!(by.contains(&who), "{name} is shown by {who}, and documented for {by:?}");
        for label in labels.iter().filter(|label| !LABELS_OF_SCRAPES.contains(&label.as_str())) {
            assert!(metric.labels.contains(&format!("`{label}`")), "{name} has a label {label}");
        }
    }
}

/// Waits until all is there that is said to be from the beginning: what starts beside the rest takes a moment.
async fn check_beginning(running: &Running, is_shown_here: impl Fn(&str) -> bool) {
    let documented = documented();
    let expected = documented.iter().filter(|(_, metric)| !metric.is_late && is_shown_here(&metric.who));
    let expected: Vec<_> = expected.map(|(name, _)| name).collect();
    assert!(expected.len() > 5, "{expected:?}");
    let mut missing = expected.clone();
    for _ in 0..ATTEMPTS {
        let shown = shown(running).await;
        missing = expected.iter().filter(|name| !shown.contains_key(**name)).copied().collect();
        if missing.is_empty() {
            return;
        }
        sleep(PAUSE).await;
    }
    panic!("not there at the beginning: {missing:?}");
}

/// Seen to fail when a type, a label and `late` were wrong on the page.
#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_septet_shows_what_is_documented() {
    let directory = tempfile::tempdir().unwrap();
    let septet = Setup::in_mode(Mode::Embedded, directory.path()).start();
    let from_the_beginning = |who: &str| who == "S" || who.ends_with(", S") || who == "S, SQLite";
    check_beginning(&septet, from_the_beginning).await;
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    client.open(&link.key).await;
    client.clicks(None).await;
    check("S", &shown(&septet).await);
    septet.stop();
}

/// What a shortener has for Kafka and for services it has whether these are there or not.
///
/// Seen to fail when the page put a metric of its down to the analytics service.
#[tokio::test(flavor = "multi_thread")]
async fn a_septet_without_its_services_shows_what_is_documented() {
    let directory = tempfile::tempdir().unwrap();
    let septet = Setup::in_mode(Mode::Embedded, directory.path())
        .flag("--clicks", "kafka://127.0.0.1:1/clicks")
        .flag("--analytics", "http://127.0.0.1:1")
        .allow_log("")
        .start();
    check_beginning(&septet, |who| who == "S, `--analytics http://`").await;
    check("S", &shown(&septet).await);
}

/// Seen to fail when `septet_token_blocks` was documented as a counter.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_service_shows_what_is_documented() {
    let directory = tempfile::tempdir().unwrap();
    token_service::migrate("sqlite:", directory.path());
    let service = token_service::launch("sqlite:", directory.path()).start();
    check_beginning(&service, |who| who.starts_with('T')).await;
    check("T", &shown(&service).await);
    service.stop();
}

/// With the engines, and traces that nobody collects, most of the rest is there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka, Cassandra and MariaDB: run by tests/run"]
async fn a_cluster_shows_what_is_documented() {
    let (directory, topic) = (tempfile::tempdir().unwrap(), Topic::new(kafka::shared()));
    let keyspace = format!("scylla://{}/{}", cassandra::shared(), unique_name("rollups"));
    let counting = analytics_service::launch(&topic, directory.path())
        .flag("--rollups", keyspace)
        .flag("--rollups-timeout-ms", "10000")
        .allow_log("");
    analytics_service::migrate(&counting);
    let counting = counting.start();
    let shortening = Setup::in_mode(Mode::Cluster, directory.path())
        .flag("--clicks", topic.url())
        .flag("--changes-topic", unique_name("changes"))
        .flag("--replication-factor", "1")
        .flag("--analytics", format!("http://{}", counting.listen))
        .env("SEPTET_ANALYTICS_SECRET", analytics_service::SECRET)
        .flag("--otlp-endpoint", "http://127.0.0.1:1")
        .allow_log(ADVICE_OF_CASSANDRA)
        .allow_log("");
    let migrated = shortening.clone().launch().run_to_end_within("migrate", 4 * process::START_LIMIT);
    assert!(migrated.status.success(), "{}", migrated.stderr_text());
    let septet = shortening.start();
    let client = septet.client();
    let link = client.link_to("https://example.com/").await;
    client.open(&link.key).await;
    wait::until("the click", process::START_LIMIT, async || (client.clicks(None).await == 1).then_some(())).await;
    check_beginning(&septet, |who| who.starts_with("S, ") && who != "S, SQLite").await;
    check_beginning(&counting, |who| who.starts_with('A')).await;
    check("S", &shown(&septet).await);
    check("A", &shown(&counting).await);
}
