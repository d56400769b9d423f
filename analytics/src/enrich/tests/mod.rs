//! Each file tests one subject, through what it shows to the outside.

mod agents;
mod bots;
mod clicks;
mod client_ips;
mod places;
mod referers;
mod salts;
mod visitors;

use std::path::PathBuf;

fn test_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What `act` counted, in Prometheus' text format.
fn counted(act: impl FnOnce()) -> String {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, act);
    recorder.handle().render()
}
