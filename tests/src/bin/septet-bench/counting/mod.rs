//! Clicks a second that the analytics service counts, beside a bare client that reads the same topic to its end; the sides in turn. Counting into
//! SQLite tells what the service itself takes; counting into Cassandra is what it does in the whole system.

mod bare;
mod bench;
mod table;
mod turn;

use std::{collections::BTreeMap, ops::Range};

use analytics::rollups::{DAY_MS, Day};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use septet_tests::bench::{
    pin,
    report::{Report, median},
};
use serde::Serialize;

use self::{
    bench::Bench,
    turn::{Side, Turn},
};
use crate::{Common, clicks::draw::Spread};

/// Clicks come in the last hours of two days, in milliseconds: so each link has a row or two, and so have all links together.
const HOURS_MS: i64 = 4 * 60 * 60 * 1000;

#[derive(Debug, Args)]
pub struct Settings {
    /// How clicks are spread over links
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Spread::Zipf, Spread::Uniform])]
    spread: Vec<Spread>,
    /// Partitions of the topic
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    partitions: Vec<u32>,
    /// Where the service counts into
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Store::Cassandra, Store::Sqlite])]
    store: Vec<Store>,
    /// Links that are clicked
    #[arg(long, default_value_t = 100_000)]
    links: usize,
    /// Clicks in each topic
    #[arg(long, default_value_t = 1_000_000)]
    clicks: u64,
    /// Turns of each side, on each topic
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Cassandra answers a write before it is on disk, as by its default
    #[arg(long)]
    periodic: bool,
    /// The core of Cassandra
    #[arg(long, requires = "other_core")]
    store_core: Option<usize>,
    /// The core of everything else
    #[arg(long, requires = "store_core")]
    other_core: Option<usize>,
}

/// Where rollups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Cassandra,
    Sqlite,
}

/// Bytes that a click takes on its way.
#[derive(Debug, Serialize)]
struct Bytes {
    spread: Spread,
    partitions: u32,
    links_clicked: usize,
    /// The event.
    event: f64,
    /// With its part of a batch, compressed.
    kafka: f64,
    /// In files, with what is not compacted yet.
    cassandra: Option<f64>,
    /// Median of the turns.
    sqlite: Option<f64>,
}

/// Medians over the rounds.
#[derive(Debug, Serialize)]
struct Ratios {
    spread: Spread,
    partitions: u32,
    side: Side,
    /// Clicks a second, over those that the bare client reads.
    throughput: f64,
    /// The CPU time that the bare client takes for a click, over that of the service.
    cpu: f64,
    /// The same with what Kafka and Cassandra take meanwhile.
    cpu_all: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    clicks: u64,
    links: usize,
    /// When Cassandra answers a write, if there is one.
    commit_log: Option<String>,
    /// The core of Cassandra, and that of everything else, where they have one each.
    cores: Option<(usize, usize)>,
    bytes: Vec<Bytes>,
    ratios: Vec<Ratios>,
    turns: Vec<Turn>,
}

/// Measures.
///
/// # Errors
/// When a click is not counted, or twice.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    if let Some(core) = settings.other_core {
        pin::this_thread(core).context("--other-core")?;
    }
    let mut bench = Bench::start(settings, &common.septet_flag)?;
    let mut sides = vec![Side::Bare];
    sides.extend(settings.store.iter().map(|store| Side::of(*store)));
    bench.warm_up(&sides)?;
    let mut turns = Vec::new();
    for round in 0..settings.rounds {
        // None always comes first.
        sides.rotate_left(1);
        for topic in 0..bench.topics() {
            for side in &sides {
                turns.push(bench.turn(round, topic, *side)?);
            }
        }
    }
    let commit_log = bench.commit_log()?;
    let bytes = bench.finish(&turns)?;
    let figures = Figures {
        clicks: settings.clicks,
        links: settings.links,
        commit_log,
        cores: settings.store_core.zip(settings.other_core),
        ratios: ratios(&bytes, &turns),
        bytes,
        turns,
    };
    let text = table::table(&figures)?;
    Report::new("Counting", figures)?.publish(&text, common.out.as_deref())
}

fn ratios(topics: &[Bytes], turns: &[Turn]) -> Vec<Ratios> {
    let mut all = Vec::new();
    for Bytes { spread, partitions, .. } in topics {
        let of = |side| {
            let turns = turns.iter().filter(move |turn| turn.is(*spread, *partitions, side));
            turns.map(|turn| (turn.round, turn)).collect::<BTreeMap<_, _>>()
        };
        let bare = of(Side::Bare);
        for side in [Side::Cassandra, Side::Sqlite] {
            let counted = of(side);
            if counted.is_empty() {
                continue;
            }
            let ratio = |ratio: &dyn Fn(&Turn, &Turn) -> f64| {
                median(counted.iter().map(|(round, counted)| ratio(counted, bare[round])))
            };
            all.push(Ratios {
                spread: *spread,
                partitions: *partitions,
                side,
                throughput: ratio(&|counted, bare| counted.per_second / bare.per_second),
                cpu: ratio(&|counted, bare| bare.own_cpu_us() / counted.own_cpu_us()),
                cpu_all: ratio(&|counted, bare| bare.all_cpu_us() / counted.all_cpu_us()),
            });
        }
    }
    all
}

/// The last hours of the two whole days before today, in Unix milliseconds.
fn hours(today: Day) -> Vec<Range<i64>> {
    let midnights = [today.start_ms() - DAY_MS, today.start_ms()];
    midnights.map(|midnight| midnight - HOURS_MS..midnight).to_vec()
}
