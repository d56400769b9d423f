//! What holds for the whole crate.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The names that macros called `{prefix}{kind}` are given.
fn metrics(source: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for kind in KINDS {
        let call = format!("{prefix}{kind}!(");
        for (at, _) in source.match_indices(&call) {
            let is_whole = !source[..at].ends_with('_');
            if let Some(rest) = source[at + call.len()..].trim_start().strip_prefix("\"septet_").filter(|_| is_whole) {
                names.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    names
}

/// Whoever reads a metric finds what it says beside it. Seen to fail for what enriching counts, while nothing described it.
#[test]
fn every_metric_is_described() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let (recorded, described) = (metrics(&sources, ""), metrics(&sources, "describe_"));
    assert!(recorded.len() > 20, "they are found: {recorded:?}");
    assert_eq!(recorded, described);
}
