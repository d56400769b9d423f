//! The chart, installed as a release in a namespace of its own.

use std::{fs, net::SocketAddr, path::PathBuf};

use septet_tests::{client::Client, septet::API_KEY};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::cluster::{helm, kubectl, make_namespace, node_address, variable};

/// The name of every release, and so what the names of its objects begin with.
const NAME: &str = "septet";

/// `NAME:TAG` of the image under test.
const IMAGE_VARIABLE: &str = "SEPTET_TEST_IMAGE";

/// How long helm waits: the migrations, and then the pods.
const TIMEOUT: &str = "--timeout=3m";

/// A release. Uninstalled when dropped.
#[derive(Debug)]
pub struct Release {
    namespace: String,
    values: Value,
    /// What helm said of it: its notes.
    pub notes: String,
}

impl Release {
    /// Installs one in a new namespace, with these values besides those that every test has, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn install(name: &str, values: &Value) -> Self {
        let namespace = make_namespace(name);
        let mut release = Self { namespace, values: merged(common(), values), notes: String::new() };
        release.notes = release.helm("install", &release.values);
        release
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Upgrades it with these values besides those that it was installed with, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn upgrade(&self, values: &Value) {
        self.helm("upgrade", &merged(self.values.clone(), values));
    }

    fn helm(&self, command: &str, values: &Value) -> String {
        let file = NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), values.to_string()).expect("a temporary file takes it");
        let (chart, file) = (chart(), file.path().to_string_lossy().into_owned());
        helm(&[command, NAME, &chart.to_string_lossy(), "-n", &self.namespace, "-f", &file, "--wait", TIMEOUT])
    }

    /// What `helm test` says.
    ///
    /// # Panics
    /// When it fails.
    pub fn test(&self) -> String {
        helm(&["test", NAME, "-n", &self.namespace, "--logs", TIMEOUT])
    }

    /// Where its redirects and its API are.
    pub fn address(&self) -> SocketAddr {
        const PORT: &str = "-o=jsonpath={.spec.ports[0].nodePort}";
        let port = kubectl(&["get", "service", "-n", &self.namespace, "septet-shortener", PORT]);
        (node_address(), port.parse().expect("the service has a NodePort")).into()
    }

    /// Somebody who knows its API key.
    pub fn client(&self) -> Client {
        Client::new(self.address(), API_KEY)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            helm(&["uninstall", NAME, "-n", &self.namespace]);
        }
    }
}

fn chart() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "deploy", "helm", "septet"].iter().collect()
}

/// What all releases have: small pods that stop quickly, so that several fit on a small node.
fn common() -> Value {
    let image = variable(IMAGE_VARIABLE);
    let (repository, tag) = image.rsplit_once(':').expect("NAME:TAG");
    json!({
        "image": {"repository": repository, "tag": tag},
        "publicUrl": "http://go.example",
        "secrets": {"apiKey": {"value": API_KEY}},
        "shortener": {
            "replicas": 2,
            "service": {"type": "NodePort"},
            "data": {"size": "256Mi"},
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "384Mi"}},
        },
        "termination": {"gracePeriodSeconds": 27},
    })
}

/// `values` over `base`.
pub fn merged(mut base: Value, values: &Value) -> Value {
    match (&mut base, values) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                let old = below.get_mut(name).map_or(Value::Null, Value::take);
                below.insert(name.clone(), merged(old, value));
            }
            base
        }
        _ => values.clone(),
    }
}
