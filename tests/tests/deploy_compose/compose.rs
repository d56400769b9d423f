//! A Compose file, as far as the tests look into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use crate::read;

/// The services and volumes of one file.
#[derive(Debug)]
pub struct Compose {
    pub services: BTreeMap<String, Service>,
    pub volumes: BTreeSet<String>,
}

/// One service, in the longest form of what can be written in several.
#[derive(Debug)]
pub struct Service {
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    /// By the name of the other service.
    pub depends_on: BTreeMap<String, String>,
    pub health_test: Option<Vec<String>>,
    /// Volumes and where they are mounted.
    pub volumes: Vec<(String, String)>,
    pub ports: Vec<String>,
    pub stop_grace_period: Option<Duration>,
    /// Whether nobody starts it again once it has ended.
    pub runs_once: bool,
    /// As it is written.
    pub raw: Value,
}

/// The whole file, with its anchors and merges resolved.
pub fn document(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Compose {
    pub fn read(path: &str) -> Self {
        let document = document(path);
        let services = document["services"].as_object().expect("services").iter();
        let volumes = document["volumes"].as_object().expect("volumes");
        Self {
            services: services.map(|(name, service)| (name.clone(), Service::new(service))).collect(),
            volumes: volumes.keys().cloned().collect(),
        }
    }
}

impl Service {
    fn new(raw: &Value) -> Self {
        let pairs = |field: &str| raw[field].as_object().into_iter().flatten();
        Self {
            image: text(&raw["image"]),
            entrypoint: texts(&raw["entrypoint"]),
            command: texts(&raw["command"]),
            environment: pairs("environment").map(|(name, value)| (name.clone(), text(value))).collect(),
            depends_on: pairs("depends_on").map(|(name, on)| (name.clone(), text(&on["condition"]))).collect(),
            health_test: texts(&raw["healthcheck"]["test"]),
            volumes: texts(&raw["volumes"]).unwrap_or_default().iter().map(|volume| mount(volume)).collect(),
            ports: texts(&raw["ports"]).unwrap_or_default(),
            stop_grace_period: raw["stop_grace_period"].as_str().map(duration),
            runs_once: raw["restart"] == "no",
            raw: raw.clone(),
        }
    }

    /// Whether it runs the image that is built here.
    pub fn is_septet(&self) -> bool {
        self.image.starts_with("septet:")
    }
}

/// Compose takes values that are no strings; here they are, so that what YAML makes of `1` or `no` is no question.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array().map(|values| values.iter().map(text).collect())
}

/// `volume:/target` or `volume:/target:ro`.
fn mount(written: &str) -> (String, String) {
    let mut parts = written.split(':');
    let mut part = || parts.next().unwrap_or_else(|| panic!("{written} is no mount")).to_owned();
    (part(), part())
}

/// `90s` or `5m`.
pub fn duration(written: &str) -> Duration {
    let (number, seconds) = match (written.strip_suffix('s'), written.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => panic!("{written} is neither seconds nor minutes"),
    };
    Duration::from_secs(seconds * number.parse::<u64>().unwrap())
}
