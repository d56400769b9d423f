//! Where the binaries under test come from.

use std::{
    env,
    path::{self, Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names the `septet` to test; without it, one is built of the same profile as the test itself.
pub const SEPTET_BIN: &str = "SEPTET_BIN";

/// Names the `septet-token-service` to test, in the same way.
pub const TOKEN_SERVICE_BIN: &str = "SEPTET_TOKEN_SERVICE_BIN";

/// Names the `septet-analytics` to test, in the same way.
pub const ANALYTICS_BIN: &str = "SEPTET_ANALYTICS_BIN";

/// Names the `septet-drawer` to test with, in the same way.
pub const DRAWER_BIN: &str = "SEPTET_DRAWER_BIN";

/// The path of the `septet` to test. Built at most once in a process; cargo makes that cheap for the next one.
///
/// # Panics
/// When it cannot be built.
pub fn septet() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named_or_built(SEPTET_BIN, "septet", "septet"))
}

/// The path of the `septet-token-service` to test, as [`septet`].
///
/// # Panics
/// When it cannot be built.
pub fn token_service() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named_or_built(TOKEN_SERVICE_BIN, "septet-token-service", "septet-token-service"))
}

/// The path of the `septet-analytics` to test, as [`septet`].
///
/// # Panics
/// When it cannot be built.
pub fn analytics() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named_or_built(ANALYTICS_BIN, "septet-analytics", "septet-analytics"))
}

/// The path of the `septet-drawer` of the tests, as [`septet`].
///
/// # Panics
/// When it cannot be built.
pub fn drawer() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named_or_built(DRAWER_BIN, "septet-tests", "septet-drawer"))
}

fn named_or_built(variable: &str, package: &str, binary: &str) -> PathBuf {
    match env::var_os(variable) {
        // Binaries are started in directories of their own.
        Some(named) => path::absolute(named).expect("a working directory"),
        None => build(package, binary),
    }
}

fn build(package: &str, binary: &str) -> PathBuf {
    let profile_dir = profile_dir();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", package, "--bin", binary]);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "building {binary}: {status}");
    profile_dir.join(binary)
}

/// `target/debug` or `target/release`: where the running test or benchmark itself was built.
fn profile_dir() -> PathBuf {
    let mut dir = env::current_exe().expect("a test knows its own path");
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    dir
}
