//! Time from a click to an answer that has it, in the whole system at its default settings: one shortener is clicked, the other one asked by
//! `/api/analytics`, which asks an analytics service, again and again until the click shows. Meanwhile other links are clicked, at a modest
//! steady rate.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use clap::Args;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use septet_tests::{
    bench::report::Report,
    client::{Client, Link},
    system::{EACH, System},
    wait,
};
use serde::Serialize;
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{Common, clicks::progress::say};

/// A click shows within this time.
const PROMISED_MS: f64 = 2_000.0;

/// A click that does not show within this time ends the run.
const LIMIT: Duration = Duration::from_secs(60);

const READY_WITHIN: Duration = Duration::from_secs(180);

/// Links whose clicks are waited for: some in every partition, counted by either service.
const SAMPLED_LINKS: usize = 32;

/// Links that are clicked meanwhile.
const OTHER_LINKS: usize = 200;

/// People who click meanwhile.
const CLICKERS: u32 = 16;

/// Between two samples, in milliseconds, by chance: else each would begin where the one before was committed.
const PAUSE_MS: Range<u64> = 0..500;

#[derive(Debug, Args)]
pub struct Settings {
    /// Clicks that are waited for
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// Such clicks before, unmeasured
    #[arg(long, default_value_t = 50)]
    warm_up_samples: usize,
    /// Milliseconds from an answer without the click to the next question
    #[arg(long, default_value_t = 5)]
    every_ms: u64,
    /// Other clicks each second meanwhile
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_second: u32,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Other clicks that were answered each second.
    per_second: f64,
    /// Other clicks that were not.
    unanswered: u64,
    /// Questions that were refused with 503, and asked again.
    refused: u64,
    /// From sending a click to having the answer that shows it, in the order of the clicks.
    samples_ms: Vec<f64>,
}

/// Measures.
///
/// # Errors
/// When a click does not show within a minute, or shows twice.
pub fn run(settings: &Settings, common: &Common) -> Result<()> {
    let system = System::start(|step| say(step));
    let figures = Runtime::new()?.block_on(measure(&system, settings))?;
    let text = table(&figures, settings);
    Report::new("From click to answer", figures)?.publish(&text, common.out.as_deref())
}

async fn measure(system: &System, settings: &Settings) -> Result<Figures> {
    wait::until("everything is ready", READY_WITHIN, async || system.is_ready().then_some(())).await;
    let clients: Vec<_> = (0..EACH).map(|number| system.client(number)).collect();
    let others = Others::start(&clients, settings.per_second).await;
    let mut watch = Watch::new(clients, settings).await;
    say(format_args!("waiting for {} clicks, and {} before", settings.samples, settings.warm_up_samples));
    watch.samples(settings.warm_up_samples).await?;
    watch.refused = 0;
    let (before, began) = (others.answered(), Instant::now());
    let samples_ms = watch.samples(settings.samples).await?;
    let per_second = (others.answered() - before) as f64 / began.elapsed().as_secs_f64();
    Ok(Figures { per_second, unanswered: others.unanswered(), refused: watch.refused, samples_ms })
}

/// Waits for clicks to show.
struct Watch {
    clients: Vec<Client>,
    /// With the clicks that each has.
    links: Vec<(Link, u64)>,
    random: SmallRng,
    every: Duration,
    refused: u64,
}

impl Watch {
    async fn new(clients: Vec<Client>, settings: &Settings) -> Self {
        let links = make(&clients[0], "sampled", SAMPLED_LINKS).await.into_iter().map(|link| (link, 0)).collect();
        let every = Duration::from_millis(settings.every_ms);
        Watch { clients, links, random: SmallRng::seed_from_u64(0), every, refused: 0 }
    }

    async fn samples(&mut self, samples: usize) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for n in 0..samples {
            sleep(Duration::from_millis(self.random.random_range(PAUSE_MS))).await;
            all.push(self.sample(n).await?.as_secs_f64() * 1e3);
        }
        Ok(all)
    }

    /// Clicks one link, at one shortener, and asks another one.
    async fn sample(&mut self, n: usize) -> Result<Duration> {
        let (clicked, asked) = (&self.clients[n % EACH], &self.clients[(n + 1) % EACH]);
        let (link, clicks) = &mut self.links[n % SAMPLED_LINKS];
        let query = [("event", "clicks"), ("groupBy", "count"), ("interval", "24h"), ("linkId", &*link.id)];
        let began = Instant::now();
        let opened = clicked.try_open(&link.key).await?;
        ensure!(opened.status == 302, "{opened:?}");
        *clicks += 1;
        loop {
            let answer = asked.get("/analytics", &query).await;
            let took = began.elapsed();
            match answer.status {
                200 => {
                    let shown = answer.ok()["clicks"].as_u64().unwrap_or_default();
                    ensure!(shown <= *clicks, "{shown} of {clicks} clicks are shown");
                    if shown == *clicks {
                        return Ok(took);
                    }
                }
                503 => self.refused += 1,
                _ => bail!("{answer:?}"),
            }
            ensure!(took < LIMIT, "a click did not show within {LIMIT:?}");
            sleep(self.every).await;
        }
    }
}

/// People who click other links, until this is dropped.
struct Others {
    counts: Arc<Counts>,
    _people: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    unanswered: AtomicU64,
}

impl Others {
    async fn start(clients: &[Client], per_second: u32) -> Self {
        let keys: Vec<_> = make(&clients[0], "other", OTHER_LINKS).await.into_iter().map(|link| link.key).collect();
        let (keys, counts) = (Arc::new(keys), Arc::new(Counts::default()));
        let mut people = JoinSet::new();
        for n in 0..CLICKERS {
            let (client, keys) = (clients[n as usize % EACH].clone(), Arc::clone(&keys));
            people.spawn(click(client, keys, Arc::clone(&counts), Duration::from_secs(1) * CLICKERS / per_second, n));
        }
        Others { counts, _people: people }
    }

    fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    fn unanswered(&self) -> u64 {
        self.counts.unanswered.load(Ordering::Relaxed)
    }
}

async fn click(client: Client, keys: Arc<Vec<String>>, counts: Arc<Counts>, every: Duration, seed: u32) {
    let mut random = SmallRng::seed_from_u64(seed.into());
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        due.tick().await;
        let key = &keys[random.random_range(0..keys.len())];
        let is_answered = client.try_open(key).await.is_ok_and(|answer| answer.status == 302);
        let count = if is_answered { &counts.answered } else { &counts.unanswered };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn make(client: &Client, name: &str, links: usize) -> Vec<Link> {
    let mut made = Vec::new();
    for n in 0..links {
        made.push(client.link_to(&format!("https://example.com/{name}/{n}")).await);
    }
    made
}

fn table(figures: &Figures, settings: &Settings) -> String {
    let mut sorted = figures.samples_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
    };
    let late = sorted.iter().filter(|ms| **ms > PROMISED_MS).count();
    format!(
        "Two shorteners, two analytics services and two token services on MariaDB, Kafka and one Cassandra node, at their default settings; all \
         processes share all cores. From sending a click to one shortener until an answer of the other's `/api/analytics` shows it, asked again {} \
         ms after each answer that does not. Meanwhile {:.0} other clicks a second ({} were asked for); {} of them went unanswered, and \
         {} questions were refused and asked again.\n\n\
         | clicks | p50 ms | p99 ms | longest ms | promised ms | later than that |\n|---|---|---|---|---|---|\n\
         | {} | {:.0} | {:.0} | {:.0} | {PROMISED_MS:.0} | {late} |\n",
        settings.every_ms,
        figures.per_second,
        settings.per_second,
        figures.unanswered,
        figures.refused,
        sorted.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    )
}
