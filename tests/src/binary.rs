//! Where the binary under test comes from.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names the binary to test; without it, one is built of the same profile as the test itself.
pub const SEPTET_BIN: &str = "SEPTET_BIN";

/// The path of the `septet` to test. Built at most once in a process; cargo makes that cheap for the next one.
///
/// # Panics
/// When it cannot be built.
pub fn septet() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os(SEPTET_BIN).map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let profile_dir = profile_dir();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "septet", "--bin", "septet"]);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "building septet: {status}");
    profile_dir.join("septet")
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
