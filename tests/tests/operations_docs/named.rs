//! Every metric of the source is documented, and every one that is named exists.
//!
//! What metrics there are, the source says, by its string literals: many are shown only once they were first counted.

use std::{collections::BTreeSet, fs};

use crate::{
    LABELS_OF_SCRAPES, PREFIX,
    documented::{documented, find},
    files,
    mentions::{Mention, is_of_name, mentions, selected},
    root, texts,
};

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
