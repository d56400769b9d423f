//! Questions about one link over three months, asked of the service over HTTP as an instance asks it: how long each kind takes at the client
//! and at the service, and how many partitions of Cassandra it reads.

mod asking;
mod bench;
mod served;
mod table;

use std::collections::BTreeMap;

use analytics::rollups::{DAY_MS, Day};
use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use septet_tests::{
    bench::{
        cassandra::Node,
        load::{Latency, Outcome},
        report::Report,
    },
    engines::{Engine, cassandra::CommitLog, kafka::Kafka, unique_name},
};
use serde::Serialize;
use tokio::runtime::Runtime;

use self::{
    asking::Kind,
    bench::Bench,
    served::{Calls, Served},
};
use crate::{
    Common,
    clicks::{
        draw::{Clicks, Links, Spread},
        progress::say,
        service::Service,
        topic::Filled,
    },
};

/// The days asked for are those of a time zone so far east of UTC: the first and the last of them lie in two of UTC's.
const EAST_MS: i64 = 10 * 60 * 60 * 1_000;

#[derive(Debug, Args)]
pub struct Settings {
    /// Clicks that were counted
    #[arg(long, default_value_t = 10_000_000)]
    clicks: u64,
    /// Links that were clicked, and are asked for: both by Zipf's law
    #[arg(long, default_value_t = 2_000)]
    links: usize,
    /// Days that the clicks are spread over, and that are asked for
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=365))]
    days: i64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Connections, each with one question at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    in_flight: Vec<usize>,
    /// Questions of each turn
    #[arg(long, default_value_t = 2_000)]
    questions: u64,
    /// Turns of each kind
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Cassandra answers a write before it is on disk, as by its default
    #[arg(long)]
    periodic: bool,
}

/// Questions of one kind, one after the other on each connection; CPU times are for each question.
#[derive(Debug, Serialize)]
struct Turn {
    round: usize,
    kind: String,
    in_flight: usize,
    questions: u64,
    per_second: f64,
    /// At the client.
    latency: Latency,
    served: Served,
    /// Reads of each table, as Cassandra counts them.
    reads: BTreeMap<String, f64>,
    cpu_us: BTreeMap<&'static str, f64>,
    /// Cores that were busy with something else, interrupts included.
    others_cores: f64,
    #[serde(skip)]
    outcome: Outcome,
    #[serde(skip)]
    calls: Calls,
}

/// The questions of all rounds.
#[derive(Debug, Serialize)]
struct Answered {
    /// `None`: all kinds, as many of each.
    kind: Option<String>,
    in_flight: usize,
    questions: u64,
    latency: Latency,
    served: Served,
}

#[derive(Debug, Serialize)]
struct Figures {
    clicks: u64,
    links: usize,
    days: i64,
    partitions: u32,
    /// When Cassandra answers a write.
    commit_log: String,
    /// Partitions of the table `days` that hold the most clicked link.
    day_partitions: usize,
    /// Clicks of that link.
    most_clicks: u64,
    answered: Vec<Answered>,
    turns: Vec<Turn>,
}

/// Measures.
///
/// # Errors
/// When a click is not counted, or a question not answered.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let runtime = Runtime::new()?;
    say("starting the engines");
    let commit_log = if settings.periodic { CommitLog::Periodic } else { CommitLog::Batch };
    let (node, kafka) = (Node::start(&runtime, commit_log, None)?, Kafka::start());
    let midnight_ms = Day::of(Timestamp::now().as_millisecond()).start_ms() - EAST_MS;
    let links = || Links::new(settings.links, Spread::Zipf);
    let span_ms = midnight_ms - settings.days * DAY_MS..midnight_ms;
    let filled = Filled::new(&kafka, settings.partitions, Clicks::new(settings.clicks, links(), vec![span_ms]))?;

    let keyspace = unique_name("rollups");
    let url = format!("scylla://{}/{keyspace}", node.contact_point());
    let service = Service::start(&filled, Some(&url), &common.septet_flag)?;
    service.until_begun()?;
    service.until_committed()?;
    runtime.block_on(service.check())?;
    runtime.block_on(node.tidied())?;

    let kinds = Kind::all(settings.days, midnight_ms);
    let mut bench = Bench::new(&node, &service, &keyspace, links(), &runtime);
    let turns = bench.turns(settings, &kinds)?;
    let figures = Figures {
        clicks: settings.clicks,
        links: settings.links,
        days: settings.days,
        partitions: settings.partitions,
        commit_log: runtime.block_on(node.commit_log())?,
        day_partitions: bench.day_partitions()?,
        most_clicks: filled.links.values().copied().max().unwrap_or_default(),
        answered: answered(&turns, settings, &kinds)?,
        turns,
    };
    service.stop()?;
    let text = table::table(&figures)?;
    Report::new("Questions", figures)?.publish(&text, common.out.as_deref())
}

/// Of each kind, and of all, with so many in flight.
fn answered(turns: &[Turn], settings: &Settings, kinds: &[Kind]) -> Result<Vec<Answered>> {
    let mut all = Vec::new();
    for in_flight in &settings.in_flight {
        let each = kinds.iter().map(|kind| Some(kind.name.as_str()));
        for kind in each.chain([None]) {
            let of = |turn: &&Turn| turn.in_flight == *in_flight && kind.is_none_or(|kind| turn.kind == kind);
            all.push(together(turns.iter().filter(of), kind, *in_flight)?);
        }
    }
    Ok(all)
}

fn together<'a>(mut turns: impl Iterator<Item = &'a Turn>, kind: Option<&str>, in_flight: usize) -> Result<Answered> {
    let first = turns.next().context("there is at least one round")?;
    let (mut outcome, mut calls) = (first.outcome.clone(), first.calls.clone());
    for turn in turns {
        outcome.answers += turn.outcome.answers;
        outcome.latency_ns.add(&turn.outcome.latency_ns)?;
        calls = calls.and(&turn.calls);
    }
    Ok(Answered {
        kind: kind.map(str::to_owned),
        in_flight,
        questions: outcome.answers,
        latency: outcome.latency(),
        served: calls.served()?,
    })
}
