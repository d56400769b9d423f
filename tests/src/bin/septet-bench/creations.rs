//! Durable creations a second: each is on disk before its answer. Client and server share all cores.

use std::{collections::BTreeMap, fmt::Write as _, process, time::Duration};

use anyhow::Result;
use clap::Args;
use septet_tests::bench::{
    cpu::Usage,
    load::Latency,
    report::{Report, median},
};
use serde::Serialize;

use crate::{
    Common,
    links::{self, Creation},
};

#[derive(Debug, Args)]
pub struct Settings {
    /// Rounds, each on an empty directory
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Round {
    links: u64,
    per_second: f64,
    latency: Latency,
    server_cpu_us_by_thread: BTreeMap<String, f64>,
    server_cpu_us: f64,
    client_cpu_us: f64,
}

/// Measures.
///
/// # Errors
/// When a link is not made.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let rounds = (0..settings.rounds).map(|_| round(settings, common)).collect::<Result<Vec<_>>>()?;
    let mut table = String::from(
        "| round | links/s | p50 ms | p99 ms | p99.9 ms | server CPU us each | client CPU us each |\n|---|---|---|---|---|---|---|\n",
    );
    for (n, round) in rounds.iter().enumerate() {
        writeln!(
            table,
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} |",
            n + 1,
            round.per_second,
            round.latency.p50_us / 1e3,
            round.latency.p99_us / 1e3,
            round.latency.p999_us / 1e3,
            round.server_cpu_us,
            round.client_cpu_us
        )?;
    }
    writeln!(table, "\nMedian: {:.0} links a second.", median(rounds.iter().map(|round| round.per_second)))?;
    Report::new("Durable creations", rounds)?.publish(&table, common.out.as_deref())
}

fn round(settings: &Settings, common: &Common) -> Result<Round> {
    let dir = tempfile::tempdir()?;
    let septet = crate::start(dir.path(), &common.septet_flag, None)?;
    let (server, client) = (Usage::of(septet.pid())?, Usage::of(process::id())?);
    let mut creation = Creation::new(usize::MAX);
    let time = Duration::from_secs_f64(settings.seconds);
    let outcome = links::create(&septet, common.connections, time, &mut creation)?;
    let server = Usage::of(septet.pid())?.since(&server);
    let client = Usage::of(process::id())?.since(&client);
    septet.stop();
    let us_each = |cpu_s: f64| cpu_s * 1e6 / outcome.answers as f64;
    Ok(Round {
        links: outcome.answers,
        per_second: outcome.per_second(),
        latency: outcome.latency(),
        server_cpu_us: us_each(server.cpu_s),
        server_cpu_us_by_thread: server.cpu_s_by_thread.iter().map(|(name, s)| (name.clone(), us_each(*s))).collect(),
        client_cpu_us: us_each(client.cpu_s),
    })
}
