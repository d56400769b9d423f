//! The cluster that `KUBECONFIG` names, driven by `kubectl` and `helm` as its users do. Calls block.

use std::{
    env,
    net::IpAddr,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use septet_tests::engines::place::Place;
use serde_json::Value;
use tokio::task::block_in_place;

/// What the names of this run's namespaces begin with; made by `tests/kubernetes`, which removes them in the end.
const NAMESPACE_VARIABLE: &str = "SEPTET_TEST_NAMESPACE";

/// By which what is left of a run is found.
pub const LABEL: &str = "septet-tests";

/// What a variable of `tests/kubernetes` says.
///
/// # Panics
/// Without it.
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is missing: these tests are run by tests/kubernetes"))
}

/// What the namespaces of this run have as the value of [`LABEL`].
pub fn run_name() -> String {
    variable(NAMESPACE_VARIABLE)
}

/// Takes no pod that could do more than the strictest of the Pod Security Standards allows.
const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";

/// Makes a namespace of this run, and tells its name.
///
/// # Panics
/// When it is there.
pub fn make_namespace(name: &str) -> String {
    let namespace = format!("{}-{name}", run_name());
    kubectl(&["create", "namespace", &namespace]);
    kubectl(&["label", "namespace", &namespace, &format!("{LABEL}={}", run_name()), RESTRICTED]);
    namespace
}

/// What `kubectl` says.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn kubectl(arguments: &[&str]) -> String {
    try_kubectl(arguments).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What `kubectl` says.
///
/// # Errors
/// When it fails: with what it says then.
pub fn try_kubectl(arguments: &[&str]) -> Result<String> {
    said("kubectl", arguments)
}

/// What `helm` says.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn helm(arguments: &[&str]) -> String {
    said("helm", arguments).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Objects, as JSON.
///
/// # Panics
/// When they cannot be had.
#[track_caller]
pub fn objects(arguments: &[&str]) -> Value {
    let json = kubectl(&[&["get", "-o", "json"], arguments].concat());
    serde_json::from_str(&json).expect("kubectl writes JSON")
}

/// Makes an object of its JSON.
///
/// # Panics
/// When it is refused.
pub fn apply(object: &Value) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), object.to_string()).expect("a temporary file takes it");
    kubectl(&["apply", "-f", file.path().to_str().expect("a path of letters")]);
}

/// The address of a node, at which NodePorts are open.
pub fn node_address() -> IpAddr {
    const INTERNAL: &str = r#"-o=jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
    kubectl(&["get", "nodes", INTERNAL]).parse().expect("a node has an address")
}

/// Runs a script with its arguments on the node where engines run.
///
/// # Errors
/// When its exit status is not 0.
pub fn on_node(script: &str, arguments: &[&str]) -> Result<String> {
    let place = Place::named()?;
    let words = [&["sh", "-c", script, "sh"], arguments].concat();
    let command = place.run(words.into_iter().map(String::from).collect());
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    said(words[0], &words[1..])
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let run = || Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } = block_in_place(run).with_context(|| program.to_owned())?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    ensure!(status.success(), "{program} {}: {status}\n{stdout}{stderr}", arguments.join(" "));
    Ok(stdout.into_owned())
}
