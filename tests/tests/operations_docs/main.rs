//! What is written for those who run it is true: every metric that an alert, a dashboard, a runbook or a page names is there, with these labels,
//! and every one that is there is documented; every alert has its page and its test; every flag and variable exists; the chart's copies are what
//! they are copies of; the sums of `docs/capacity.md` are those of its program.

mod alerts;
mod capacity;
mod chart;
mod dashboards;
mod documented;
mod flags;
mod mentions;
mod named;
mod shown;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the names of metrics begin with.
const PREFIX: &str = "septet_";
/// Labels that a scrape adds, and those of histograms.
const LABELS_OF_SCRAPES: [&str; 4] = ["job", "instance", "namespace", "le"];
/// The suffixes of what a histogram shows.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

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
