//! What the chart has of `deploy/alerts` and `deploy/dashboards`: copies, as links become text where they are not known.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::{files, root};

/// The files of a folder of the repository, by their names.
fn contents(folder: &str, extension: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = root().join(folder);
    let named = files(&folder, extension).into_iter().map(|path| {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.strip_prefix(&folder).expect("a file in the folder").to_owned(), bytes)
    });
    named.collect()
}

/// Seen to fail with a threshold changed in one of the two files of rules, without a dashboard, with another one, and with a link in place of a file.
#[test]
fn the_chart_has_copies_of_alerts_and_dashboards() {
    const RULES: &str = "septet.rules.yaml";
    let (rules, copied_rules) =
        (root().join("deploy/alerts").join(RULES), root().join("deploy/helm/septet/files").join(RULES));
    for copy in [&copied_rules, &root().join("deploy/helm/septet/files/dashboards")] {
        let metadata = fs::symlink_metadata(copy).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
        assert!(!metadata.is_symlink(), "{} is a link", copy.display());
    }
    let is_copied = fs::read(&rules).expect("the rules") == fs::read(&copied_rules).expect("the chart's rules");
    assert!(is_copied, "cp deploy/alerts/{RULES} deploy/helm/septet/files");
    let (dashboards, copied) =
        (contents("deploy/dashboards", "json"), contents("deploy/helm/septet/files/dashboards", "json"));
    assert_eq!(dashboards.keys().collect::<Vec<_>>(), copied.keys().collect::<Vec<_>>());
    assert!(
        dashboards.len() > 1 && dashboards == copied,
        "cp deploy/dashboards/*.json deploy/helm/septet/files/dashboards"
    );
}
