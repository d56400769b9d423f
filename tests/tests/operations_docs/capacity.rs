//! The sums of `docs/capacity.md`.

use std::process::Command;

use crate::root;

/// Seen to fail when a constant of the page, a worked example and a figure of a benchmark were changed, each alone.
#[test]
fn the_sums_of_the_capacity_page_are_those_of_its_program() {
    let checked = Command::new(root().join("docs/capacity")).arg("--check").output();
    let checked = checked.unwrap_or_else(|error| panic!("docs/capacity needs python3: {error}"));
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&said));
}
