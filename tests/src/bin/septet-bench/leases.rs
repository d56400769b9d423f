//! Leases a second from the token service on MariaDB, each on record and on disk before its answer; and how long ten thousand
//! instances that start together wait for their first one. Client, service and database share all cores.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use septet_tests::{
    bench::{
        cpu::Usage,
        load::{self, Latency, Load, Pace, Traffic},
        report::{Report, median},
    },
    engines::{Engine, mariadb::MariaDb},
    http1::Answer,
    process::Running,
    token_service::{self, SECRET},
};
use serde::Serialize;
use sqlx::{Connection, MySqlConnection};
use uuid::Uuid;

use crate::Common;

/// The longest that the instances starting together may take.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct Settings {
    /// Rounds, each on an empty database
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Instances that start together
    #[arg(long, default_value_t = 10_000)]
    instances: usize,
}

#[derive(Debug, Serialize)]
struct Round {
    /// Single-row inserts of the same record by the same driver, each its own transaction.
    bare_inserts_per_second: f64,
    one_at_a_time: Measured,
    coalesced: Vec<Measured>,
    cold: Measured,
    /// From the first connection to the last answer.
    cold_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Measured {
    connections: usize,
    leases: u64,
    per_second: f64,
    latency: Latency,
    service_cpu_us: f64,
    /// Leases in one transaction, on the average.
    leases_per_commit: f64,
}

/// Measures.
///
/// # Errors
/// When a lease is not given.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let rounds = (0..settings.rounds).map(|_| round(settings)).collect::<Result<Vec<_>>>()?;
    let mut table = String::from(
        "| round | connections | leases/s | p50 ms | p99 ms | leases in a commit | service CPU us each |\n|---|---|---|---|---|---|---|\n",
    );
    for (n, round) in rounds.iter().enumerate() {
        writeln!(table, "| {} | bare inserts | {:.0} | | | 1 | |", n + 1, round.bare_inserts_per_second)?;
        for measured in [&round.one_at_a_time].into_iter().chain(&round.coalesced).chain([&round.cold]) {
            writeln!(
                table,
                "| {} | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} |",
                n + 1,
                measured.connections,
                measured.per_second,
                measured.latency.p50_us / 1e3,
                measured.latency.p99_us / 1e3,
                measured.leases_per_commit,
                measured.service_cpu_us
            )?;
        }
    }
    let bare = median(rounds.iter().map(|round| round.bare_inserts_per_second));
    let one = median(rounds.iter().map(|round| round.one_at_a_time.per_second));
    let most = median(rounds.iter().map(|round| round.coalesced.last().map_or(0.0, |most| most.per_second)));
    let cold = median(rounds.iter().map(|round| round.cold_seconds));
    writeln!(
        table,
        "\nMedians: {one:.0} leases a second one at a time ({:.2} of bare inserts), {most:.0} coalesced ({:.1} of bare inserts).",
        one / bare,
        most / bare
    )?;
    writeln!(
        table,
        "{} instances that start together have their first lease within {cold:.2} s, connecting included.",
        settings.instances
    )?;
    Report::new("Leases", rounds)?.publish(&table, common.out.as_deref())
}

fn round(settings: &Settings) -> Result<Round> {
    let mariadb = MariaDb::start();
    let dir = tempfile::tempdir()?;
    let launch = token_service::launch(&mariadb.url(), dir.path());
    let migrated = launch.run_to_end("migrate");
    ensure!(migrated.status.success(), "{}", migrated.stderr_text());
    let service = launch.start();
    let time = Duration::from_secs_f64(settings.seconds);
    let saturated = |connections| measure(&service, Load { connections, pace: Pace::Saturated, time }, usize::MAX);
    let bare_inserts_per_second = bare_inserts(&mariadb.url(), time)?;
    let one_at_a_time = saturated(1)?;
    let coalesced = [16, 64, 256].into_iter().map(saturated).collect::<Result<_>>()?;
    let begun = Instant::now();
    let load = Load { connections: settings.instances, pace: Pace::Saturated, time: LIMIT };
    let cold = measure(&service, load, settings.instances)?;
    let cold_seconds = begun.elapsed().as_secs_f64();
    service.stop();
    Ok(Round { bare_inserts_per_second, one_at_a_time, coalesced, cold, cold_seconds })
}

fn measure(service: &Running, load: Load, leases: usize) -> Result<Measured> {
    let cpu = Usage::of(service.pid())?;
    let before = commits(service)?;
    let outcome = load::run(service.listen, load, &mut Leasing::new(service.listen, leases))?;
    let cpu = Usage::of(service.pid())?.since(&cpu);
    let commits = commits(service)? - before;
    Ok(Measured {
        connections: load.connections,
        leases: outcome.answers,
        per_second: outcome.per_second(),
        latency: outcome.latency(),
        service_cpu_us: cpu.cpu_s * 1e6 / outcome.answers as f64,
        leases_per_commit: outcome.answers as f64 / commits,
    })
}

fn commits(service: &Running) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(service.metric("septet_token_transactions_total")))
}

/// The least that a record costs: one row, one commit.
fn bare_inserts(url: &str, time: Duration) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = MySqlConnection::connect(url).await?;
        sqlx::query("CREATE TABLE bare LIKE leases").execute(&mut connection).await?;
        let (begun, mut rows) = (Instant::now(), 0_u64);
        while begun.elapsed() < time {
            sqlx::query(
                "INSERT INTO bare (lease_id, request_id, owner, first_block, blocks, leased_again, ttl_ms, leased_at_ms, \
                 renewed_at_ms, expires_at_ms, blocks_used, blocks_refused) VALUES (?, ?, ?, 1, 1, 0, 1, 1, 1, 1, 0, 0)",
            )
            .bind(rows)
            .bind(Uuid::new_v4().to_string())
            .bind(Uuid::new_v4().to_string())
            .execute(&mut connection)
            .await?;
            rows += 1;
        }
        let per_second = rows as f64 / begun.elapsed().as_secs_f64();
        sqlx::query("DROP TABLE bare").execute(&mut connection).await?;
        connection.close().await?;
        Ok(per_second)
    })
}

/// Each request a lease of one block, for an instance of its own.
struct Leasing {
    service: SocketAddr,
    left: usize,
}

impl Leasing {
    fn new(service: SocketAddr, leases: usize) -> Self {
        Self { service, left: leases }
    }
}

impl Traffic for Leasing {
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        let body = format!(r#"{{"request_id":"{}","owner":"{}","blocks":1}}"#, Uuid::new_v4(), Uuid::new_v4());
        let head = format!(
            "POST /v1/leases HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.service,
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
        true
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        let body = || String::from_utf8_lossy(answer.body).into_owned();
        ensure!(answer.status == 200, "{}: {}", answer.status, body());
        let answer: serde_json::Value = serde_json::from_slice(answer.body)?;
        answer["lease"]["id"].as_u64().context("no lease").map(drop)
    }
}
