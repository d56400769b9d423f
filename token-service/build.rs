//! `sqlx::migrate!` embeds the migrations, but Cargo sees only the files that were there at the last build.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
