//! Redirects while Kafka is away, in the whole system at its default settings: the same load before, without it, and afterwards; and whether every
//! click is counted in the end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use septet_tests::{
    bench::{
        load::{self, Latency, Load, Pace},
        report::Report,
    },
    system::{Part, System},
    wait,
};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{Common, clicks::progress::say, redirects::Opening};

/// The one that is clicked.
const SHORTENER: usize = 0;

const READY_WITHIN: Duration = Duration::from_secs(180);

/// How long it may take until the clicks of the outage are counted.
const COUNTED_WITHIN: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Settings {
    /// Redirects each second; late ones are late from the moment they were due
    #[arg(long, default_value_t = 2_000.0)]
    per_second: f64,
    /// Seconds with Kafka, before and afterwards
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Seconds without Kafka
    #[arg(long, default_value_t = 60.0)]
    away_seconds: f64,
    /// Links that are clicked
    #[arg(long, default_value_t = 1_000)]
    links: usize,
}

#[derive(Debug, Serialize)]
struct Phase {
    name: &'static str,
    redirects: u64,
    per_second: f64,
    latency: Latency,
}

#[derive(Debug, Serialize)]
struct Figures {
    phases: Vec<Phase>,
    clicks_answered: u64,
    clicks_counted: u64,
}

/// Measures.
///
/// # Errors
/// When a redirect is not answered, or its click not counted, or twice.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let runtime = Runtime::new()?;
    let mut system = System::start(|step| say(step));
    let ready = async |system: &System| {
        wait::until("everything is ready", READY_WITHIN, async || system.is_ready().then_some(())).await;
    };
    runtime.block_on(ready(&system));
    let keys = runtime.block_on(make(&system, settings.links));
    let mut phases = Vec::new();
    let mut clicked = |system: &System, name, seconds| -> Result<()> {
        say(name);
        phases.push(phase(system, common.connections, &keys, name, settings.per_second, seconds)?);
        Ok(())
    };
    clicked(&system, "warming up", settings.seconds)?;
    clicked(&system, "with Kafka", settings.seconds)?;
    system.kill(Part::Kafka);
    clicked(&system, "without Kafka", settings.away_seconds)?;
    system.start_part(Part::Kafka);
    clicked(&system, "with Kafka again, which catches up", settings.seconds)?;
    runtime.block_on(ready(&system));
    clicked(&system, "with Kafka, later", settings.seconds)?;

    let clicks_answered = phases.iter().map(|phase| phase.redirects).sum();
    let clicks_counted = runtime.block_on(counted(&system, clicks_answered));
    ensure!(clicks_counted == clicks_answered, "{clicks_counted} of {clicks_answered} clicks are counted");
    let figures = Figures { phases, clicks_answered, clicks_counted };
    let text = table(&figures, settings);
    Report::new("Redirects without Kafka", figures)?.publish(&text, common.out.as_deref())
}

async fn make(system: &System, links: usize) -> Vec<String> {
    let client = system.client(SHORTENER);
    let mut keys = Vec::new();
    for n in 0..links {
        keys.push(client.link_to(&format!("https://example.com/{n}")).await.key);
    }
    keys
}

fn phase(
    system: &System,
    connections: usize,
    keys: &[String],
    name: &'static str,
    per_second: f64,
    seconds: f64,
) -> Result<Phase> {
    let load = Load { connections, pace: Pace::PerSecond(per_second), time: Duration::from_secs_f64(seconds) };
    let mut traffic = Opening::of("GET", keys.iter().map(String::as_str).cycle());
    let outcome = load::run(system.shortener(SHORTENER), load, &mut traffic).context(name)?;
    Ok(Phase { name, redirects: outcome.answers, per_second: outcome.per_second(), latency: outcome.latency() })
}

/// How many clicks are counted, once that is so many, and a while later.
async fn counted(system: &System, clicks: u64) -> u64 {
    let client = system.client(SHORTENER);
    let query = [("event", "clicks"), ("groupBy", "count"), ("interval", "all")];
    let asked = async || {
        let answer = client.get("/analytics", &query).await;
        (answer.status == 200).then(|| answer.ok()["clicks"].as_u64())?
    };
    wait::until("all clicks counted", COUNTED_WITHIN, async || asked().await.filter(|counted| *counted >= clicks))
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    wait::until("an answer", COUNTED_WITHIN, asked).await
}

fn table(figures: &Figures, settings: &Settings) -> String {
    let mut text = format!(
        "The whole system on this machine, all processes on all cores; {} redirects a second were due at one shortener, of {} links in turn, each \
         click recorded. Kafka was killed before the second row and started before the third.\n\n\
         | | redirects | each second | p50 ms | p99 ms | p99.9 ms | longest ms |\n|---|---|---|---|---|---|---|\n",
        settings.per_second, settings.links,
    );
    for Phase { name, redirects, per_second, latency } in &figures.phases[1..] {
        let Latency { p50_us, p99_us, p999_us, max_us } = latency;
        let ms = [p50_us, p99_us, p999_us, max_us].map(|us| format!("{:.2}", us / 1e3)).join(" | ");
        text.push_str(&format!("| {name} | {redirects} | {per_second:.0} | {ms} |\n"));
    }
    text.push_str(&format!(
        "\nAll {} redirects were answered, those of the warm-up included, and {} clicks counted.\n",
        figures.clicks_answered, figures.clicks_counted
    ));
    text
}
