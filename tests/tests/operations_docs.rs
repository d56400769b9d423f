//! What is written for those who run it is true: every metric that an alert, a dashboard, a runbook or a page names is there, with these labels,
//! and every one that is there is documented; every alert has its page and its test; every flag and variable exists; the sums of
//! `docs/capacity.md` are those of its program.
//!
//! What metrics there are, the source says, by its string literals: many are shown only once they were first counted. That `docs/metrics.md` has the
//! right type, labels and moment of each, the running binaries say, as far as they have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use reqwest::Method;
use septet_tests::{
    analytics_service::{self, Topic},
    binary,
    client::{Client, send},
    engines::{cassandra, kafka, unique_name},
    mode::{ADVICE_OF_CASSANDRA, Mode},
    process::{self, Running},
    septet::{API_KEY, Setup},
    token_service, wait,
};
use serde_json::Value;
use tokio::time::sleep;

const PREFIX: &str = "septet_";
/// How often a process is asked for what it is to show, and how long to wait in between: five seconds in all.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// Labels that a scrape adds, and those of histograms.
const LABELS_OF_SCRAPES: [&str; 4] = ["job", "instance", "namespace", "le"];
/// The suffixes of what a histogram shows.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Lines with one of these are commands of others, whose flags are theirs.
const OTHER_PROGRAMS: [&str; 6] = ["kafka-", "kubectl", "docs/capacity", "nodetool", "cqlsh", "mysql -h"];

/// A metric as `docs/metrics.md` has it.
struct Documented {
    kind: String,
    is_late: bool,
    labels: String,
    who: String,
}

/// A name of a metric in a text.
#[derive(Debug)]
struct Mention {
    name: String,
    /// The rest may be missing: a pattern of `grep`, or `septet_cql_*`.
    is_prefix: bool,
    /// What follows in braces.
    selector: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder that end in `.{extension}`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

/// Pages, runbooks, alerts and dashboards, by their names.
fn texts() -> Vec<(String, String)> {
    let in_docs = files(&root().join("docs"), "md").into_iter().chain(files(&root().join("deploy/dashboards"), "json"));
    let others =
        ["README.md", "ARCHITECTURE.md", "deploy/alerts/septet.rules.yaml", "deploy/alerts/septet.rules.test.yaml"];
    in_docs
        .chain(others.map(|path| root().join(path)))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a text")))
        .collect()
}

fn documented() -> BTreeMap<String, Documented> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `septet_"));
    let metrics = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, _unit, who, ..] = cells[..] else { panic!("too few columns: {row}") };
        let (kind, is_late) = kind.strip_suffix(", late").map_or((kind, false), |kind| (kind, true));
        let name = format!("{PREFIX}{}", name.trim_end_matches('`'));
        (name, Documented { kind: kind.into(), is_late, labels: labels.into(), who: who.into() })
    });
    let found: Vec<_> = metrics.collect();
    let count = found.len();
    let found = BTreeMap::from_iter(found);
    assert_eq!(found.len(), count, "a metric is documented twice");
    found
}

/// Every metric that the source names.
fn in_source() -> BTreeSet<String> {
    let sources = ["shortener/src", "token-service/src", "analytics/src", "traces/src"].into_iter();
    let texts = sources
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .map(|path| fs::read_to_string(path).expect("a source"));
    let named = texts.flat_map(|text| {
        let literals = text.split('"').filter(|literal| literal.starts_with(PREFIX)).map(str::to_owned);
        literals.filter(|literal| literal.bytes().all(is_of_name)).collect::<Vec<_>>()
    });
    // What an API key begins with is no metric.
    named.filter(|name| name != PREFIX).collect()
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// Every name of a metric in a text. `septet_(a|b)_total` are two.
fn mentions(text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(PREFIX) {
        let before = text[..at].bytes().next_back().unwrap_or(b' ');
        if is_of_name(before) || before == b'/' || before == b'-' {
            continue;
        }
        let (name, rest) = name_at(&text[at..]);
        let alternatives = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let is_pattern = before == b'^';
        match alternatives {
            Some((alternatives, rest)) => {
                let (end, _) = name_at(rest);
                let names = alternatives.split('|').map(|part| format!("{name}{part}{end}"));
                found.extend(names.map(|name| Mention { name, is_prefix: is_pattern, selector: String::new() }));
            }
            None => {
                let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let selector = selector.map(|(selector, _)| selector.replace('\\', "")).unwrap_or_default();
                let is_prefix = is_pattern || name.ends_with('_');
                found.push(Mention { name: name.to_owned(), is_prefix, selector });
            }
        }
    }
    found
}

/// What of a text is a name, and the rest.
fn name_at(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_of_name(byte)).unwrap_or(text.len()))
}

/// What is documented under a name, or under the one of its histogram.
fn find<'a>(documented: &'a BTreeMap<String, Documented>, name: &str) -> Option<&'a Documented> {
    let of_histogram = OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix));
    let histogram = of_histogram.and_then(|base| documented.get(base)).filter(|found| found.kind == "histogram");
    histogram.or_else(|| documented.get(name).filter(|found| found.kind != "histogram"))
}

/// The labels that a selector names, each with its value if that is not a pattern.
fn selected(selector: &str) -> Vec<(String, Option<String>)> {
    let matchers = selector.split(',').filter(|matcher| !matcher.trim().is_empty());
    let parts = matchers.filter_map(|matcher| matcher.split_once('=').map(|(label, value)| (label.trim(), value)));
    parts
        .map(|(label, value)| {
            let is_exact = value.starts_with('"') && !label.ends_with('!');
            let value = is_exact.then(|| value.trim_matches('"').to_owned());
            (label.trim_end_matches('!').to_owned(), value)
        })
        .collect()
}

/// Seen to fail when a metric was added to a binary and not to the page, and when one was left there that is gone.
#[test]
fn every_metric_of_the_source_is_documented_and_no_other() {
    let documented: BTreeSet<_> = documented().into_keys().collect();
    let source = in_source();
    assert!(source.len() > 100, "the source was not read: {source:?}");
    let missing: Vec<_> = source.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&source).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in docs/metrics.md: {missing:?}; in no binary: {gone:?}");
}

/// Seen to fail when an alert, a dashboard, a runbook and the README each named one that is not there, and when a label was misspelt.
#[test]
fn every_metric_that_is_named_exists() {
    let documented = documented();
    let mut wrong = Vec::new();
    let mut named = 0;
    for (path, text) in texts() {
        for mention in mentions(&text) {
            named += 1;
            let Mention { name, is_prefix, selector } = &mention;
            let exists = find(&documented, name).is_some()
                // In words, a histogram goes by its name.
                || path.ends_with(".md") && documented.contains_key(name)
                || *is_prefix && documented.keys().any(|metric| metric.starts_with(name.as_str()));
            if !exists {
                wrong.push(format!("{path}: {name}"));
            }
            let Some(metric) = find(&documented, name) else { continue };
            for (label, value) in selected(selector) {
                let is_known =
                    LABELS_OF_SCRAPES.contains(&label.as_str()) || metric.labels.contains(&format!("`{label}`"));
                let names_values = metric.labels.contains(&format!("`{label}`: "));
                let is_value = LABELS_OF_SCRAPES.contains(&label.as_str())
                    || value.is_none_or(|value| !names_values || metric.labels.contains(&value));
                if !is_known || !is_value {
                    wrong.push(format!("{path}: {name}{{{selector}}}: {label}"));
                }
            }
        }
    }
    assert!(named > 500, "the texts were not read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

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

/// The alerts' names, in their order.
fn alerts() -> Vec<String> {
    let rules = read("deploy/alerts/septet.rules.yaml");
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

/// Seen to fail when an alert had no page, when a page had no alert, when a test was removed, and when an alert led to another's page.
#[test]
fn every_alert_has_a_page_and_a_test() {
    let (alerts, rules, tests) =
        (alerts(), read("deploy/alerts/septet.rules.yaml"), read("deploy/alerts/septet.rules.test.yaml"));
    let names: BTreeSet<_> = alerts.iter().cloned().collect();
    assert!(alerts.len() > 30 && names.len() == alerts.len(), "{alerts:?}");
    let pages = files(&root().join("docs/runbooks"), "md").into_iter();
    let pages: BTreeSet<_> =
        pages.map(|page| page.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names, pages);
    let led_to =
        rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: docs/runbooks/")?.strip_suffix(".md"));
    assert_eq!(led_to.collect::<Vec<_>>(), alerts);
    for alert in &alerts {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "no test fires {alert}");
        assert!(read(&format!("docs/runbooks/{alert}.md")).starts_with(&format!("# {alert}\n")), "{alert}");
    }
    let severities = rules.lines().filter(|line| ["severity: critical", "severity: warning"].contains(&line.trim()));
    assert_eq!(severities.count(), alerts.len(), "each alert has a severity");
    // Pages name each other.
    for (path, text) in texts() {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let strangers: Vec<_> =
            words.filter(|word| word.starts_with("Septet") && word.len() > 7 && *word != "Septets").collect();
        let strangers: Vec<_> = strangers.into_iter().filter(|word| !names.contains(*word)).collect();
        assert!(strangers.is_empty(), "{path} names alerts that are not there: {strangers:?}");
    }
}

/// What the three binaries say of themselves, with their subcommands.
fn help() -> String {
    let of = |binary: &Path, subcommands: &[&str]| -> String {
        let run = |args: &[&str]| process::run(binary, args).stdout.join("\n");
        subcommands.iter().map(|subcommand| run(&[subcommand, "--help"])).collect::<Vec<_>>().join("\n")
            + &run(&["--help"])
    };
    of(binary::septet(), &["serve", "migrate", "copy", "health", "probe"])
        + &of(binary::token_service(), &["serve", "migrate", "account", "adopt"])
        + &of(binary::analytics(), &["serve", "migrate"])
}

/// Seen to fail when a page named a flag and a variable that are not there.
#[test]
fn every_flag_and_variable_of_the_pages_exists() {
    let help = help();
    let words = |text: &str, is_of: fn(char) -> bool| -> BTreeSet<String> {
        text.split(|c| !is_of(c)).map(|word| word.trim_end_matches(['-', '_']).to_owned()).collect()
    };
    let is_of_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_of_variable = |c: char| c.is_ascii_uppercase() || c == '_';
    let (flags, variables) = (words(&help, is_of_flag), words(&help, is_of_variable));
    let mut wrong = Vec::new();
    for page in files(&root().join("docs"), "md") {
        let text = fs::read_to_string(&page).expect("a page");
        for line in text.lines().filter(|line| !OTHER_PROGRAMS.iter().any(|program| line.contains(program))) {
            let named = words(line, is_of_flag).into_iter().filter(|word| word.starts_with("--") && word.len() > 2);
            let unknown = named.filter(|flag| !flags.contains(flag));
            let variables_named = words(line, is_of_variable).into_iter().filter(|word| word.starts_with("SEPTET_"));
            wrong.extend(
                unknown
                    .chain(variables_named.filter(|name| !variables.contains(name)))
                    .map(|what| (page.clone(), what)),
            );
        }
    }
    assert!(flags.len() > 40 && variables.contains("SEPTET_DATA_DIR"), "the help was not read");
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Every panel says what it shows and in which unit, and asks the data source that the viewer chose.
///
/// Seen to fail when a panel had no unit, and when it named a data source by its uid.
#[test]
fn dashboards_are_whole() {
    for name in ["on-call", "capacity"] {
        let dashboard: Value = serde_json::from_str(&read(&format!("deploy/dashboards/{name}.json"))).expect(name);
        let panels = dashboard["panels"].as_array().expect("panels");
        assert!(panels.len() > 10, "{name}");
        let mut ids = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{name}, {title}: its id is another's");
            if panel["type"] == "row" {
                continue;
            }
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 20),
                "{name}, {title}: no description"
            );
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(unit.as_str().is_some_and(|unit| !unit.is_empty()), "{name}, {title}: no unit");
            for target in panel["targets"].as_array().expect("targets") {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}, {title}");
                assert!(target["expr"].as_str().is_some_and(|expr| !expr.is_empty()), "{name}, {title}");
            }
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}, {title}");
        }
        // Those of variables as well.
        let text = read(&format!("deploy/dashboards/{name}.json"));
        let uids = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("\"uid\": "))
            .map(|uid| uid.trim_matches([',', '"']));
        let strangers: Vec<_> = uids.filter(|uid| !["${datasource}", "-- Grafana --"].contains(uid)).collect();
        assert!(strangers.is_empty(), "{name}: {strangers:?}");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"));
    }
}

/// Seen to fail when a constant of the page, a worked example and a figure of a benchmark were changed, each alone.
#[test]
fn the_sums_of_the_capacity_page_are_those_of_its_program() {
    let checked = Command::new(root().join("docs/capacity")).arg("--check").output();
    let checked = checked.unwrap_or_else(|error| panic!("docs/capacity needs python3: {error}"));
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&said));
}
