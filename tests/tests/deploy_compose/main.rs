//! What `deploy/` hands to container engines: the image, by a Dockerfile and by a script, and the Compose files.
//!
//! Nothing is run in a container here. What is checked is what no engine tells before it is too late: that a file is what it
//! should be by its schema, that every setting in it exists, that the order of starting and the time for stopping are right, and
//! that the two ways to the image lead to the same.

mod archive;
mod binaries;
mod compose;
mod dockerfile;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use archive::Archive;
use binaries::Help;
use compose::{Compose, Service};
use dockerfile::Dockerfile;

const COMPOSE_FILES: [&str; 2] = ["deploy/compose.yaml", "deploy/compose.embedded.yaml"];
const COMPOSE_SCHEMA: &str = "tests/data/compose-spec/compose-spec.json";

/// The binary that asks for the health of all.
const SEPTET: &str = "/usr/local/bin/septet";

/// Where a shortener stops, and where the two services do.
const SHORTENER_APP: &str = "shortener/src/app.rs";
const SERVICE_APPS: [&str; 2] = ["token-service/src/service/app.rs", "analytics/src/service/app.rs"];
/// How a step of stopping begins there. Each takes `--stop-timeout-ms` at most.
const STOP_STEP: &str = "drain.step(";
/// How long tasks that do not end by themselves are waited for after that (`LAST_WAIT` of each `main.rs`).
const LAST_WAIT_MS: u64 = 500;

/// A path from the root of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// How many steps an application's stopping has.
fn stop_steps(app: &str) -> usize {
    let steps = read(app).matches(STOP_STEP).count();
    assert!(steps > 2, "{app}: the steps of stopping were not found");
    steps
}

/// What the workspace's `Cargo.toml` says of every package.
fn workspace(field: &str) -> String {
    let start = format!("{field} = \"");
    let line = read("Cargo.toml").lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned));
    line.and_then(|value| value.strip_suffix('"').map(str::to_owned)).expect(field)
}

/// Each service of Septet in both files, with a name to complain by.
fn septet_services() -> Vec<(String, Service)> {
    let all = COMPOSE_FILES.iter().flat_map(|file| {
        let services = Compose::read(file).services;
        services.into_iter().map(move |(name, service)| (format!("{name} of {file}"), service))
    });
    all.filter(|(_, service)| service.is_septet()).collect()
}

/// Seen to fail with `restrat: unless-stopped`, and with a port that was a mapping of nothing that the schema knows.
#[test]
fn compose_files_are_valid() {
    let schema: Value = serde_json::from_str(&read(COMPOSE_SCHEMA)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for file in COMPOSE_FILES {
        let document = compose::document(file);
        let errors: Vec<_> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
}

/// Seen to fail with `SEPTET_LINK`, with `SEPTET_PUBLIC_URL` at the token service, and with `command: [server]`.
#[test]
fn every_setting_in_a_compose_file_is_one_of_the_binary_that_gets_it() {
    let dockerfile = Dockerfile::read();
    for (name, service) in septet_services() {
        let entrypoint = service.entrypoint.clone().unwrap_or_else(|| dockerfile.exec_form("ENTRYPOINT"));
        let [binary] = entrypoint.as_slice() else { panic!("{name}: {entrypoint:?} is more than a binary") };
        let help = Help::of(binary);
        for variable in service.environment.keys() {
            assert!(help.has_variable(variable), "{name}: {binary} has no {variable}");
        }
        help.check_arguments(&name, service.command.as_deref().unwrap_or_default());
        if let Some(test) = &service.health_test {
            let [kind, of, arguments @ ..] = test.as_slice() else { panic!("{name}: {test:?}") };
            assert_eq!((kind.as_str(), of.as_str()), ("CMD", SEPTET), "{name}: `septet health` asks any of the three");
            Help::of(SEPTET).check_arguments(&name, arguments);
        }
    }
}

/// Seen to fail with `SEPTET_LISTENS`, and with `healthy`.
#[test]
fn every_setting_in_the_image_is_one_of_septet() {
    let dockerfile = Dockerfile::read();
    let [binary] = dockerfile.exec_form("ENTRYPOINT").try_into().expect("one binary");
    let help = Help::of(&binary);
    for variable in dockerfile.variables().keys().filter(|variable| *variable != "PATH") {
        assert!(help.has_variable(variable), "{binary} has no {variable}");
    }
    let (_, test) = dockerfile.health();
    assert_eq!(test[0], binary);
    help.check_arguments("HEALTHCHECK", &test[1..]);
}

/// Seen to fail with `kafka-1`, without the analytics services' wait for their migration, with `service_healthy` for a
/// migration, and without the health of ScyllaDB.
#[test]
fn everything_starts_after_what_it_needs() {
    for file in COMPOSE_FILES {
        let compose = Compose::read(file);
        for (name, service) in &compose.services {
            for (on, condition) in &service.depends_on {
                let dependency = compose.services.get(on);
                let dependency =
                    dependency.unwrap_or_else(|| panic!("{file}: {name} depends on {on}, which is not there"));
                match condition.as_str() {
                    "service_completed_successfully" => assert!(dependency.runs_once, "{file}: {on} never completes"),
                    "service_healthy" => {
                        assert!(dependency.health_test.is_some(), "{file}: nobody knows whether {on} is healthy")
                    }
                    other => panic!("{file}: {name} depends on {on} by {other}"),
                }
            }
            if !service.is_septet() || service.runs_once || compose.services.len() == 1 {
                continue;
            }
            let migrated = service.depends_on.keys().any(|on| {
                let dependency = &compose.services[on];
                dependency.entrypoint == service.entrypoint
                    && dependency.command.as_deref() == Some(&["migrate".to_owned()])
            });
            assert!(migrated, "{file}: {name} does not wait for its migration");
        }
    }
}

/// Seen to fail without the volume of the API key, with two shorteners on one volume, and with a volume that nobody mounts.
#[test]
fn what_is_kept_is_kept_once() {
    for file in COMPOSE_FILES {
        let compose = Compose::read(file);
        let mut of_data = BTreeSet::new();
        let mut mounted = BTreeSet::new();
        for (name, service) in &compose.services {
            for (volume, target) in &service.volumes {
                assert!(compose.volumes.contains(volume), "{file}: {name} mounts {volume}, which is not there");
                assert!(target != "/data" || of_data.insert(volume), "{file}: {volume} has two owners");
                mounted.insert(volume.clone());
            }
            for (variable, path) in service.environment.iter().filter(|(variable, _)| variable.ends_with("_FILE")) {
                let there = service.volumes.iter().any(|(_, target)| Path::new(path).starts_with(target));
                assert!(there, "{file}: {name} mounts nothing where {variable} is, {path}");
            }
        }
        assert_eq!(mounted, compose.volumes, "{file}: volumes that nobody mounts");
    }
}

/// Seen to fail with port `8080:8080`, without `read_only`, with `mysql:latest`, and with another version of Septet.
#[test]
fn nothing_is_open_that_need_not_be() {
    for file in COMPOSE_FILES {
        for (name, service) in Compose::read(file).services {
            let version = service.image.rsplit_once(':').map_or("", |(_, version)| version);
            let pinned = version.split('.').count() >= 3 && version.starts_with(|first: char| first.is_ascii_digit());
            assert!(pinned, "{file}: {} is any version", service.image);
            for port in &service.ports {
                assert!(port.starts_with("127.0.0.1:"), "{file}: {name} listens beyond this machine, {port}");
            }
        }
    }
    for (name, service) in septet_services() {
        let restricted = json!([service.raw["read_only"], service.raw["cap_drop"], service.raw["security_opt"]]);
        assert_eq!(restricted, json!([true, ["ALL"], ["no-new-privileges:true"]]), "{name}");
        assert_eq!(service.image, format!("septet:{}", workspace("version")), "{name}");
    }
}

/// An engine kills what has not stopped by then.
///
/// Seen to fail with 35 seconds, with a wait for load balancers of five, and with one more step in `shortener/src/app.rs`.
#[test]
fn there_is_time_to_stop() {
    let dockerfile = Dockerfile::read();
    // The others have fewer.
    let steps = stop_steps(SHORTENER_APP) as u64;
    for (name, service) in septet_services() {
        let entrypoint = service.entrypoint.clone().unwrap_or_else(|| dockerfile.exec_form("ENTRYPOINT"));
        let help = Help::of(&entrypoint[0]);
        let setting = |variable: &str| -> u64 {
            let value = service.environment.get(variable).cloned();
            value.unwrap_or_else(|| help.default_of(variable)).parse().unwrap()
        };
        let needed_ms = setting("SEPTET_DRAIN_WAIT_MS") + steps * setting("SEPTET_STOP_TIMEOUT_MS") + LAST_WAIT_MS;
        let given = service.stop_grace_period.expect(&name);
        assert!(given > Duration::from_millis(needed_ms), "{name}: {given:?}, and {needed_ms} ms may be needed");
    }
}

/// For those who give deadlines of their own. What the chart gives, `deploy/helm/check` works out.
///
/// Seen to fail with six steps in `docs/operations.md`, and with three of services in the chart's values.
#[test]
fn pages_say_how_many_steps_stopping_has() {
    const NUMBERS: [&str; 13] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let of_shortener = NUMBERS[stop_steps(SHORTENER_APP)];
    let [of_token_service, of_analytics] = SERVICE_APPS.map(|app| NUMBERS[stop_steps(app)]);
    assert_eq!(of_token_service, of_analytics);
    for (page, sentences) in [
        (
            "docs/operations.md",
            [format!("up to {of_shortener} steps"), format!("({of_analytics} at the two services)")],
        ),
        (
            "deploy/helm/septet/values.yaml",
            [format!("the {of_shortener} steps of stopping"), format!("have {of_analytics})")],
        ),
    ] {
        let text = read(page).replace("\n# ", " ").replace('\n', " ");
        for sentence in sentences {
            assert!(text.contains(&sentence), "{page} does not say {sentence:?}");
        }
    }
}

/// Seen to fail with another user, another value of a variable, an interval of 11 s, and without a label, in the Dockerfile
/// alone.
#[test]
fn the_dockerfile_and_the_archive_make_the_same_image() {
    let dockerfile = Dockerfile::read();
    let config = Archive::make(&[]).config();
    let set = |instruction: &str| -> Value {
        let names = dockerfile
            .all(instruction)
            .flat_map(|words| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        names.map(|name| (name.trim_matches(['[', ']', '"']).to_owned(), json!({}))).collect()
    };
    let (options, test) = dockerfile.health();
    let command = [vec!["CMD".to_owned()], test].concat();
    let nanoseconds = |option: &str| compose::duration(&options[option]).as_nanos() as u64;
    let expected = json!({
        "User": dockerfile.last("USER"),
        "Env": dockerfile.variables().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "Entrypoint": dockerfile.exec_form("ENTRYPOINT"),
        "ExposedPorts": set("EXPOSE"),
        "Volumes": set("VOLUME"),
        "Healthcheck": {
            "Test": command,
            "Interval": nanoseconds("interval"),
            "Timeout": nanoseconds("timeout"),
            "StartPeriod": nanoseconds("start-period"),
            "Retries": options["retries"].parse::<u64>().unwrap(),
        },
        "Labels": dockerfile.labels(),
    });
    assert_eq!(in_order(config["config"].clone()), in_order(expected));
    assert_eq!(dockerfile.labels()["org.opencontainers.image.version"], workspace("version"));
}

/// The same, with the variables in order of their names.
fn in_order(mut config: Value) -> Value {
    config["Env"].as_array_mut().expect("variables").sort_by_key(Value::to_string);
    config
}

/// Seen to fail without the times of the layer's entries, with a manifest that had the layer's digest before compression, and
/// without the annotation.
#[test]
fn an_archive_is_what_engines_read_and_always_the_same() {
    let archive = Archive::make(&["--tag", "registry.example/septet:1.2"]);
    assert!(archive.bytes == Archive::make(&["--tag", "registry.example/septet:1.2"]).bytes, "two runs differ");

    let index = archive.json("index.json");
    let manifest = archive.blob_json(&index["manifests"][0]);
    let named = &index["manifests"][0]["annotations"];
    assert_eq!(named["io.containerd.image.name"], "registry.example/septet:1.2");
    assert_eq!(named["org.opencontainers.image.ref.name"], "1.2");
    assert_eq!(archive.printed.trim(), index["manifests"][0]["digest"]);
    archive.check_blob(&manifest["config"]);
    archive.check_blob(&manifest["layers"][0]);

    let docker = archive.json("manifest.json");
    assert_eq!(docker[0]["RepoTags"], json!(["registry.example/septet:1.2"]));
    let path_of = |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
    assert_eq!(docker[0]["Config"], path_of(&manifest["config"]));
    assert_eq!(docker[0]["Layers"], json!([path_of(&manifest["layers"][0])]));
}

/// A short name means what container engines take it for.
#[test]
fn an_archive_has_the_full_name_of_a_short_one() {
    let archive = Archive::make(&[]);
    let name = format!("docker.io/library/septet:{}", workspace("version"));
    assert_eq!(archive.json("index.json")["manifests"][0]["annotations"]["io.containerd.image.name"], name);
}

/// Seen to fail when /data belonged to root, without the loader, and with a file that others may write.
#[test]
fn the_image_has_what_it_needs_and_gives_nothing_else_away() {
    let archive = Archive::make(&[]);
    let layer = archive.layer();
    let entry = |path: &str| layer.get(path).unwrap_or_else(|| panic!("{path} is not in the image: {layer:#?}"));
    for binary in ["septet", "septet-analytics", "septet-token-service"] {
        assert_eq!(entry(&format!("usr/local/bin/{binary}")), "-rwxr-xr-x 0/0");
    }
    for file in [
        "etc/passwd",
        "etc/group",
        "etc/nsswitch.conf",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/share/doc/septet/copyright",
    ] {
        assert_eq!(entry(file), "-rw-r--r-- 0/0");
    }
    assert!(layer.keys().any(|path| path.contains("/ld-linux")), "there is no loader: {layer:#?}");
    assert_eq!(entry("data/"), "drwxr-x--- 65532/65532");
    assert_eq!(entry("tmp/"), "drwxrwxrwt 65532/65532");
    for (path, entry) in layer.iter().filter(|(path, _)| !["data/", "tmp/"].contains(&path.as_str())) {
        assert!(entry.ends_with(" 0/0") && !entry[..10][5..].contains('w'), "{path} may be written: {entry}");
    }
}

/// Cargo reads every member of the workspace, also to build one of them.
///
/// Seen to fail without `!/analytics`.
#[test]
fn the_build_context_has_every_member_of_the_workspace() {
    let ignore = read(".dockerignore");
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    for member in members {
        let there =
            ignore.lines().any(|line| line == format!("!/{member}") || line == format!("!/{member}/Cargo.toml"));
        assert!(there, ".dockerignore leaves {member} out");
    }
    let builder = Dockerfile::read().argument("BUILDER");
    assert!(builder.starts_with(&format!("rust:{}.", workspace("rust-version"))), "{builder}");
}
