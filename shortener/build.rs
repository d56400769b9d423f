//! The migrations are compiled in, and stand outside the crate.

fn main() {
    println!("cargo::rerun-if-changed=../migrations/sqlite/links");
}
