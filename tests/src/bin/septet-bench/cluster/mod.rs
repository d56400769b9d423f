//! Links in Cassandra: creations through the API beside bare inserts of the same rows, and redirects that miss the cache beside bare
//! selects of the same rows; the sides in turn, with as many in flight.
//!
//! Both sides write tables of the same making on one node, each in a keyspace of its own. They read the same rows, those that the API
//! made. A creation is two statements, one after the other, and that both sides sent as many as that is counted by Cassandra
//! itself, in every turn.

mod bare;
mod node;
mod table;

use std::{
    collections::BTreeMap,
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use septet_tests::{
    bench::{
        cpu::{self, Spent, Usage},
        load::{self, Latency, Load, Outcome, Pace},
        pin,
        report::{Report, median},
    },
    mode::{ADVICE_OF_CASSANDRA, Mode},
    septet::{Septet, Setup},
};
use serde::Serialize;
use tokio::runtime::Runtime;

use self::{bare::Bare, node::Node};
use crate::{
    Common,
    links::{self, Creation},
    redirects::Opening,
};

/// How long a call of the store may take: a hiccup of the machine's is to show as latency, and not to end the run.
const LINKS_TIMEOUT_MS: &str = "10000";

/// What is cached is not believed longer: the next request for the same key is a miss.
const CACHE_TTL_MS: &str = "1";

/// The longest that making the links to ask for may take.
const MAKING_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Settings {
    /// Turns of each side, of each kind
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each turn
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of each side, of each kind, before the rounds: Cassandra is slow at first
    #[arg(long, default_value_t = 30.0)]
    warm_up_seconds: f64,
    /// Connections of the load client, and operations in flight of the bare driver
    #[arg(long, value_delimiter = ',', default_values_t = [8, 64])]
    in_flight: Vec<usize>,
    /// How many links are asked for, each in its turn
    #[arg(long, default_value_t = 20_000)]
    keys: usize,
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

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Work {
    Creations,
    Misses,
}

impl Work {
    const ALL: [Work; 2] = [Work::Creations, Work::Misses];
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Septet,
    Bare,
}

/// What one side did in one turn; CPU times are for each operation.
#[derive(Debug, Serialize)]
struct Turn {
    round: usize,
    work: Work,
    in_flight: usize,
    side: Side,
    operations: u64,
    per_second: f64,
    latency: Latency,
    /// Nothing where the driver is alone.
    septet_cpu_us: f64,
    septet_cpu_us_by_thread: BTreeMap<String, f64>,
    /// The process of the benchmark: the load client, or the bare driver.
    client_cpu_us: f64,
    cassandra_cpu_us: f64,
    cassandra_cpu_us_by_thread: BTreeMap<String, f64>,
    /// Cores that were busy with something else, interrupts included: where that is much, the turn says little.
    others_cores: f64,
    /// Writes or reads of each table, as Cassandra counts them.
    statements: BTreeMap<String, f64>,
    /// Look-ups of the link store for each redirect, as septet counts them.
    look_ups: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// When Cassandra answers a write.
    commit_log: String,
    /// The core of Cassandra, and that of everything else, where they have one each.
    cores: Option<(usize, usize)>,
    ratios: Vec<Ratios>,
    turns: Vec<Turn>,
}

/// Medians over the rounds.
#[derive(Debug, Serialize)]
struct Ratios {
    work: Work,
    in_flight: usize,
    /// Operations a second of septet over those of the bare driver.
    throughput: f64,
    /// CPU time that an operation of the bare driver takes, Cassandra's included, over that of septet: all of it, and without the load client's.
    cpu: f64,
    cpu_without_client: f64,
}

/// Measures.
///
/// # Errors
/// When an operation fails, or the sides do not send the same statements.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    if let Some(core) = settings.other_core {
        pin::this_thread(core).context("--other-core")?;
    }
    let runtime = Runtime::new()?;
    let node = Node::start(&runtime, settings.periodic, settings.store_core)?;
    let dir = tempfile::tempdir()?;
    let septet = start(dir.path(), &node, common);
    let bare = runtime.block_on(Bare::connect(&node))?;
    let mut bench = Bench { septet, bare, node, runtime, rows: Vec::new() };
    bench.warm_up(settings)?;

    let time = Duration::from_secs_f64(settings.seconds);
    let mut turns = Vec::new();
    for round in 0..settings.rounds {
        for work in Work::ALL {
            for in_flight in &settings.in_flight {
                // Neither side always has the other's work behind it.
                let sides = if round % 2 == 0 { [Side::Septet, Side::Bare] } else { [Side::Bare, Side::Septet] };
                for side in sides {
                    turns.push(bench.turn(round, work, *in_flight, side, time)?);
                }
            }
        }
    }
    let commit_log = bench.node.commit_log(&bench.runtime)?;
    bench.septet.stop();
    let cores = settings.store_core.zip(settings.other_core);
    let figures = Figures { commit_log, cores, ratios: ratios(&turns, &settings.in_flight), turns };
    let text = table::table(&figures)?;
    Report::new("Links in Cassandra", figures)?.publish(&text, common.out.as_deref())
}

/// A septet whose links are in its keyspace of the node, and whose leases are its own.
fn start(data_dir: &std::path::Path, node: &Node, common: &Common) -> Septet {
    let setup = Setup::in_mode(Mode::Embedded, data_dir)
        .flag("--links", node.septet.url())
        .flag("--links-timeout-ms", LINKS_TIMEOUT_MS)
        .flag("--cache-ttl-ms", CACHE_TTL_MS)
        .allow_log(ADVICE_OF_CASSANDRA);
    common.septet_flag.iter().fold(setup, |setup, (name, value)| setup.flag(name, value)).start()
}

/// Dropped in this order: a septet whose store has gone complains.
struct Bench {
    septet: Septet,
    bare: Bare,
    node: Node,
    runtime: Runtime,
    /// The links that are asked for, in this order: ids, and their keys.
    rows: Vec<(i64, String)>,
}

impl Bench {
    /// Does everything once, unmeasured, and sees to it that both sides do the same.
    fn warm_up(&mut self, settings: &Settings) -> Result<()> {
        let in_flight = settings.in_flight.iter().copied().max().context("--in-flight")?;
        let time = Duration::from_secs_f64(settings.warm_up_seconds);
        links::create(&self.septet, in_flight, MAKING_LIMIT, &mut Creation::new(settings.keys))?;
        for side in [Side::Septet, Side::Bare] {
            self.operate(Work::Creations, in_flight, side, time)?;
        }
        self.runtime.block_on(self.node.check_sameness(&self.bare.statements()))?;
        self.rows = self.runtime.block_on(self.node.links(settings.keys))?;
        ensure!(self.rows.len() == settings.keys, "{} of {} links made", self.rows.len(), settings.keys);
        self.rows.shuffle(&mut SmallRng::seed_from_u64(0));
        for side in [Side::Septet, Side::Bare] {
            self.operate(Work::Misses, in_flight, side, time)?;
        }
        Ok(())
    }

    fn operate(&self, work: Work, in_flight: usize, side: Side, time: Duration) -> Result<Outcome> {
        let load = Load { connections: in_flight, pace: Pace::Saturated, time };
        match (side, work) {
            (Side::Septet, Work::Creations) => {
                links::create(&self.septet, in_flight, time, &mut Creation::new(usize::MAX))
            }
            (Side::Septet, Work::Misses) => {
                let keys = self.rows.iter().map(|(_, key)| key.as_str()).cycle();
                load::run(self.septet.listen, load, &mut Opening::of("GET", keys))
            }
            (Side::Bare, Work::Creations) => self.runtime.block_on(self.bare.create(in_flight, time)),
            (Side::Bare, Work::Misses) => {
                let ids = self.rows.iter().map(|(id, _)| *id).collect();
                self.runtime.block_on(self.bare.look_up(ids, in_flight, time))
            }
        }
    }

    fn turn(&self, round: usize, work: Work, in_flight: usize, side: Side, time: Duration) -> Result<Turn> {
        let before = self.count(work, side)?;
        let outcome = self.operate(work, in_flight, side, time)?;
        let after = self.count(work, side)?;
        let each = |total: f64| total / outcome.answers as f64;
        let us_each = |spent: &Spent| each(spent.cpu_s * 1e6);
        let by_thread = |spent: &Spent| spent.us_by_thread(outcome.answers);
        let [septet, client, cassandra] = [0, 1, 2].map(|process| after.cpu[process].since(&before.cpu[process]));
        let statements: BTreeMap<_, _> = after
            .statements
            .iter()
            .map(|(table, count)| (table.clone(), each(count - before.statements.get(table).unwrap_or(&0.0))))
            .filter(|(_, count)| *count > 0.0)
            .collect();
        let own_s = septet.cpu_s + client.cpu_s + cassandra.cpu_s;
        let is_miss = work == Work::Misses && side == Side::Septet;
        Ok(Turn {
            round,
            work,
            in_flight,
            side,
            operations: outcome.answers,
            per_second: outcome.per_second(),
            latency: outcome.latency(),
            septet_cpu_us: us_each(&septet),
            septet_cpu_us_by_thread: by_thread(&septet),
            client_cpu_us: us_each(&client),
            cassandra_cpu_us: us_each(&cassandra),
            cassandra_cpu_us_by_thread: by_thread(&cassandra),
            others_cores: (after.busy_s - before.busy_s - own_s) / (after.at - before.at).as_secs_f64(),
            statements,
            look_ups: is_miss.then(|| each(after.look_ups - before.look_ups)),
        })
    }

    fn count(&self, work: Work, side: Side) -> Result<Count> {
        // Both sides read what septet has made.
        let keyspace = match (work, side) {
            (Work::Creations, Side::Bare) => &self.node.bare,
            _ => &self.node.septet,
        };
        Ok(Count {
            at: Instant::now(),
            busy_s: cpu::all_cores_busy_s()?,
            cpu: [Usage::of(self.septet.pid())?, Usage::of(process::id())?, Usage::of(self.node.pid())?],
            statements: self.runtime.block_on(self.node.statements(work, keyspace))?,
            look_ups: self.runtime.block_on(self.septet.metric("septet_redirect_loads_total")),
        })
    }
}

/// What has been counted at one moment.
struct Count {
    at: Instant,
    busy_s: f64,
    /// Of septet, of this process, of Cassandra.
    cpu: [Usage; 3],
    statements: BTreeMap<String, f64>,
    look_ups: f64,
}

fn ratios(turns: &[Turn], in_flight: &[usize]) -> Vec<Ratios> {
    let each = Work::ALL.iter().flat_map(|work| in_flight.iter().map(move |in_flight| (*work, *in_flight)));
    each.map(|(work, in_flight)| {
        let of = |side| turns.iter().filter(move |turn| turn.is(work, in_flight, side));
        let pairs: Vec<_> = of(Side::Septet).zip(of(Side::Bare)).collect();
        let ratio =
            |ratio: &dyn Fn(&Turn, &Turn) -> f64| median(pairs.iter().map(|(septet, bare)| ratio(septet, bare)));
        let all = |turn: &Turn| turn.septet_cpu_us + turn.client_cpu_us + turn.cassandra_cpu_us;
        Ratios {
            work,
            in_flight,
            throughput: ratio(&|septet, bare| septet.per_second / bare.per_second),
            cpu: ratio(&|septet, bare| all(bare) / all(septet)),
            cpu_without_client: ratio(&|septet, bare| all(bare) / (all(septet) - septet.client_cpu_us)),
        }
    })
    .collect()
}

impl Turn {
    fn is(&self, work: Work, in_flight: usize, side: Side) -> bool {
        (self.work, self.in_flight, self.side) == (work, in_flight, side)
    }
}
