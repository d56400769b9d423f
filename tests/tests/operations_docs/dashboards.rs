//! The dashboards of `deploy/dashboards`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::read;

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
