//! The benchmark runs, on a small scale: its figures here say nothing.

use std::{fs, path::Path, process::Command};

use septet_tests::binary;
use serde_json::Value;

fn bench(dir: &Path, args: &[&str]) -> Value {
    let out = dir.join("report");
    let mut command = Command::new(env!("CARGO_BIN_EXE_septet-bench"));
    command.env(binary::SEPTET_BIN, binary::septet()).current_dir(dir).args(args);
    let output = command.args(["--connections", "4", "--out"]).arg(&out).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let json = fs::read(dir.join("report.json"));
    json.map_or(Value::Null, |json| serde_json::from_slice::<Value>(&json).unwrap()["figures"].clone())
}

#[test]
fn every_part_of_the_benchmark_runs() {
    let dir = tempfile::tempdir().unwrap();
    bench(dir.path(), &["links", "--dir", "links", "--links", "300"]);

    let brief = ["--rounds", "1", "--seconds", "0.3"];
    let here = ["--server-core", "0", "--client-core", "0", "--without-nginx", "--rate", "100", "--keys", "100"];
    let redirects = bench(dir.path(), &[&["redirects", "--dir", "links"][..], &brief, &here].concat());
    assert_eq!(redirects["links_cached"], 300);
    assert!(redirects["turns"].as_array().unwrap().iter().all(|turn| turn["answers"].as_u64().unwrap() > 0));

    let creations = bench(dir.path(), &[&["creations"][..], &brief].concat());
    assert!(creations[0]["links"].as_u64().unwrap() > 0, "{creations}");

    let memory = bench(dir.path(), &["memory", "--dir", "links"]);
    assert!(memory["url_bytes_each"].as_f64().unwrap() > 20.0, "{memory}");
}
