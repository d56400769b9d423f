//! The metrics as `docs/metrics.md` has them.

use std::collections::BTreeMap;

use crate::{OF_HISTOGRAMS, PREFIX, read};

/// A metric as `docs/metrics.md` has it.
pub struct Documented {
    pub kind: String,
    pub is_late: bool,
    pub labels: String,
    pub who: String,
}

/// All of them, by their names.
pub fn documented() -> BTreeMap<String, Documented> {
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

/// What is documented under a name, or under the one of its histogram.
pub fn find<'a>(documented: &'a BTreeMap<String, Documented>, name: &str) -> Option<&'a Documented> {
    let of_histogram = OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix));
    let histogram = of_histogram.and_then(|base| documented.get(base)).filter(|found| found.kind == "histogram");
    histogram.or_else(|| documented.get(name).filter(|found| found.kind != "histogram"))
}
