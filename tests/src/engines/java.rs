//! Java 17: what Kafka 4 and Cassandra 5 both run on.

use std::{env, fs, path::PathBuf, process::Command, sync::OnceLock};

use anyhow::{Context, Result};

/// Kafka 4 needs 17 or later, Cassandra 5 needs 11 or 17.
const VERSION: &str = "17";

/// Where Debian, Ubuntu and their relatives keep the versions that are not the default.
const HOMES: &str = "/usr/lib/jvm";

/// The `java` to start: that of `JAVA_HOME`, of `PATH`, or any installed one, if it is of the right version.
pub fn java() -> Result<String> {
    static JAVA: OnceLock<Option<String>> = OnceLock::new();
    JAVA.get_or_init(|| candidates().find(|java| is_right(java)))
        .clone()
        .with_context(|| format!("no Java {VERSION}: install a JDK {VERSION} (on Debian or Ubuntu: openjdk-17-jdk-headless), and set JAVA_HOME if it is not found"))
}

/// The `keytool` that came with a `java`.
pub fn keytool(java: &str) -> String {
    java.strip_suffix("java").map_or_else(|| "keytool".to_owned(), |home| format!("{home}keytool"))
}

fn candidates() -> impl Iterator<Item = String> {
    let installed = fs::read_dir(HOMES).into_iter().flatten().flatten().map(|entry| entry.path());
    let homes =
        env::var_os("JAVA_HOME").map(PathBuf::from).into_iter().map(Some).chain([None]).chain(installed.map(Some));
    homes.map(|home| home.map_or("java".into(), |home| home.join("bin/java").to_string_lossy().into_owned()))
}

/// Java writes `openjdk version "17.0.15" 2025-04-15`.
fn is_right(java: &str) -> bool {
    let Ok(output) = Command::new(java).arg("-version").output() else { return false };
    let said = String::from_utf8_lossy(&output.stderr);
    let version = said.split('"').nth(1).unwrap_or_default();
    version.split(['.', '-', '+']).next() == Some(VERSION)
}
