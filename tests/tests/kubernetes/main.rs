//! The image and the chart on a real Kubernetes cluster: installed, used, updated, scaled and broken.
//!
//! `tests/kubernetes` prepares the cluster, runs this, one test after the other, and cleans up. What the tests say on standard error are the
//! figures that are not asserted.

mod cluster;
mod connection;
mod counted;
mod load;
mod pods;
mod release;
mod volumes;
mod world;

mod embedded;
mod install;
mod outage;
mod planned;
mod scaling;
mod stateful;
mod unplanned;

use std::{
    io::{Write, stderr},
    time::{Duration, Instant},
};

/// How long pods may take to start, to be replaced or to end, on a small and busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// For people.
fn say(what: &str) {
    writeln!(stderr(), "kubernetes: {what}").expect("standard error takes it");
}

/// What a step gives, once it is said how long it took.
async fn timed<T>(what: &str, step: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let given = step.await;
    say(&format!("{what}: {:.1} s", begun.elapsed().as_secs_f64()));
    given
}
