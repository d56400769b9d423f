//! Cached redirects, beside nginx: the servers on one core, the load on another, in turn.

use std::{collections::BTreeMap, fmt::Write as _, fs, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use septet_tests::{
    bench::{
        cpu::{self, Spent, Usage},
        load::{self, Latency, Load, Outcome, Pace, Traffic},
        nginx::Nginx,
        pin,
        report::{Report, median},
    },
    browser,
    http1::Answer,
    septet::DOMAIN,
};
use serde::Serialize;

use crate::{
    Common, Flag,
    links::{self, Made},
};

/// What each turn begins with, unmeasured.
const WARM_UP: Duration = Duration::from_millis(500);

/// The longest that opening every link once may take.
const CACHING_LIMIT: Duration = Duration::from_secs(600);

/// The name of what the others are compared with.
const NGINX: &str = "nginx";

#[derive(Debug, Args)]
pub struct Settings {
    /// Where `links` made the links
    #[arg(long)]
    dir: PathBuf,
    /// How many of them are asked for
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Turns of each server
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each turn, once saturated and once at the rate
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second at the moderate rate
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// A flag that makes septet count no clicks, as NAME=VALUE: one more server, on a copy of the data. Without it, HEAD
    /// requests, which are never counted, stand for it
    #[arg(long, value_parser = crate::flag)]
    uncounted_flag: Vec<Flag>,
    #[arg(long)]
    without_nginx: bool,
}

/// One of the servers, and how it is asked.
struct Contender {
    name: &'static str,
    method: &'static str,
    listen: SocketAddr,
    pid: u32,
}

/// What one contender did in one round.
#[derive(Debug, Serialize)]
struct Turn {
    round: usize,
    contender: &'static str,
    answers: u64,
    per_second: f64,
    /// CPU time of the process for each answer, and of each of its threads.
    cpu_us: f64,
    cpu_us_by_thread: BTreeMap<String, f64>,
    /// Time that the server's core was busy for each answer, interrupts included.
    core_us: f64,
    minor_faults: u64,
    major_faults: u64,
    latency_saturated: Latency,
    latency_at_rate: Latency,
}

#[derive(Debug, Serialize)]
struct Figures {
    links_cached: usize,
    keys_asked: usize,
    rate_per_second: f64,
    /// CPU of each contender over that of nginx, and of septet over itself without clicks: medians over the rounds.
    ratios: BTreeMap<String, f64>,
    turns: Vec<Turn>,
}

/// Measures.
///
/// # Errors
/// When a server does not start, or answers what it should not.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let made = links::made_in(&settings.dir)?;
    ensure!(settings.keys > 0 && settings.keys <= made.len(), "{} links are there", made.len());
    let asked: Vec<&Made> = made.iter().step_by(made.len() / settings.keys).take(settings.keys).collect();
    let nginx = if settings.without_nginx {
        None
    } else {
        let links = asked.iter().map(|link| (link.key.as_str(), link.url.as_str()));
        Some(pin::on_core(settings.server_core, || Nginx::start(links))??)
    };
    let core = Some(settings.server_core);
    let uncounted_dir = tempfile::tempdir_in(&settings.dir)?;
    let uncounted = if settings.uncounted_flag.is_empty() {
        None
    } else {
        copy_dir(&links::data_dir(&settings.dir), uncounted_dir.path())?;
        let flags = [&common.septet_flag[..], &settings.uncounted_flag].concat();
        Some(crate::start(uncounted_dir.path(), &flags, core)?)
    };
    let septet = crate::start(&links::data_dir(&settings.dir), &common.septet_flag, core)?;

    pin::this_thread(settings.client_core).context("the client's core")?;
    let contender = |name, method, listen, pid| Contender { name, method, listen, pid };
    let mut contenders = Vec::new();
    contenders.extend(nginx.as_ref().map(|nginx| contender(NGINX, "GET", nginx.listen, nginx.worker_pid())));
    contenders.push(contender("septet", "GET", septet.listen, septet.pid()));
    contenders.push(match &uncounted {
        Some(septet) => contender("septet, no clicks", "GET", septet.listen, septet.pid()),
        None => contender("septet, HEAD", "HEAD", septet.listen, septet.pid()),
    });
    for septet in [Some(&septet), uncounted.as_ref()].into_iter().flatten() {
        cache(septet.listen, common.connections, &made)?;
    }

    let mut turns = Vec::new();
    for round in 0..settings.rounds {
        for contender in &contenders {
            turns.push(turn(settings, common, contender, round, &asked)?);
        }
    }
    let figures = Figures {
        links_cached: made.len(),
        keys_asked: asked.len(),
        rate_per_second: settings.rate,
        ratios: ratios(&turns, &contenders),
        turns,
    };
    let table = table(&figures, &contenders)?;
    Report::new("Cached redirects", figures)?.publish(&table, common.out.as_deref())
}

/// Opens every link once, without a click.
///
/// # Errors
/// When one does not lead where it should.
pub fn cache(listen: SocketAddr, connections: usize, made: &[Made]) -> Result<()> {
    let load = Load { connections, pace: Pace::Saturated, time: CACHING_LIMIT };
    let mut traffic = Opening::of("HEAD", made.iter().map(|link| link.key.as_str()));
    let outcome = load::run(listen, load, &mut traffic)?;
    ensure!(outcome.answers == made.len() as u64, "{} of {} links opened", outcome.answers, made.len());
    Ok(())
}

fn turn(settings: &Settings, common: &Common, contender: &Contender, round: usize, asked: &[&Made]) -> Result<Turn> {
    let mut rng = SmallRng::seed_from_u64(round as u64);
    let any_key = std::iter::from_fn(|| Some(asked[rng.random_range(0..asked.len())].key.as_str()));
    let mut traffic = Opening::of(contender.method, any_key);
    let mut load =
        |pace, time| load::run(contender.listen, Load { connections: common.connections, pace, time }, &mut traffic);
    load(Pace::Saturated, WARM_UP).context(contender.name)?;
    let (usage, core_busy_s) = (Usage::of(contender.pid)?, cpu::core_busy_s(settings.server_core)?);
    let time = Duration::from_secs_f64(settings.seconds);
    let saturated = load(Pace::Saturated, time).context(contender.name)?;
    let spent = Usage::of(contender.pid)?.since(&usage);
    let core_busy_s = cpu::core_busy_s(settings.server_core)? - core_busy_s;
    let at_rate = load(Pace::PerSecond(settings.rate), time).context(contender.name)?;
    Ok(figures(contender.name, round, &saturated, &at_rate, &spent, core_busy_s))
}

fn figures(
    contender: &'static str,
    round: usize,
    saturated: &Outcome,
    at_rate: &Outcome,
    spent: &Spent,
    core_busy_s: f64,
) -> Turn {
    let us_each = |cpu_s: f64| cpu_s * 1e6 / saturated.answers as f64;
    Turn {
        round,
        contender,
        answers: saturated.answers,
        per_second: saturated.per_second(),
        cpu_us: us_each(spent.cpu_s),
        cpu_us_by_thread: spent.cpu_s_by_thread.iter().map(|(name, s)| (name.clone(), us_each(*s))).collect(),
        core_us: us_each(core_busy_s),
        minor_faults: spent.minor_faults,
        major_faults: spent.major_faults,
        latency_saturated: saturated.latency(),
        latency_at_rate: at_rate.latency(),
    }
}

/// Traffic that opens links as a browser does.
pub struct Opening<K> {
    keys: K,
    start: String,
    end: String,
    is_head: bool,
}

impl<'a, K: Iterator<Item = &'a str>> Opening<K> {
    pub fn of(method: &str, keys: K) -> Self {
        let mut end = format!(" HTTP/1.1\r\nHost: {DOMAIN}\r\n");
        for (name, value) in browser::HEADERS {
            end.extend([name, ": ", value, "\r\n"]);
        }
        end.push_str("\r\n");
        Self { keys, start: format!("{method} /"), end, is_head: method == "HEAD" }
    }
}

impl<'a, K: Iterator<Item = &'a str>> Traffic for Opening<K> {
    fn next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(key) = self.keys.next() else { return false };
        for part in [&self.start, key, &self.end] {
            out.extend_from_slice(part.as_bytes());
        }
        true
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        ensure!(answer.status == 302 && answer.location.is_some_and(|url| !url.is_empty()), "{answer:?}");
        Ok(())
    }

    fn is_head(&self) -> bool {
        self.is_head
    }
}

fn ratios(turns: &[Turn], contenders: &[Contender]) -> BTreeMap<String, f64> {
    let cpu =
        |name: &str| turns.iter().filter(|turn| turn.contender == name).map(|turn| turn.cpu_us).collect::<Vec<_>>();
    let ratio = |over: &str, under: &str| median(cpu(over).iter().zip(cpu(under)).map(|(over, under)| over / under));
    let mut ratios = BTreeMap::new();
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    for pair in
        [("septet", NGINX), ("septet, no clicks", NGINX), ("septet", "septet, no clicks"), ("septet", "septet, HEAD")]
    {
        if names.contains(&pair.0) && names.contains(&pair.1) {
            ratios.insert(format!("{} / {}", pair.0, pair.1), ratio(pair.0, pair.1));
        }
    }
    ratios
}

fn table(figures: &Figures, contenders: &[Contender]) -> Result<String> {
    let mut text = format!(
        "{} of {} cached links asked for; medians of {} turns each. Latencies in us: p50 / p99 / p99.9 / longest.\n\n\
         | server | requests/s | CPU us each | core busy us each | saturated | at {:.0}/s | page faults a turn |\n\
         |---|---|---|---|---|---|---|\n",
        figures.keys_asked,
        figures.links_cached,
        figures.turns.len() / contenders.len(),
        figures.rate_per_second,
    );
    for contender in contenders {
        let of = |pick: &dyn Fn(&Turn) -> f64| {
            median(figures.turns.iter().filter(|turn| turn.contender == contender.name).map(pick))
        };
        let latency = |pick: &dyn Fn(&Turn) -> Latency| {
            format!(
                "{:.0} / {:.0} / {:.0} / {:.0}",
                of(&|turn| pick(turn).p50_us),
                of(&|turn| pick(turn).p99_us),
                of(&|turn| pick(turn).p999_us),
                of(&|turn| pick(turn).max_us)
            )
        };
        writeln!(
            text,
            "| {} | {:.0} | {:.2} | {:.2} | {} | {} | {:.0} |",
            contender.name,
            of(&|turn| turn.per_second),
            of(&|turn| turn.cpu_us),
            of(&|turn| turn.core_us),
            latency(&|turn| turn.latency_saturated),
            latency(&|turn| turn.latency_at_rate),
            of(&|turn| turn.minor_faults as f64)
        )?;
    }
    writeln!(text, "\n| CPU ratio, median of the rounds | |\n|---|---|")?;
    for (name, ratio) in &figures.ratios {
        writeln!(text, "| {name} | {ratio:.3} |")?;
    }
    writeln!(text, "\n| thread | CPU us each |\n|---|---|")?;
    for contender in contenders {
        for (thread, us) in threads(&figures.turns, contender.name) {
            writeln!(text, "| {}: {thread} | {us:.2} |", contender.name)?;
        }
    }
    Ok(text)
}

/// Median CPU time for each answer, by thread name.
fn threads(turns: &[Turn], contender: &str) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, us) in turns.iter().filter(|turn| turn.contender == contender).flat_map(|turn| &turn.cpu_us_by_thread) {
        all.entry(name.clone()).or_default().push(*us);
    }
    all.into_iter().map(|(name, us)| (name, median(us))).collect()
}

/// Copies the files of a data directory that no process uses.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
