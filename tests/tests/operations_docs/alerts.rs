//! Every alert has its page and its test.

use std::collections::BTreeSet;

use crate::{files, read, root, texts};

/// What a runbook with commands has: where it is said how they are to be had of a pod, which has no shell.
const ASKING_A_POD: &str = "In Kubernetes: [how to ask a pod](../operations.md#asking-a-pod).";
/// The heading that this leads to.
const HEADING: &str = "\n### Asking a pod\n";
/// What a command has that asks a process or looks at its disk.
const ASKS: [&str; 4] = ["curl ", "septet-token-service ", "df -h", "http://"];

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

/// Seen to fail without the line in a page, and with another heading.
#[test]
fn every_page_with_commands_leads_to_how_a_pod_is_asked() {
    assert!(read("docs/operations.md").contains(HEADING));
    for alert in alerts() {
        let page = read(&format!("docs/runbooks/{alert}.md"));
        let commands = page.split("```").skip(1).step_by(2);
        let asks = commands.into_iter().any(|command| ASKS.iter().any(|asks| command.contains(asks)));
        assert!(!asks || page.lines().any(|line| line == ASKING_A_POD), "{alert}");
    }
}
